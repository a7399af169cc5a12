"""What expressions of Prometheus name, and what applications export: for tests of rules."""

from __future__ import annotations

import json
import re
import subprocess
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry
from servers import HOST, find_binary, free_port

from flask_caching import Cache
from flask_caching_instrumentation.metrics.catalogue import CATALOGUE

__all__ = [
    "RULES",
    "Matcher",
    "check_expressions",
    "exposed",
    "mistakes",
    "promtool",
    "recorded",
    "selectors",
]

RULES = Path(__file__).resolve().parents[1] / "dashboards" / "prometheus"

#: Labels that are not the catalogue's: Prometheus adds the first two, histograms have the third.
_ADDED = frozenset({"job", "instance", "le"})

#: Labels that a recorded series keeps, by the level that its name begins with.
_LEVELS = {
    "job_cache": {"job", "cache"},
    "job_cache_result": {"job", "cache", "result"},
    "job_cache_target": {"job", "cache", "source", "target"},
}

#: Families of others that an expression may ask for: Prometheus's own.
_OTHERS = frozenset({"up"})

#: What else looks like a series: operators and functions that our expressions use.
_WORDS = frozenset({
    "absent", "and", "avg", "avg_over_time", "count", "histogram_quantile", "increase", "max", "or",
    "rate", "sum", "topk", "unless",
})  # fmt: skip

_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')


class Matcher(NamedTuple):
    """One condition of a selector: ``label="value"``."""

    label: str
    operator: str
    value: str

    @property
    def values(self) -> list[str]:
        """The values that it names; a regular expression of ours is a choice of words."""
        return self.value.split("|") if "~" in self.operator else [self.value]


def selectors(expr: str) -> Iterator[tuple[str, list[Matcher]]]:
    """The series that an expression asks for, and the conditions of each."""
    bare = re.sub(r"\[[^]]*\]|\boffset \w+", "", expr)
    bare = re.sub(r"\b(by|on|ignoring|without)\s*\([^)]*\)", "", bare)
    for found in re.finditer(r"(?<![\w:\".])([a-z_][\w:]*)\s*(?:\{([^}]*)\})?", bare):
        if found[1] not in _WORDS and not _is_inside(bare, found.start()):
            yield found[1], [Matcher(*each) for each in _MATCHER.findall(found[2] or "")]


def _is_inside(text: str, place: int) -> bool:
    """Whether a place is between braces."""
    return text.rfind("{", 0, place) > text.rfind("}", 0, place)


def recorded() -> set[str]:
    """The names of the recorded series."""
    text = (RULES / "recording.yml").read_text(encoding="utf-8")
    return set(re.findall(r"^\s*- record: (\S+)$", text, re.MULTILINE))


def mistakes(expr: str) -> list[str]:
    """What an expression names that no application exports, and no rule records."""
    wrong: list[str] = []
    known = set(_ADDED)
    for name, matchers in selectors(expr):
        family, labels = _family_of(name)
        if family is None:
            wrong.append(f"no series {name}")
            continue
        known |= labels
        for label, values in ((each.label, each.values) for each in matchers):
            if label not in labels | _ADDED:
                wrong.append(f"{name} has no label {label}")
            elif label not in _ADDED:
                wrong += [
                    f'nothing exports {name}{{{label}="{value}"}}'
                    for value in values
                    if value not in exposed().get((family, label), ())
                ]
    for listed in re.findall(r"\b(?:by|on|ignoring|without)\s*\(([^)]*)\)", expr):
        wrong += [
            f"no series of it has {label}"
            for label in re.findall(r"\w+", listed)
            if label not in known
        ]
    return wrong


def _family_of(name: str) -> tuple[str | None, set[str]]:
    """The family that a series is made of, and its labels; ``None`` for an unknown one."""
    if name in _OTHERS:
        return name, set()
    if name in recorded():
        level, made_of, _ = name.split(":")
        # For its values: the only label of a recorded series that rules choose by is ``result``.
        return made_of.removeprefix("flask_caching_") + "_total", _LEVELS[level]
    for each in CATALOGUE:
        full = f"flask_caching_{each.name}"
        suffixes = ("_bucket", "_count", "_sum") if each.kind == "histogram" else ("",)
        if name in {full + suffix for suffix in suffixes}:
            return each.name, set(each.labels)
    return None, set()


@cache
def exposed() -> Mapping[tuple[str, str], set[str]]:
    """Values by family and label that applications with one fault each export."""
    registry = CollectorRegistry()
    full = _application("full", registry, CACHE_TYPE="SimpleCache", CACHE_THRESHOLD=1)
    nobody = f"redis://{HOST}:{free_port()}/0"
    down = _application("down", registry, CACHE_TYPE="RedisCache", CACHE_REDIS_URL=nobody)
    null = _application("null", registry, CACHE_TYPE="NullCache", CACHE_NO_NULL_WARNING=True)
    for app in (full, down, null):
        client = app.test_client()
        for path in ("/page/1", "/page/1", "/page/2", "/list"):
            assert client.get(path).status_code == 200
        with app.app_context(), pytest.raises(ZeroDivisionError):
            app.extensions["broken"]()
    values: dict[tuple[str, str], set[str]] = {}
    for metric in registry.collect():
        for sample in metric.samples:
            for label, value in sample.labels.items():
                family = metric.name.removeprefix("flask_caching_")
                family += "_total" if metric.type == "counter" else ""
                values.setdefault((family, label), set()).add(value)
    return values


def _application(name: str, registry: CollectorRegistry, **config: object) -> Flask:
    app = Flask(name)
    app.config.update(CACHE_NAME=name, CACHE_METRICS_REGISTRY=registry, **config)
    with warnings.catch_warnings():
        # What a cache of one entry, or a null one, may warn of is not what is asked here.
        warnings.simplefilter("ignore")
        cached = Cache(app)

    @cached.memoize()
    def names() -> list[str]:
        return ["a"]

    @app.get("/page/<int:number>")
    @cached.cached()
    def page(number: int) -> str:
        return str(number)

    @app.get("/list")
    def listed() -> str:
        return names()[0]

    @cached.cached(key_prefix="broken")
    def broken() -> float:
        return 1 / 0

    app.extensions["broken"] = broken
    return app


def promtool(*arguments: str, folder: Path = RULES) -> str:
    """What Prometheus's own tool says.

    Raises:
        AssertionError: If it finds something.
    """
    command = [find_binary("promtool"), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_expressions(expressions: Iterable[str], folder: Path) -> None:
    """Have Prometheus's own tool parse them.

    Raises:
        AssertionError: If it does not take one.
    """
    rules = [{"record": f"page:expression{n}", "expr": e} for n, e in enumerate(expressions)]
    text = json.dumps({"groups": [{"name": "page", "rules": rules}]})
    (folder / "page.yml").write_text(text, encoding="utf-8")
    promtool("check", "rules", "page.yml", folder=folder)
