"""Requests that nobody sends, and asking for their keys.

Every key comes from ``Cache.explain`` or ``Cache.explain_call``: what the decorator would compute.
No view runs. What the key makers of the application do when they are called, they do here too.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias, cast
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from flask_caching import Cache
from flask_caching.explanation import KeyExplanation
from flask_caching.madeup import as_current

from ..inspection.model import RequestSpec
from .calls import Call
from .lacking import Seen, seeing, watch
from .model import Demonstration, Shown

__all__ = ["Answer", "Asker", "MadeUp", "demonstrate"]

#: How a question ended: with a key; past the cache (``unless``, or the request's method); without a
#: key because the key maker returned ``None``, or because it raised; or elsewhere, where another
#: view, or none, answers such a request.
Ending: TypeAlias = Literal["key", "bypass", "none", "raised", "elsewhere"]

#: Bypasses that say nothing of the request: the audit is about a cache that is on.
_NOT_THE_REQUESTS: Final = frozenset({"", "disabled", "no_application", "forced_update"})

#: Characters of the longest command that is worth copying.
_COPIED: Final = 400

_Pairs: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class MadeUp:
    """A request that nobody sends.

    Attributes:
        url: A path with an optional query string; absolute for another host than the default.
        method: Request method.
        headers: Names and values.
        cookies: Names and values.
        session: What ``flask.session`` has: signed into a cookie as the application does it.
        fields: Form fields; the method should have a body.
        body: The body, where there are no fields.
        content_type: Its type.
        root: The script root; empty for the application's own.
        environ: What a server puts into the WSGI environment (``REMOTE_ADDR``, ``REMOTE_USER``).
        globals: What ``flask.g`` has, as ``before_request`` functions would put it there.
        attributes: What such functions would set on the request object. Only told, not set: for
            keys that no code of the application has a part in.
    """

    url: str
    method: str = "GET"
    headers: _Pairs = ()
    cookies: _Pairs = ()
    session: tuple[tuple[str, Any], ...] = ()
    fields: _Pairs = ()
    body: str = ""
    content_type: str = ""
    root: str = ""
    environ: _Pairs = ()
    globals: tuple[tuple[str, Any], ...] = ()
    attributes: tuple[tuple[str, Any], ...] = ()

    def with_query(self, *pairs: tuple[str, str]) -> MadeUp:
        """The same with these query parameters, in the place of any that it has by their names."""
        path, _, query = self.url.partition("?")
        names = {name for name, _ in pairs}
        kept = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] not in names]
        return replace(self, url=f"{path}?{urlencode([*kept, *pairs], quote_via=quote)}")

    def with_cookies(self, *pairs: tuple[str, str]) -> MadeUp:
        """The same with these cookies."""
        return replace(self, cookies=tuple({**dict(self.cookies), **dict(pairs)}.items()))

    def with_headers(self, *pairs: tuple[str, str]) -> MadeUp:
        """The same with these headers."""
        names = {name.lower() for name, _ in pairs}
        kept = [pair for pair in self.headers if pair[0].lower() not in names]
        return replace(self, headers=(*kept, *pairs))

    def with_session(self, *pairs: tuple[str, Any]) -> MadeUp:
        """The same with these in its session."""
        return replace(self, session=tuple({**dict(self.session), **dict(pairs)}.items()))

    def with_globals(self, *pairs: tuple[str, Any]) -> MadeUp:
        """The same with these in ``flask.g``."""
        return replace(self, globals=tuple({**dict(self.globals), **dict(pairs)}.items()))


@dataclass(frozen=True)
class Answer:
    """What became of one question.

    Attributes:
        asked: The request.
        ending: How it ended.
        key: The key, if it ended with one.
        endpoint: The endpoint it matched.
        arguments: The route's arguments as they were asked for.
        processed: Those that the view would get.
        reason: Why there is no key.
        missed: Names that ``flask.g`` was asked for and had not.
        assigned: Names that got a value in ``flask.g``, by a ``url_value_preprocessor`` say.
        call: The call, where it was one.
        inner: Of further caches that the call goes through, the outermost first.
    """

    asked: MadeUp
    ending: Ending
    key: str | None = None
    endpoint: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    processed: Mapping[str, Any] = field(default_factory=dict[str, Any])
    reason: str = ""
    missed: frozenset[str] = frozenset()
    assigned: frozenset[str] = frozenset()
    call: str = ""
    inner: tuple[Answer, ...] = ()

    def at(self, layer: int) -> Answer:
        """The answer of one of the caches: 0 for the outermost."""
        if layer == 0:
            return self
        inside = layer <= len(self.inner)
        return self.inner[layer - 1] if inside else replace(self, ending="elsewhere", key=None)


class Asker:
    """Asks one application's cache; counts how often.

    Args:
        cache: The cache.
        app: The application, whose context is to be entered with :meth:`context`.

    Attributes:
        requests: How many questions were asked.
        teardown_error: What a teardown function raised when the context was left; else empty.
    """

    def __init__(self, cache: Cache, app: Flask) -> None:
        self._cache = cache
        self._app = app
        self._globals: dict[str, Any] = {}
        self.requests = 0
        self.teardown_error = ""

    @contextmanager
    def context(self) -> Generator[None]:
        """The application context that all questions are asked in, with a watched ``flask.g``."""
        context: Any = self._app.app_context()
        context.push()
        try:
            own = context.g
            watch(own)
            self._globals = cast("dict[str, Any]", getattr(own, "__dict__", {}))
            yield
        finally:
            try:
                context.pop()
            except Exception as error:
                # What was found is to be told, whatever the application does at the end.
                self.teardown_error = f"{type(error).__name__}: {error}"

    def ask(
        self, asked: MadeUp, endpoint: str | None = None, arguments: Mapping[str, Any] | None = None
    ) -> Answer:
        """The key of a request.

        Args:
            asked: The request.
            endpoint: Where it should lead; ``None`` for anywhere.
            arguments: The route's arguments that its URL was built of.
        """
        with self._prepared(asked) as seen:
            url, method, headers = self._line(asked)
            known = self._cache.explain(url, method, headers, **self._rest(asked))
        plain = _answer(asked, known, seen)
        if endpoint is not None and known.endpoint != endpoint:
            return replace(plain, ending="elsewhere", key=None)
        inner = tuple(_answer(asked, each, seen) for each in known.inner)
        if arguments is None:
            return replace(plain, inner=inner)
        inner = tuple(
            replace(each, arguments=arguments, processed=plain.processed) for each in inner
        )
        return replace(plain, arguments=arguments, inner=inner)

    def call(self, asked: MadeUp | None, function: Any, call: Call, shown: str) -> Answer:
        """The key of a call, made inside a request.

        Args:
            asked: The request; ``None`` for a call outside of any.
            function: A memoized function or a cached helper.
            call: Its arguments.
            shown: The call, as one would write it.
        """
        if asked is None:
            asked = MadeUp("")
            with self._prepared(asked) as seen:
                known = self._cache.explain_call(function, *call.args, **call.kwargs)
        else:
            with self._prepared(asked) as seen, self._request(asked):
                known = self._cache.explain_call(function, *call.args, **call.kwargs)
        return replace(_answer(asked, known, seen), call=shown)

    @contextmanager
    def _prepared(self, asked: MadeUp) -> Generator[Seen]:
        """Whatever is to be there before a question, and what is seen of ``flask.g``."""
        self.requests += 1
        before = dict(self._globals)
        self._globals.update(asked.globals)
        try:
            with seeing() as seen:
                yield seen
        finally:
            self._globals.clear()
            self._globals.update(before)

    @contextmanager
    def _request(self, asked: MadeUp) -> Generator[None]:
        url, method, headers = self._line(asked)
        context = self._app.test_request_context(
            url, method=method, headers=headers, **self._rest(asked)
        )
        with as_current(self._app, context):
            yield

    def _line(self, asked: MadeUp) -> tuple[str, str, dict[str, str]]:
        headers = dict(asked.headers)
        cookies = [f"{name}={value}" for name, value in self.cookies(asked)]
        if cookies:
            headers["Cookie"] = "; ".join(cookies)
        return asked.url, asked.method, headers

    def _rest(self, asked: MadeUp) -> dict[str, Any]:
        environ: dict[str, Any] = {}
        if asked.root:
            config: dict[str, Any] = dict(self._app.config)
            host = urlsplit(asked.url).netloc or config.get("SERVER_NAME") or "localhost"
            environ["base_url"] = f"http://{host}{asked.root}"
        if asked.environ:
            environ["environ_base"] = dict(asked.environ)
        if asked.fields:
            environ["data"] = dict(asked.fields)
        elif asked.body:
            environ["data"] = asked.body
        if asked.content_type:
            environ["content_type"] = asked.content_type
        return environ

    # Sessions.

    def signs_sessions(self) -> bool:
        """Whether sessions can be made up: the application keeps them in a signed cookie."""
        interface = self._app.session_interface
        return isinstance(interface, SecureCookieSessionInterface) and bool(self._app.secret_key)

    def has_sessions(self) -> bool:
        """Whether the application has sessions at all."""
        interface = self._app.session_interface
        return not isinstance(interface, SecureCookieSessionInterface) or self.signs_sessions()

    def cookies(self, asked: MadeUp) -> _Pairs:
        """The cookies of a request, that of its session among them.

        A session that the server keeps cannot be made up: its cookie is one that nobody has.
        """
        if not (asked.session and self.has_sessions()):
            return asked.cookies
        interface = self._app.session_interface
        if isinstance(interface, SecureCookieSessionInterface):
            serializer: Any = interface.get_signing_serializer(self._app)
            value = serializer.dumps(dict(asked.session))
        else:
            value = hashlib.sha256(repr(asked.session).encode()).hexdigest()[:32]
        name = interface.get_cookie_name(self._app)
        return (*(pair for pair in asked.cookies if pair[0] != name), (name, value))

    def shown(self, answer: Answer) -> Shown:
        """One half of a demonstration."""
        asked = answer.asked
        settings = [f"g.{name} = {value!r}" for name, value in asked.globals]
        if asked.session:
            settings += [f"session[{name!r}] = {value!r}" for name, value in asked.session]
        settings += [f"{name} = {value}" for name, value in asked.environ]
        settings += [f"request.{name} = {value!r}" for name, value in asked.attributes]
        if asked.root:
            settings.append(f"SCRIPT_NAME = {asked.root}")
        setting = ", ".join(settings)
        if not asked.url:
            return Shown(None, answer.call, setting)
        content_type = asked.content_type
        body = asked.body
        if asked.fields:
            content_type = "application/x-www-form-urlencoded"
            body = "&".join(f"{name}={value}" for name, value in asked.fields)
        request = RequestSpec(
            asked.url,
            asked.method,
            headers=asked.headers,
            # Not that of the session: signed, it would let whoever reads the report in.
            cookies=asked.cookies,
            body=body,
            content_type=content_type,
        )
        return Shown(request, answer.call, setting)


def demonstrate(asker: Asker, first: Answer, second: Answer) -> Demonstration:
    """Two answers as a demonstration of their key, or of their keys if these differ."""
    shown = asker.shown(first), asker.shown(second)
    key, other = first.key or "", second.key or ""
    command = _command(shown[0], shown[1]) if _by_requests(first, second) else ""
    return Demonstration(*shown, key, "" if key == other else other, command)


def _by_requests(*answers: Answer) -> bool:
    """Whether requests say all there is to say of the questions."""
    asked = [answer.asked for answer in answers]
    return not any(answer.call for answer in answers) and not any(
        each.globals or each.environ or each.attributes or each.root or each.session
        for each in asked
    )


def _command(first: Shown, second: Shown) -> str:
    """What to type to see two requests' keys; empty if that would be too long to copy."""
    one, other = first.request, second.request
    if one is None or other is None:
        return ""
    if replace(one, url="") == replace(other, url=""):
        command = f"flask cache compare {_words(one.url, other.url)}{_options(one)}"
    else:
        # Its options hold for all of its URLs.
        asked = (f"flask cache explain {_words(each.url)}{_options(each)}" for each in (one, other))
        command = " && ".join(asked)
    return command if len(command) <= _COPIED else ""


def _options(request: RequestSpec) -> str:
    """What a request has beside its URL, as options of our commands."""
    words: list[str] = []
    if request.method != "GET":
        words += ["-X", request.method]
    for name, value in request.headers:
        words += ["-H", f"{name}: {value}"]
    for name, value in request.cookies:
        words += ["-b", f"{name}={value}"]
    if request.body:
        words += ["-d", request.body]
    if request.content_type:
        words += ["--content-type", request.content_type]
    return f" {_words(*words)}" if words else ""


def _words(*words: str) -> str:
    return shlex.join(words)


def _answer(asked: MadeUp, known: KeyExplanation, seen: Seen) -> Answer:
    ending = _ending(known)
    given = dict(known.arguments)
    key = known.key if ending == "key" else None
    return Answer(
        asked,
        ending,
        key,
        known.endpoint,
        given,
        given,
        known.reason,
        frozenset(seen.lacking),
        frozenset(seen.assigned),
    )


def _ending(known: KeyExplanation) -> Ending:
    if known.bypass not in _NOT_THE_REQUESTS:
        return "none" if known.bypass == "no_key" else "bypass"
    if known.key is not None:
        return "key"
    return "raised" if known.function is not None else "elsewhere"
