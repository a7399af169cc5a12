"""``audit``: ask for the keys of thousands of made-up requests, and tell which wrongly meet."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from flask import Flask

from flask_caching import Cache

from ..inspection.places import Place, place_of
from ..recording import Readings, execute, merged
from .asking import Asker
from .authrules import check_auth, check_route_order
from .checking import Audit
from .fragments import check_fragments
from .helperrules import check_helpers
from .identityrules import check_identities
from .ignoring import check_patterns, sift
from .inputrules import check_inputs
from .model import AuditReport, Finding
from .readings import executed, recorded, urls_to_execute
from .routes import RouteCheck
from .sharing import check_shared_keys
from .subjects import Route, helpers_of, routes_of

__all__ = ["audit"]

#: Told how much is done, of how much.
Progress = Callable[[int, int], None]


def audit(
    cache: Cache,
    *,
    app: Flask | None = None,
    execute: bool = False,
    ignore: Iterable[str] = (),
    recorded: bool = True,
    readings: Readings | None = None,
    progress: Progress | None = None,
) -> AuditReport:
    """Find requests that wrongly share a key, and more of what goes wrong with caches.

    For each route of a cached view it makes up requests that differ in one argument or two, or in
    one of their inputs, and asks for their keys. No view runs, and nothing is read from or written
    to the store; what makes keys does run. Needs no context where the cache has one application.

    Args:
        cache: The cache.
        app: The application; ``None`` for the current one, else the cache's only one.
        execute: Also send GET and HEAD to every route through the test client, uncached, to see
            what the views read. This runs the application's own code.
        ignore: What not to report: rules (``truncated``), rules at a target
            (``truncated:shop.product``), patterns of either (``*:admin.*``).
        recorded: Whether what was recorded of views that ran in this process
            (``CACHE_DEBUG_RECORD``) counts.
        readings: What functions read, by source and target, in addition to that.
        progress: Called with the numbers of steps done and to be done.

    Returns:
        The report.

    Raises:
        CacheError: If which application is meant cannot be known.
        ValueError: If something to ignore names no rule.
    """
    patterns = check_patterns(ignore)
    place = place_of(cache, app)
    run = _Run(place, execute, recorded, dict(readings or {}), progress or _nobody)
    # Apart from the caller's request and application context, which made-up requests are not in.
    return contextvars.Context().run(run.report, patterns)


def _nobody(done: int, total: int) -> None:
    """Nobody wants to know how far it is."""


@dataclass
class _Run:
    """One audit.

    Attributes:
        place: The cache and the application.
        execute: Whether views run.
        recorded: Whether what was recorded counts.
        readings: What functions read.
        progress: Who wants to know how far it is.
        checks: The routes that were checked.
    """

    place: Place
    execute: bool
    recorded: bool
    readings: Readings
    progress: Progress
    checks: list[RouteCheck] = field(default_factory=list[RouteCheck])

    def report(self, patterns: Sequence[str]) -> AuditReport:
        """All that is found."""
        begun = time.perf_counter()
        asker = Asker(self.place.cache, self.place.app)
        audit = Audit(self.place, asker)
        with asker.context():
            functions = self._check(audit)
        if asker.teardown_error:
            audit.note(f"a teardown function of the application raised {asker.teardown_error}")
        findings, ignored = sift(sorted(audit.findings, key=_order), patterns)
        return AuditReport(
            cache=self.place.state.config.name,
            findings=tuple(findings),
            ignored=ignored,
            routes=sum(check.base is not None for check in self.checks),
            functions=functions,
            requests=asker.requests,
            executed=self.execute,
            seconds=time.perf_counter() - begun,
            notes=tuple(audit.notes),
        )

    def _check(self, audit: Audit) -> int:
        """Check everything. Returns the number of functions that are no views."""
        # In an order of ours: that of the map changes when the first request is matched.
        routes = sorted(routes_of(self.place), key=lambda route: (route.endpoint, str(route.rule)))
        helpers = helpers_of(self.place)
        urls = urls_to_execute(self.place.app) if self.execute else []
        # GET and HEAD.
        begun, total = 2 * len(urls), 2 * len(urls) + len(routes) + 1
        self._gather(audit, urls, total)
        for number, route in enumerate(routes, begun):
            self.progress(number, total)
            self._check_route(audit, route)
        check_shared_keys(audit, self.checks)
        check_route_order(audit)
        check_identities(audit)
        check_helpers(audit, helpers, self.checks, self.readings)
        check_fragments(audit, self.readings)
        self.progress(total, total)
        return len(helpers)

    def _gather(self, audit: Audit, urls: Sequence[tuple[str, str]], total: int) -> None:
        """Find out what functions are known to read."""
        known = [self.readings]
        if self.recorded:
            known.append(recorded(self.place))
        if self.execute:
            found = execute(
                self.place.cache,
                self.place.app,
                urls=urls,
                progress=lambda done, _: self.progress(done, total),
            )
            known.append(found.readings)
            for sentence in executed(found):
                audit.note(sentence)
        self.readings = merged(known)
        if not self.readings and not self.execute:
            audit.note(
                "what views read is not known: none was executed (--execute), and nothing was "
                "recorded (CACHE_DEBUG_RECORD)"
            )
        elif not self.execute:
            audit.note("views were not executed: what they read is known only from recording")

    def _check_route(self, audit: Audit, route: Route) -> None:
        check = RouteCheck(audit, route)
        self.checks.append(check)
        if check.base is None:
            return
        if any(policy.options.store_cookies for policy in route.policies):
            audit.find(
                "stores-cookies",
                route.endpoint,
                route.policies[0],
                "a stored page is sent to everyone with the cookies of its first visitor",
            )
        if check.is_unstable():
            return
        check.check_arguments()
        check_inputs(audit, check, self.readings)
        check_auth(audit, check)


def _order(finding: Finding) -> tuple[object, ...]:
    return (finding.level != "error", finding.target, finding.rule, finding.input, finding.message)
