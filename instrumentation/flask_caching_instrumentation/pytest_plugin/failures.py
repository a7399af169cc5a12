"""What a failed assertion about keys says: the key, what it is made of, and what to write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ..inspection.inspector import Inspector
from ..inspection.model import Difference, Explanation
from ..inspection.text import visible

__all__ = ["apart", "shared", "without_key"]

#: Requests that are shown, and characters of a value.
_SHOWN: Final = 10
_LONGEST: Final = 120

#: What makes a part of a request a part of the key, where the key is not the application's own.
_REMEDIES: Final = {
    "cookie": 'vary=["cookie:{name}"]',
    "header": 'vary=["{name}"]',
    "query": 'query_string=True, or query_string=["{name}"] for this parameter alone',
    "body": 'methods=["GET", "HEAD", "POST"], since the body is part of a POST\'s key',
    "content_type": 'methods=["GET", "HEAD", "POST"], as for the body',
    "host": 'vary=["Host"], or CACHE_KEY_STRATEGY = "strict"',
    "method": "nothing, if one of them is HEAD: GET's entry answers it",
    "scheme": "vary=[lambda: request.scheme]",
}


def shared(inspector: Inspector, group: Sequence[Explanation]) -> str:
    """Requests share a key.

    Args:
        inspector: Of the cache.
        group: The requests, with one key.
    """
    first = group[0]
    lines = [f"{len(group)} requests share one key, so that one gets the other's page:", ""]
    lines += _requests(group)
    lines += ["", f"The key {_quoted(first.key)} is made of", "", *_parts(first), ""]
    second = next((each for each in group if each.request != first.request), None)
    if second is None:
        return "\n".join([*lines, "They are one request: give different ones."])
    comparison = inspector.compare([first.request, second.request])
    ignored = [each for each in comparison.differences if not each.in_key]
    if ignored:
        lines += ["and does not depend on", ""]
        lines += [f"    {_values(each)}" for each in ignored]
        lines += ["", "If the view does, write", ""]
        lines += [f"    {line}" for line in _advice(first, second, ignored)]
    else:
        lines.append("and what differs between the requests has no part in it.")
    return "\n".join(lines)


def apart(inspector: Inspector, groups: Sequence[Sequence[Explanation]]) -> str:
    """Requests that should share a key have several.

    Args:
        inspector: Of the cache of the first group.
        groups: The requests by their keys.
    """
    lines = [f"The requests have {len(groups)} keys:"]
    for group in groups[:_SHOWN]:
        lines += ["", f"  {_quoted(group[0].key)}", *_requests(group)]
    if len(groups) > _SHOWN:
        lines += ["", f"  ... and {len(groups) - _SHOWN} more"]
    comparison = inspector.compare([groups[0][0].request, groups[1][0].request])
    told_apart = [each for each in comparison.differences if each.in_key]
    if told_apart:
        lines += ["", "The first two differ in", ""]
        lines += [f"    {_values(each)}" for each in told_apart]
    ignorable = [each.name[6:] for each in told_apart if each.name.startswith("query:")]
    if ignorable:
        names = ", ".join(f'"{name}"' for name in ignorable)
        lines += ["", "If the view does not use that, write", "", f"    ignore_query=[{names}]"]
    return "\n".join(lines)


def without_key(lacking: Sequence[Explanation]) -> str:
    """Requests have no key at all."""
    several = len(lacking) > 1
    lines = [f"{len(lacking)} requests have no key:" if several else "A request has no key:"]
    for each in lacking[:_SHOWN]:
        lines += ["", *_requests([each]), f"        {visible(each.why)}"]
    if len(lacking) > _SHOWN:
        lines += ["", f"    ... and {len(lacking) - _SHOWN} more"]
    return "\n".join(lines)


def _requests(explanations: Sequence[Explanation]) -> list[str]:
    lines = [f"    {_asked(each)}{_target(each)}" for each in explanations[:_SHOWN]]
    if len(explanations) > _SHOWN:
        lines.append(f"    ... and {len(explanations) - _SHOWN} more")
    return lines


def _asked(explanation: Explanation) -> str:
    request = explanation.request
    details = [f"{name}: {value}" for name, value in request.headers]
    details += [f"cookie {name}={value}" for name, value in request.cookies]
    if request.host:
        details.insert(0, f"host {request.host}")
    more = f"  ({', '.join(details)})" if details else ""
    return visible(f"{request.method} {request.url}{more}")


def _target(explanation: Explanation) -> str:
    if explanation.endpoint is None:
        return ""
    arguments = ", ".join(f"{name}={value}" for name, value in explanation.arguments.items())
    return f"  ->  {visible(f'{explanation.endpoint}({arguments})')}"


def _parts(explanation: Explanation) -> list[str]:
    width = max((len(part.name) for part in explanation.parts), default=0)
    return [
        f"    {visible(part.name):<{width}}  {_quoted(part.value)}  ({visible(part.origin)})"
        for part in explanation.parts
    ]


def _values(difference: Difference) -> str:
    values = ["nothing" if value is None else _quoted(value) for value in difference.values]
    return f"{visible(difference.name)}  ({' and '.join(values)})"


def _quoted(text: str | None) -> str:
    shown = visible(str(text))
    return repr(shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}...").replace("\\\\", "\\")


def _advice(
    first: Explanation, second: Explanation, ignored: Sequence[Difference]
) -> Iterator[str]:
    """What to write for each part of the requests that the key does not depend on."""
    prefix = next((part.value for part in first.parts if part.name == "key_prefix"), None)
    if prefix is None:
        names = _changed(first, second) or [each.name for each in ignored]
        yield f"make_cache_key so that what it returns depends on {', '.join(names)}"
        return
    for difference in ignored:
        kind, _, name = difference.name.partition(":")
        if kind == "path":
            yield f"key_prefix={f'{prefix}/%s'!r}  # %s stands for the path"
        else:
            yield f"{_REMEDIES[kind].format(name=name)}  # {visible(difference.name)}"


def _changed(first: Explanation, second: Explanation) -> list[str]:
    """The route's arguments that differ."""
    return [
        name
        for name, value in first.arguments.items()
        if second.arguments.get(name, value) != value
    ]
