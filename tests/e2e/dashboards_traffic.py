"""Requests whose every count is known beforehand, or seen in the answer.

What a reader of the demo cannot know, he is told: each answer says in ``Cache-Status`` how it came
about. What ``dashboards_app.py`` does follows from the request alone, but for what depends on which
worker gets it; that is sent as well, and not counted.
"""

from __future__ import annotations

import random
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection

from dashboards_world import DEMO
from servers import RedisServer
from web_servers import GunicornServer

sys.path.insert(0, str(DEMO))

from docbrowser.receipt import outcome
from drive import Call, plan

__all__ = ["Traffic", "counted", "fetch"]

#: Rounds of requests; half a second and more each.
ROUNDS = 14

#: The round in which one Redis goes, not to come back: when a breaker would let calls through again
#: is a matter of time.
OUTAGE = 5

#: The round after which a cache is cleared.
CLEARED = 10

#: Requests of the driver to the demo in each round. With what pages look up themselves these are
#: fewer than 300 reads, above which an alert would have an opinion on how long each took.
DEMO_REQUESTS = 7


def counted(name: str, **labels: str) -> str:
    """The expression for what was counted with these labels."""
    inside = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return f"sum(flask_caching_{name}{{{inside}}})"


def fetch(demo: GunicornServer, call: Call) -> tuple[str, str]:
    """Send a request to the demo; returns the page, if only of an error, and ``Cache-Status``."""
    connection = HTTPConnection(*demo.address, timeout=60)
    try:
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if call.body else {}
        connection.request(call.method, call.target, call.body, headers)
        answer = connection.getresponse()
        page = answer.read().decode()
        assert answer.status < 500, (call, answer.status)
        return page, answer.getheader("Cache-Status") or ""
    finally:
        connection.close()


class Traffic:
    """Sends requests, and knows what came of them.

    Args:
        demo: The demo.
        ward: ``dashboards_app.py``.
        mortal: The Redis of its cache ``down``.
        main: The Redis of its cache ``main``.

    Attributes:
        sent: What must have been counted, by the expression that asks for it.
    """

    def __init__(
        self, demo: GunicornServer, ward: GunicornServer, mortal: RedisServer, main: RedisServer
    ) -> None:
        self.sent: Counter[str] = Counter()
        self._demo = demo
        self._ward = ward
        self._mortal = mortal
        self._main = main
        self._required: str | None = None

    def send(self) -> None:
        """Send everything."""
        packages = re.findall(r'href="(/packages/[^"]+)"', self.read("/packages/"))
        calls = plan(packages, ROUNDS * DEMO_REQUESTS, random.Random(2))
        for number in range(ROUNDS):
            begun = time.monotonic()
            if number == OUTAGE:
                self._mortal.kill()
            self._browse(calls, packages, number)
            self._fall(number)
            self._overrun(number)
            self._crowd()
            if number == CLEARED:
                self._ward.read("/clear")
            time.sleep(max(0.0, begun + 0.6 - time.monotonic()))

    # The demo.

    def read(self, target: str) -> str:
        """A page of the demo that was got and counted."""
        return self._call(Call("", "GET", target))

    def _browse(self, calls: Iterator[Call], packages: list[str], number: int) -> None:
        for _ in range(DEMO_REQUESTS):
            self._call(next(calls))
        self.read("/modules/json?fresh=1")
        self.read(f"{packages[number % 2]}/requires")

    def _call(self, call: Call) -> str:
        page, status = fetch(self._demo, call)
        self._note(call, status)
        return page

    def _note(self, call: Call, status: str) -> None:
        result, who = outcome(status), {"job": "demo", "source": "view"}
        if result in ("hit", "miss"):
            self.sent[counted("lookups_total", **who, result=result)] += 1
        elif result is not None:
            reason = "forced_update" if result == "fresh" else "method"
            self.sent[counted("bypasses_total", **who, reason=reason)] += 1
        if result in ("miss", "fresh"):
            self.sent[counted("load_duration_seconds_count", **who, outcome="ok")] += 1
        if "stored" in status:
            self.sent[counted("stores_total", **who, result="stored")] += 1
        if call.target.endswith("/requires"):
            self._required = self._required or call.target
            collided = call.target != self._required
            labels = {**who, "target": "browser.requires", "kind": "arguments"}
            self.sent[counted("key_collisions_total", **labels, action="reported")] += collided

    # The other application.

    def _fall(self, number: int) -> None:
        """Everything that a call may come to."""
        main = {"job": "ward", "cache": "main"}
        self._lookup("/main", number, main, "miss", "hit")
        self._ward.read(f"/main/{number}?bypass=1")
        self.sent[counted("bypasses_total", **main, reason="unless")] += 1
        self._ward.read("/refused")
        self.sent[counted("lookups_total", **main, source="view", result="miss")] += 1
        self.sent[counted("stores_total", **main, result="refused", reason="set_cookie")] += 1
        self._ward.read("/unpicklable")
        self.sent[counted("errors_total", **main, operation="set", handled="false")] += 1
        self._ward.read("/raised")
        self.sent[counted("load_duration_seconds_count", **main, outcome="error")] += 1
        self._ward.read("/direct?count=5")
        self.sent[counted("lookups_total", **main, source="direct", result="miss")] += 5
        # For the next round, unless it is cleared away.
        self._main.cli("SET", f"main:view//main/{number + 1}", "not an entry")
        unreadable = counted("errors_total", **main, error_type="serialization", handled="true")
        self.sent[unreadable] += number not in (0, CLEARED + 1)
        results = ["miss", "hit"] if number < OUTAGE else ["error"]
        self._lookup("/down", number, {"job": "ward", "cache": "down"}, *results)
        self._ward.read(f"/refusing/{number}")
        refused = {"job": "ward", "cache": "refusing", "action": "refused", "kind": "arguments"}
        self.sent[counted("key_collisions_total", **refused)] += bool(number)

    def _lookup(self, path: str, number: int, who: dict[str, str], *results: str) -> None:
        for result in results:
            assert self._ward.read(f"{path}/{number}") == str(number)
            self.sent[counted("lookups_total", **who, source="view", result=result)] += 1

    def _overrun(self, number: int) -> None:
        """What is too much for a cache. Whether it is a hit depends on who gets it."""
        self._ward.read(f"/small?first={40 * number}&count=40")
        self._ward.read("/watched?count=2&mistake=1")
        self._ward.read("/narrow")
        self.sent[counted("lookups_total", job="ward", cache="narrow")] += 3
        self.sent[counted("lookups_total", job="ward", cache="small")] += 40
        self.sent[counted("lookups_total", job="ward", cache="watched")] += 2
        self._ward.read("/ratio")
        self._ward.read("/slow/1")

    def _crowd(self) -> None:
        """Some who ask for the same at the same time: some wait for it, and some do not."""
        threads = [
            threading.Thread(target=self._ward.read, args=(f"/dear/{name}?seconds=0.15",))
            for name in ("stampede", "patient")
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name in ("stampede", "patient"):
            self.sent[counted("lookups_total", job="ward", cache=name)] += 4
