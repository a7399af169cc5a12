"""Configuration of the documentation; see https://www.sphinx-doc.org."""

from collections.abc import Iterable, Sequence
from importlib.metadata import version as installed_version

from flask_caching.config import PASS_THROUGH, describe_keys
from flask_caching_instrumentation.auditing.catalogue import RULES
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


# Tables that the code knows best; pages name them in double braces.
myst_substitutions = {
    "configuration_table": table(
        ("key", "accepts", "default", "what it is for"),
        ((f"`{key.key}`", key.accepts, f"`{key.default}`", key.about) for key in describe_keys()),
    ),
    "backend_keys_table": table(
        ("key", "read by"), ((f"`{key}`", readers) for key, readers in PASS_THROUGH.items())
    ),
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

# Links in Markdown to a heading of another page: `[text](page.md#heading)`.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist", "substitution"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"

html_theme = "furo"
html_title = f"Flask-Caching {version}"
