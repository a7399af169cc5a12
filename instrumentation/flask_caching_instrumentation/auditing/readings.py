"""What functions are known to read: from the application's recorder, and by running its views."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from flask import Flask

from ..inspection.places import Place
from ..recording import Executed, Reading, Readings, recorder_of
from .inputs import is_input
from .logins import USER, without_login
from .samples import Sample, converters_of, samples_for
from .subjects import url_of

__all__ = ["executed", "inputs_read", "is_varied", "recorded", "urls_to_execute"]

#: Of many requests, those that a note names.
_SHOWN: Final = 4

#: URLs of one rule that are sent requests, with other arguments each.
_URLS: Final = 2


def recorded(place: Place) -> Readings:
    """What was recorded of functions that ran in this process."""
    recorder = recorder_of(place.state)
    return {} if recorder is None else recorder.readings()


# Running views.


def urls_to_execute(app: Flask) -> list[tuple[str, str]]:
    """Endpoints and URLs of all rules, with made-up arguments: of uncached views too.

    These call cached helpers, memoized functions and templates with fragments.
    """
    return list(_urls(app))


def _urls(app: Flask) -> Iterator[tuple[str, str]]:
    for rule in app.url_map.iter_rules():
        if rule.build_only or rule.websocket or "GET" not in (rule.methods or {"GET"}):
            continue
        samples = {
            name: samples_for(converter)[:_URLS] for name, converter in converters_of(rule).items()
        }
        for number in range(_URLS if samples else 1):
            values: Mapping[str, Sample] = {
                name: found[number] for name, found in samples.items() if number < len(found)
            }
            url = url_of(rule, app, values) if len(values) == len(samples) else None
            if url is not None:
                yield str(rule.endpoint), url


def executed(found: Executed) -> Iterator[str]:
    """What a reader should know of the requests that were sent, in sentences."""
    failed = [request for request in found.requests if request.status >= 500]
    if failed:
        shown = [f"{each.method} {each.url} ({each.error or each.status})" for each in failed]
        yield (
            f"{len(failed)} of {len(found.requests)} requests failed when the views were executed, "
            f"so that what they read may not be known: {_some(shown)}"
        )
    answered = {request.endpoint for request in found.requests if request.status < 400}
    refused = {
        f"{request.endpoint} ({request.status})": None
        for request in found.requests
        if 400 <= request.status < 500 and request.endpoint not in answered
    }
    if refused:
        yield (
            "made-up requests got no page, so that what is read for one is not known, of "
            f"{_some(list(refused))}"
        )


def _some(texts: Sequence[str]) -> str:
    """The first few of several texts."""
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more


# What counts.


def inputs_read(app: Flask, reading: Reading, method: str, function: object) -> dict[str, int]:
    """The inputs that can make a difference, and how often each was read.

    Without what the response says itself that it varies on: the cache keeps such responses apart.

    Args:
        app: The application.
        reading: What was recorded.
        method: Of the requests.
        function: What read it; ``None`` if that is not known.
    """
    return {
        name: times
        for name, times in without_login(app, reading.inputs, function).items()
        if is_input(name, method) and not is_varied(name, reading.varied)
    }


def is_varied(name: str, varied: frozenset[str]) -> bool:
    """Whether a response that names these headers in ``Vary`` is only served to the same input."""
    kind, _, detail = name.partition(":")
    if "*" in varied:
        # Never stored at all.
        return True
    if kind == "header":
        return detail.lower() in varied
    if kind in ("cookie", "cookies", "session") or name == USER:
        return "cookie" in varied
    return kind == "host" and "host" in varied
