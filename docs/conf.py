"""Configuration of the documentation; see https://www.sphinx-doc.org."""

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version as installed_version

import click
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

from flask_caching.config import describe_keys
from flask_caching_instrumentation.auditing.catalogue import RULES
from flask_caching_instrumentation.cli import cache as command_group
from flask_caching_instrumentation.metrics.catalogue import CATALOGUE
from flask_caching_instrumentation.tracing import spans

project = "Flask-Caching"
author = "the maintainers of this project"
copyright = f"2026, {author}"
release = installed_version("Flask-Caching")
version = ".".join(release.split(".")[:2])

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "examples"]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


#: The sections of the page on configuration, and the keys in each.
SETTINGS = {
    "store": """TYPE ARGS OPTIONS ENABLED NO_NULL_WARNING NAME KEY_PREFIX ALLOW_FLUSH
        DEFAULT_TIMEOUT THRESHOLD SERIALIZER COMPRESSION COMPRESSION_THRESHOLD""",
    "key": "KEY_STRATEGY COLLISIONS HASH_METHOD SOURCE_CHECK",
    "load": "SINGLE_FLIGHT SINGLE_FLIGHT_TIMEOUT STREAM_LIMIT ENABLE_SIGNALS",
    "failure": "IGNORE_ERRORS BREAKER_THRESHOLD BREAKER_COOLDOWN",
    "metrics": """INSTRUMENTATION METRICS_PATH METRICS_NAMESPACE METRICS_REGISTRY METRICS_TARGETS
        METRICS_SHARED_KEYS OTEL_METRICS METER_PROVIDER""",
    "tracing": "TRACING TRACE_KEYS TRACER_PROVIDER",
    "debug": "DEBUG_UI DEBUG_TOKEN DEBUG_WRITE DEBUG_REDACT DEBUG_RECORD",
}


def described_settings(names: str) -> Iterator[str]:
    """Keys as the code describes them."""
    known = {key.key: key for key in describe_keys()}
    in_sections = {f"CACHE_{name}" for each in SETTINGS.values() for name in each.split()}
    if in_sections != known.keys():
        raise LookupError(f"SETTINGS in conf.py differs by {in_sections ^ known.keys()}")
    for name in names.split():
        key = known[f"CACHE_{name}"]
        about = key.about.replace("``", "`")
        accepts = "'" + key.accepts.replace("``", "`").replace("'", "''") + "'"
        yield (
            f"```{{confval}} {key.key}\n:type: {accepts}\n:default: `{key.default}`\n\n{about}\n```"
        )


#: Options that every command has, described once.
_COMMON_OPTIONS = {"--name", "--json"}


def described_commands() -> Iterator[str]:
    """Each ``flask cache`` command as click knows it: usage, help, arguments and options."""
    context = click.Context(command_group, info_name="flask cache")
    for name in sorted(command_group.list_commands(context)):
        command = command_group.get_command(context, name)
        if command is None:
            raise LookupError(f"there is no command {name}")
        own = click.Context(command, info_name=name, parent=context)
        usage = " ".join(command.collect_usage_pieces(own))
        help_text = re.sub(r"\s*\n\n\s*", "\n\n", inspect.cleandoc(command.help or ""))
        yield f"**`flask cache {name} {usage}`**\n\n{help_text}"
        options = [each for each in command.params if isinstance(each, click.Option)]
        records = [
            each.get_help_record(own) for each in options if not _COMMON_OPTIONS & set(each.opts)
        ]
        if records:
            rows = [(f"`{record[0]}`", record[1]) for record in records if record]
            yield table(("option", "meaning"), rows)


# Tables that the code knows best; pages name them in double braces.
myst_substitutions = {
    **{
        f"{name}_settings": "\n\n".join(described_settings(keys)) for name, keys in SETTINGS.items()
    },
    "commands": "\n\n".join(described_commands()),
    "metrics_table": table(
        ("family", "type", "labels", "meaning"),
        (
            (
                f"`{each.name}`",
                each.kind,
                ", ".join(f"`{label}`" for label in each.labels),
                each.help,
            )
            for each in CATALOGUE
        ),
    ),
    "audit_rules_table": table(
        ("rule", "level", "what it finds"),
        (
            (f"`{each.id}`", each.level, f"{each.title}. {each.explanation}")
            for each in RULES.values()
        ),
    ),
    "spans_table": table(
        ("span", "kind", "around"),
        ((f"`{each.name}`", each.kind, each.meaning) for each in spans.CATALOGUE),
    ),
    "span_attributes_table": table(
        ("attribute", "type", "meaning", "on"),
        (
            (
                f"`{each.name}`",
                each.type,
                each.meaning,
                ", ".join(
                    f"`{span.name.split()[0]}`"
                    for span in spans.CATALOGUE
                    if each.name in span.attributes
                ),
            )
            for each in spans.ATTRIBUTES.values()
        ),
    ),
}

# Two hyphens are an option, not a dash.
smartquotes_action = "qe"

# Links in Markdown to a heading of another page: `[text](page.md#heading)`.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist", "substitution"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
# The type of what is returned where the docstring says what that is.
autodoc_typehints_description_target = "documented"
# As the source writes them: a set has no order of its own.
autodoc_preserve_defaults = True
# One list of parameters: the attributes of a class do not come between them and their types.
napoleon_use_ivar = True
python_maximum_signature_line_length = 80

# Every reference resolves but for those into other projects, whose inventories would have to be
# fetched, and for what stands for any type.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(collections|datetime|os|typing|enum)\..*"),
    (r"py:.*", r"(flask|werkzeug|blinker|redis|prometheus_client|opentelemetry)\..*"),
    (r"py:class", r"Flask|WerkzeugResponse"),
    (r"py:class", r"(.*\.|~)?(P|R|T|BackendT)"),
    # Protocols and shapes that callers never name.
    (r"py:class", r"flask_caching\.(typing\.Hash|state\.AppState)"),
    (r"py:class", r"flask_caching_instrumentation\..*\.(HasBackend|Reading|Timing)"),
]

html_theme = "furo"
html_title = f"Flask-Caching {version}"
html_static_path = ["static"]
html_css_files = ["manual.css"]


def setup(app: Sphinx) -> None:
    """Blocks in ``conf`` are configurations of other programs, in forms of their own."""
    app.add_lexer("conf", TextLexer)
