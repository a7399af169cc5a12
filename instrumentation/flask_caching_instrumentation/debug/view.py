"""What is called for each route: the gate first, then its view, and errors in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, cast

from flask import Flask, Response, current_app, request

from flask_caching.errors import CacheError

from ..inspection.failing import reason_of
from ..timeline import DEBUG
from . import answers, pages
from .access import Refusal
from .answers import Sent, Stop
from .gate import Gate, set_cookies
from .headers import protect
from .routes import Route
from .shown import AmbiguousToken, ShownCache, Which, start_missing, token_of
from .site import Site

__all__ = ["View"]


class View:
    """A route's view function.

    Refusals are answered here as well, so that no error handler of the application's has a say
    in them.

    Args:
        route: The route.
        gate: Who is let in.
        which: Of an application, the caches to show.
    """

    def __init__(self, route: Route, gate: Gate, which: Which) -> None:
        self.route = route
        self.gate = gate
        self.which = which
        # Flask takes the view's name from here on some paths.
        self.__name__ = route.name

    def __call__(self, **arguments: Any) -> Any:
        # Here too: where a blueprint is in another one, old versions of Flask skip its functions.
        request.environ[DEBUG] = True
        own: dict[str, Any] = {name: arguments.pop(name) for name in _OWN if name in arguments}
        app: Flask = cast(Any, current_app)._get_current_object()
        caches = self.which(app)
        start_missing(app, caches)
        token, clash = _token(caches)
        site = Site(
            app=app,
            caches=caches,
            gate=self.gate,
            visitor=self.gate.stranger(token),
            route=self.route.name,
            takes_token=self.gate.takes_token(token),
            around=arguments,
        )
        try:
            response = self._answer(site, token, clash, own)
        except Sent as sent:
            protect(sent.response, foreign=True)
            return sent.response
        protect(response, site.nonce)
        return response

    def _answer(
        self, site: Site, token: str | None, clash: Stop | None, own: dict[str, Any]
    ) -> Response:
        try:
            if clash is not None and self.gate.auth is None:
                raise clash
            # What the application's ``auth`` raises is nobody else's to answer.
            visitor = self.gate.admit(site.visitor, token, at_door=self.route.at_door)
        except Stop as stop:
            inside = False
            response = self._refusal(site, stop, inside)
        else:
            site = replace(site, visitor=visitor)
            inside = visitor.way != "door"
            response = self._view(site, inside, own)
        if response.mimetype == "text/html" and (inside or site.takes_token):
            # Its forms need it.
            set_cookies(response, site.visitor, site.path)
        return response

    def _view(self, site: Site, inside: bool, own: dict[str, Any]) -> Response:
        try:
            response: Response = self.route.view(site, **own)
            return response
        except Stop as stop:
            return self._refusal(site, stop, inside)
        except (CacheError, OSError) as error:
            return self._refusal(site, Stop(_unanswered(error)), inside)

    def _refusal(self, site: Site, stop: Stop, inside: bool) -> Response:
        refusal = stop.refusal
        if self.route.is_data or self._asks_for_data():
            response = answers.problem(refusal)
        elif not inside and site.takes_token and refusal.status in (401, 429):
            response = pages.log_in_page(site, refusal)
        else:
            response = pages.refused(site, refusal, inside)
        for name, value in stop.headers.items():
            response.headers[name] = value
        return response

    def _asks_for_data(self) -> bool:
        """Whether the route of all else stands for a missing one of programs."""
        rest: str = (request.view_args or {}).get("rest", "")
        return rest == "api" or rest.startswith("api/")


#: Arguments of our own rules; all others are those of the prefix.
_OWN: Final = ("file", "key_id", "rest")


def _token(caches: list[ShownCache]) -> tuple[str | None, Stop | None]:
    try:
        return token_of(caches), None
    except AmbiguousToken as error:
        return None, Stop(Refusal(403, "These pages are closed", str(error)))


def _unanswered(error: Exception) -> Refusal:
    return Refusal(
        503,
        "The cache does not answer",
        f"{reason_of(error).rstrip('.')}. The application goes on without it; try again later.",
    )
