"""What can be asked for below the prefix, and by which method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from . import api, pages

__all__ = ["ROUTES", "Route"]


@dataclass(frozen=True)
class Route:
    """One address below the prefix.

    Attributes:
        name: Its endpoint, and how templates call it.
        rule: Its URL rule.
        view: Called with the :class:`~.site.Site` and the rule's arguments.
        methods: Request methods; HEAD goes with GET.
        at_door: Whether somebody who may log in needs no more than to want it.
    """

    name: str
    rule: str
    view: Callable[..., Any]
    methods: tuple[str, ...] = ("GET",)
    at_door: bool = False

    @property
    def is_data(self) -> bool:
        """Whether it answers programs: with JSON, errors too."""
        return self.rule.startswith("/api/")


_GET_OR_POST: Final = ("GET", "POST")
_POST: Final = ("POST",)

ROUTES: Final = (
    Route("overview", "/", pages.overview),
    Route("keys", "/keys", pages.keys),
    Route("key", "/keys/<key_id>", pages.key),
    Route("functions", "/functions", pages.functions),
    Route("tester", "/tester", pages.tester, _GET_OR_POST),
    Route("compare", "/compare", pages.compare, _GET_OR_POST),
    Route("audit", "/audit", pages.audit),
    Route("live", "/live", pages.live),
    Route("delete", "/delete", pages.delete, _POST),
    Route("clear", "/clear", pages.clear, _POST),
    Route("login", "/login", pages.login, _GET_OR_POST, at_door=True),
    Route("logout", "/logout", pages.logout, _POST),
    Route("static", "/static/<file>", pages.static),
    Route("api_openapi", "/api/v1/openapi.json", api.openapi),
    Route("api_overview", "/api/v1/overview", api.overview),
    Route("api_keys", "/api/v1/keys", api.keys),
    Route("api_key", "/api/v1/keys/<key_id>", api.key),
    Route("api_functions", "/api/v1/functions", api.functions),
    Route("api_requests", "/api/v1/requests", api.requests),
    Route("api_audit", "/api/v1/audit", api.audit),
    Route("api_explain", "/api/v1/explain", api.explain, _POST),
    Route("api_compare", "/api/v1/compare", api.compare, _POST),
    Route("api_delete", "/api/v1/keys/delete", api.delete, _POST),
    Route("api_clear", "/api/v1/clear", api.clear, _POST),
)
