"""``flask cache explain`` and ``compare``: the keys of requests that nobody sends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click

from ..inspection.inspector import Inspector
from ..inspection.model import Comparison, Explanation, RequestSpec
from ..inspection.text import lifetime, visible
from .printing import Column, Shown, Table, headline, write, write_document, write_facts
from .running import FINDINGS, USAGE, as_json, ask, command, fail, named, note_if_apart, only

__all__ = ["COMMANDS"]

AnyCallable = TypeVar("AnyCallable", bound=Callable[..., Any])

#: How a verdict is shown, and in which words.
_VERDICTS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "hit": ("a hit", {"fg": "green"}),
    "miss": ("a miss", {"fg": "yellow"}),
    "bypass": ("past the cache", {"fg": "yellow"}),
    "refused": ("refused", {"fg": "red"}),
    "no_key": ("without a key", {"fg": "red"}),
    "uncached": ("not cached", {"dim": True}),
}

_COMPARED: Final[dict[str, dict[str, Any]]] = {
    "collision": {"fg": "red", "bold": True},
    "distinct": {"fg": "green", "bold": True},
    "same": {"bold": True},
    "mixed": {"bold": True},
    "incomparable": {"fg": "yellow", "bold": True},
}


def _pairs(separator: str, example: str) -> Callable[..., list[tuple[str, str]]]:
    """A parser of options such as ``-H 'Name: value'``, each a pair."""

    def parse(
        context: click.Context, option: click.Parameter, texts: Sequence[str]
    ) -> list[tuple[str, str]]:
        pairs: list[tuple[str, str]] = []
        for text in texts:
            name, found, value = text.partition(separator)
            if not found or not name.strip():
                raise click.BadParameter(f"{text!r} is not of the form {example!r}")
            pairs.append((name.strip(), value.strip()))
        return pairs

    return parse


_OPTIONS: Final = (
    click.option("-X", "--method", metavar="METHOD", help="GET, or POST with --data, if not said."),
    click.option(
        "-H",
        "--header",
        "headers",
        multiple=True,
        metavar="'NAME: VALUE'",
        callback=_pairs(":", "Name: value"),
        help="A request header; can be repeated.",
    ),
    click.option(
        "-b",
        "--cookie",
        "cookies",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_pairs("=", "name=value"),
        help="A cookie; can be repeated.",
    ),
    click.option("--host", default="", metavar="HOST", help="The Host, with a port if it has one."),
    click.option("-d", "--data", default="", metavar="TEXT", help="The body."),
    click.option("--content-type", default="", metavar="TYPE", help="What the body is."),
)


def _request_options(function: AnyCallable) -> AnyCallable:
    """The options that say what a request is like, apart from its URL."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def _spec(url: str, options: dict[str, Any]) -> RequestSpec:
    return RequestSpec(
        url=url,
        method=(options["method"] or ("POST" if options["data"] else "GET")).upper(),
        host=options["host"],
        headers=tuple(options["headers"]),
        cookies=tuple(options["cookies"]),
        body=options["data"],
        content_type=options["content_type"],
    )


@command("explain")
@click.argument("url")
@_request_options
@named
@as_json
def explain(url: str, name: str | None, as_json: bool, **options: Any) -> None:
    """The key of a request, what it is made of, and what would become of the request.

    The view does not run. URL is a path with an optional query string, or an absolute URL.
    """
    chosen = only(name)
    with ask("explain"):
        explanation = Inspector(chosen.cache, chosen.state.app()).explain(_spec(url, options))
    if as_json:
        write_document(explanation)
        return
    _show(explanation)
    if explanation.key is not None:
        note_if_apart(chosen)


def _show(explanation: Explanation) -> None:
    headline(_asked(explanation.request))
    words, style = _VERDICTS[explanation.verdict]
    arguments = ", ".join(f"{name}={value}" for name, value in explanation.arguments.items())
    rule = f"  ({explanation.rule})" if explanation.rule else ""
    facts: list[tuple[str, str | Shown]] = [
        ("key", Shown(explanation.key or "", {"bold": True})),
        ("endpoint", f"{explanation.endpoint}{rule}" if explanation.endpoint else ""),
        ("function", explanation.function or ""),
        ("arguments", arguments),
        ("it would be", Shown(words, style)),
        ("", explanation.why),
        ("stored", _stored(explanation)),
        ("not in the key", ", ".join(explanation.missing)),
        *(("note", each) for each in explanation.notes),
    ]
    write_facts(facts)
    if explanation.parts:
        write()
        columns = [Column("PART"), Column("VALUE", shrinks=True), Column("FROM", shrinks=True)]
        Table(columns, indent="  ").write(
            [[part.name, part.value, part.origin] for part in explanation.parts]
        )
    if len(explanation.decorators) > 1:
        write()
        Table([Column("DECORATOR"), Column("IS"), Column("WHERE", shrinks=True)], "  ").write(
            [[each.name, _ROLES[each.role], each.where] for each in explanation.decorators]
        )


_ROLES: Final = {
    "cache": "the cache",
    "above": "above it, runs on each request",
    "below": "below it, runs on a miss",
}


def _asked(request: RequestSpec) -> str:
    host = f"  (Host: {request.host})" if request.host else ""
    return f"{request.method} {request.url}{host}"


def _stored(explanation: Explanation) -> str:
    if not explanation.exists:
        return "no" if explanation.exists is False else ""
    left = explanation.expires_in_seconds
    if left is None:
        return "yes"
    return f"yes, for another {lifetime(left)}" if left else "yes, it never expires"


@command("compare")
@click.argument("urls", nargs=-1, metavar="URL URL [URL]...")
@_request_options
@named
@as_json
def compare(urls: tuple[str, ...], name: str | None, as_json: bool, **options: Any) -> None:
    """Whether requests share a key, and what differs between them.

    Two to twenty URLs; the options hold for all of them. Exits with 1 if some share a key although
    they lead to another endpoint, or with other arguments: one would get the other's page.
    """
    if not 2 <= len(urls) <= 20:
        fail(f"give from 2 to 20 URLs to compare, not {len(urls)}", USAGE)
    chosen = only(name)
    inspector = Inspector(chosen.cache, chosen.state.app())
    with ask("compare"):
        comparison = inspector.compare([_spec(url, options) for url in urls])
    if as_json:
        write_document(comparison)
    else:
        _show_comparison(comparison)
    if comparison.collision:
        raise SystemExit(FINDINGS)


def _show_comparison(comparison: Comparison) -> None:
    letters = {
        number: _letter(place) for place, group in enumerate(comparison.groups) for number in group
    }
    columns = [
        Column("", right=True),
        Column("REQUEST", shrinks=True),
        Column("ENDPOINT"),
        Column("KEY"),
        Column("", shrinks=True),
    ]
    Table(columns).write(
        [
            [
                str(number + 1),
                _asked(each.request),
                each.endpoint or "-",
                Shown(letters.get(number, "-"), {"bold": True}),
                each.key if each.key is not None else each.why,
            ]
            for number, each in enumerate(comparison.explanations)
        ]
    )
    if comparison.differences:
        write()
        numbers = [
            Column(str(number + 1), shrinks=True)
            for number, _ in enumerate(comparison.explanations)
        ]
        Table([Column("DIFFERS"), Column("IN THE KEY"), *numbers]).write(
            [
                [
                    each.name,
                    Shown("yes", {"fg": "green"}) if each.in_key else Shown("no", {"fg": "red"}),
                    *("-" if value is None else value for value in each.values),
                ]
                for each in comparison.differences
            ]
        )
    write()
    style = _COMPARED["collision" if comparison.collision else comparison.verdict]
    write(click.style(visible(comparison.why), **style))


def _letter(place: int) -> str:
    return chr(ord("A") + place)


COMMANDS: Final = {"compare": compare, "explain": explain}
