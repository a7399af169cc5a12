"""What a view reads of its request, input by input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import (
    Flask,
    abort,
    after_this_request,
    current_app,
    flash,
    g,
    get_flashed_messages,
    jsonify,
    make_response,
    redirect,
    render_template,
    render_template_string,
    request,
    send_file,
    session,
    url_for,
)
from flask.sessions import SessionInterface, SessionMixin
from jinja2 import DictLoader

from flask_caching import Cache
from flask_caching_instrumentation.recording import start_recording

Build = Callable[..., tuple[Flask, Cache]]

#: The request of each test, unless it says otherwise.
SENT: dict[str, Any] = {
    "query_string": "page=2&tag=b&tag=a",
    "headers": {
        "Accept-Language": "sv",
        "Authorization": "Basic YTpi",
        "Cookie": "theme=dark",
        "User-Agent": "tests",
    },
    "environ_overrides": {"REMOTE_ADDR": "10.0.0.7", "REMOTE_USER": "ann", "app.tenant": "acme"},
}


#: What reading all its headers by their names reads, but for the host.
SENT_HEADERS = {
    "header:Accept-Language",
    "header:Authorization",
    "header:Cookie",
    "header:User-Agent",
}


class See:
    """Runs a piece of code as a cached view, and says what was recorded."""

    def __init__(self, make_app: Build) -> None:
        self.app, self.cache = make_app()
        self.text = ""

    def __call__(self, read: Callable[[], Any], **sent: Any) -> set[str]:
        state = self.app.extensions["flask_caching"][self.cache]
        recorder = start_recording(state, 1.0)

        @self.app.route("/", methods=["GET", "POST"], endpoint="index")
        @self.cache.cached(methods=["GET", "POST"])
        def index() -> Any:
            value = read()
            return value if isinstance(value, self.app.response_class | str) else str(value)

        options = {**SENT, **sent}
        response = self.app.test_client(use_cookies=False).open("/", **options)
        self.text = response.get_data(as_text=True)
        return set(recorder.readings()["view", "index"].inputs)


@pytest.fixture
def see(make_app: Build) -> See:
    """``see(lambda: request.args)`` is what reading that reads."""
    return See(make_app)


def read_all(items: Any) -> list[Any]:
    """All items of something that can be gone through."""
    return [item for item in items]  # noqa: C416 - a loop is what is meant


def keywords(**items: Any) -> list[str]:
    """The names it was called with."""
    return list(items)


#: What is read, and which inputs that is.
QUERY: dict[str, tuple[Callable[[], Any], set[str]]] = {
    "get": (lambda: request.args.get("page"), {"query:page"}),
    "get with type": (lambda: request.args.get("page", 1, int), {"query:page"}),
    "get missing": (lambda: request.args.get("nothing"), {"query:nothing"}),
    "item": (lambda: request.args["page"], {"query:page"}),
    "in": (lambda: "page" in request.args, {"query:page"}),
    "getlist": (lambda: request.args.getlist("tag"), {"query:tag", "query_order:tag"}),
    "two": (lambda: request.args["page"] + request.args["tag"], {"query:page", "query:tag"}),
    "iteration": (lambda: read_all(request.args), {"query"}),
    "sorted": (lambda: sorted(request.args), {"query"}),
    "items": (lambda: read_all(request.args.items()), {"query"}),
    "items multi": (lambda: read_all(request.args.items(multi=True)), {"query"}),
    "keys": (lambda: read_all(request.args.keys()), {"query"}),
    "values of": (lambda: read_all(request.args.values()), {"query"}),
    "lists": (lambda: read_all(request.args.lists()), {"query"}),
    "listvalues": (lambda: read_all(request.args.listvalues()), {"query"}),
    "to_dict": (lambda: request.args.to_dict(), {"query"}),
    "to_dict not flat": (lambda: request.args.to_dict(flat=False), {"query"}),
    "len": (lambda: len(request.args), {"query"}),
    "bool": (lambda: bool(request.args), {"query"}),
    "equality": (lambda: request.args == {}, {"query"}),
    "inequality": (lambda: request.args != {}, {"query"}),
    "repr": (lambda: repr(request.args), {"query"}),
    "str": (lambda: f"{request.args}", {"query"}),
    "hash": (lambda: hash(request.args), {"query"}),
    "copy": (lambda: request.args.copy(), {"query"}),
    "query_string": (lambda: request.query_string, {"query"}),
    "full_path": (lambda: request.full_path, {"query"}),
    "values.get": (lambda: request.values.get("page"), {"query:page"}),
    "values item": (lambda: request.values["page"], {"query:page"}),
    "values.getlist": (lambda: request.values.getlist("tag"), {"query:tag", "query_order:tag"}),
    "values iterated": (lambda: read_all(request.values), {"query"}),
    "values.items": (lambda: read_all(request.values.items()), {"query"}),
    "dict": (lambda: dict(request.args), {"query", "query:page", "query:tag"}),
    "keywords": (lambda: keywords(**request.args), {"query", "query:page", "query:tag"}),
    "long name": (lambda: request.args.get("x" * 1000), {"query"}),
}

ADDRESS: dict[str, tuple[Callable[[], Any], set[str]]] = {
    "host": (lambda: request.host, {"host"}),
    "host_url": (lambda: request.host_url, {"host", "scheme"}),
    "url_root": (lambda: request.url_root, {"host", "scheme", "root"}),
    "root_url": (lambda: request.root_url, {"host", "scheme", "root"}),
    "base_url": (lambda: request.base_url, {"host", "scheme", "root"}),
    "url": (lambda: request.url, {"host", "scheme", "root", "query"}),
    "scheme": (lambda: request.scheme, {"scheme"}),
    "is_secure": (lambda: request.is_secure, {"scheme"}),
    "root_path": (lambda: request.root_path, {"root"}),
    "script_root": (lambda: request.script_root, {"root"}),
    "server": (lambda: request.server, {"host"}),
    "method": (lambda: request.method, {"method"}),
    "remote_addr": (lambda: request.remote_addr, {"remote_addr"}),
    "remote_user": (lambda: request.remote_user, {"remote_user"}),
    "access_route": (lambda: request.access_route, {"remote_addr", "header:X-Forwarded-For"}),
    "external link": (lambda: url_for("index", _external=True), {"host", "scheme", "root"}),
    "link": (lambda: url_for("index"), {"root"}),
    "repr": (lambda: repr(request), {"host", "scheme", "root", "query", "method"}),
}

HEADERS: dict[str, tuple[Callable[[], Any], set[str]]] = {
    "get": (lambda: request.headers.get("Accept-Language"), {"header:Accept-Language"}),
    "get with type": (lambda: request.headers.get("X-Page", 1, int), {"header:X-Page"}),
    "item": (lambda: request.headers["accept-language"], {"header:Accept-Language"}),
    "in": (lambda: "DNT" in request.headers, {"header:Dnt"}),
    "getlist": (lambda: request.headers.getlist("accept_language"), {"header:Accept-Language"}),
    "get_all": (lambda: request.headers.get_all("X-A"), {"header:X-A"}),
    "host": (lambda: request.headers["Host"], {"host"}),
    "cookie": (lambda: request.headers["Cookie"], {"header:Cookie"}),
    "iteration": (lambda: read_all(request.headers), {"headers"}),
    "items": (lambda: read_all(request.headers.items()), {"headers"}),
    "keys": (lambda: read_all(request.headers.keys()), {"headers"}),
    "values": (lambda: read_all(request.headers.values()), {"headers"}),
    "some of a dict": (lambda: dict(request.headers)["Host"], {"headers", "host", *SENT_HEADERS}),
    "len": (lambda: len(request.headers), {"headers"}),
    "str": (lambda: str(request.headers), {"headers"}),
    "repr": (lambda: repr(request.headers), {"headers"}),
    "equality": (lambda: request.headers == request.headers, {"headers"}),
    "to_wsgi_list": (lambda: request.headers.to_wsgi_list(), {"headers"}),
    "user_agent": (lambda: request.user_agent.string, {"header:User-Agent"}),
    "authorization": (lambda: request.authorization, {"header:Authorization"}),
    "accept_languages": (lambda: request.accept_languages.best, {"header:Accept-Language"}),
    "accept_mimetypes": (lambda: request.accept_mimetypes.best, {"header:Accept"}),
    "accept_encodings": (lambda: request.accept_encodings, {"header:Accept-Encoding"}),
    "accept_charsets": (lambda: request.accept_charsets, {"header:Accept-Charset"}),
    "is_json": (lambda: request.is_json, {"header:Content-Type"}),
    "mimetype": (lambda: request.mimetype, {"header:Content-Type"}),
    "mimetype_params": (lambda: request.mimetype_params, {"header:Content-Type"}),
    "content_type": (lambda: request.content_type, {"header:Content-Type"}),
    "content_length": (lambda: request.content_length, {"header:Content-Length"}),
    "content_encoding": (lambda: request.content_encoding, {"header:Content-Encoding"}),
    "content_md5": (lambda: request.content_md5, {"header:Content-Md5"}),
    "cache_control": (lambda: request.cache_control.no_cache, {"header:Cache-Control"}),
    "pragma": (lambda: request.pragma, {"header:Pragma"}),
    "date": (lambda: request.date, {"header:Date"}),
    "max_forwards": (lambda: request.max_forwards, {"header:Max-Forwards"}),
    "referrer": (lambda: request.referrer, {"header:Referer"}),
    "origin": (lambda: request.origin, {"header:Origin"}),
    "range": (lambda: request.range, {"header:Range"}),
    "if_match": (lambda: request.if_match, {"header:If-Match"}),
    "if_none_match": (lambda: request.if_none_match, {"header:If-None-Match"}),
    "if_modified_since": (lambda: request.if_modified_since, {"header:If-Modified-Since"}),
    "if_unmodified_since": (lambda: request.if_unmodified_since, {"header:If-Unmodified-Since"}),
    "if_range": (lambda: request.if_range, {"header:If-Range"}),
    "preflight method": (
        lambda: request.access_control_request_method,
        {"header:Access-Control-Request-Method"},
    ),
    "preflight headers": (
        lambda: request.access_control_request_headers,
        {"header:Access-Control-Request-Headers"},
    ),
    "twice": (
        lambda: (request.user_agent, request.headers.get("user-agent")),
        {"header:User-Agent"},
    ),
}

COOKIES: dict[str, tuple[Callable[[], Any], set[str]]] = {
    "get": (lambda: request.cookies.get("theme"), {"cookie:theme"}),
    "item": (lambda: request.cookies["theme"], {"cookie:theme"}),
    "in": (lambda: "seen" in request.cookies, {"cookie:seen"}),
    "iteration": (lambda: read_all(request.cookies), {"cookies"}),
    "items": (lambda: read_all(request.cookies.items()), {"cookies"}),
    "bool": (lambda: bool(request.cookies), {"cookies"}),
    "session": (lambda: session.get("user_id"), {"session:user_id"}),
}

ENVIRON: dict[str, tuple[Callable[[], Any], set[str]]] = {
    "REMOTE_ADDR": (lambda: request.environ["REMOTE_ADDR"], {"remote_addr"}),
    "REMOTE_USER": (lambda: request.environ.get("REMOTE_USER"), {"remote_user"}),
    "HTTP_": (lambda: request.environ.get("HTTP_X_TENANT"), {"header:X-Tenant"}),
    "HTTP_HOST": (lambda: request.environ["HTTP_HOST"], {"host"}),
    "QUERY_STRING": (lambda: request.environ["QUERY_STRING"], {"query"}),
    "REQUEST_METHOD": (lambda: request.environ["REQUEST_METHOD"], {"method"}),
    "SCRIPT_NAME": (lambda: request.environ["SCRIPT_NAME"], {"root"}),
    "SERVER_NAME": (lambda: request.environ["SERVER_NAME"], {"host"}),
    "url_scheme": (lambda: request.environ["wsgi.url_scheme"], {"scheme"}),
    "input": (lambda: request.environ["wsgi.input"], {"body"}),
    "CONTENT_TYPE": (lambda: "CONTENT_TYPE" in request.environ, {"header:Content-Type"}),
    "PATH_INFO": (lambda: request.environ["PATH_INFO"], set()),
    "errors": (lambda: request.environ["wsgi.errors"], set()),
    "version": (lambda: request.environ["wsgi.version"], set()),
    "of a middleware": (lambda: request.environ["app.tenant"], {"environ:app.tenant"}),
    "iteration": (lambda: read_all(request.environ), {"headers"}),
    "items": (lambda: len(read_all(request.environ.items())), {"headers"}),
    "len": (lambda: len(request.environ), {"headers"}),
    "its own": (lambda: (request.environ.update(mine="1"), request.environ["mine"]), set()),
}

NOTHING: dict[str, Callable[[], Any]] = {
    "nothing": lambda: "",
    "path": lambda: request.path,
    "endpoint": lambda: request.endpoint,
    "blueprint": lambda: request.blueprint,
    "rule": lambda: request.url_rule,
    "view_args": lambda: request.view_args,
    "application": lambda: current_app.name,
    "the request itself": lambda: bool(request) and request.__class__.__name__,
    "args without a look": lambda: request.args is None,
    "headers without a look": lambda: request.headers is None,
    "environ without a look": lambda: request.environ is None,
    "shallow": lambda: request.shallow,
    "jsonify": lambda: jsonify(a=1),
    "template": lambda: render_template_string("<p>{{ 1 + 1 }}</p>{{ config.DEBUG }}"),
    "redirect": lambda: redirect("/elsewhere"),
    "abort": lambda: abort(404),
    "make_response": lambda: make_response("text", 201, {"X-A": "b"}),
    "after_this_request": lambda: after_this_request(lambda response: response).__name__,
    "flash": lambda: flash("Saved."),
    "writing to the session": lambda: session.update(a=1) or session.__setitem__("b", 2),
    "a value of its own in the session": lambda: session.update({"n": 1}) or session["n"],
    "writing to g": lambda: setattr(g, "mine", 1) or g.mine,
    "g that is made on demand": lambda: "db" in g or setattr(g, "db", 1) or g.db,
    "its class": lambda: isinstance(request.args, dict),
}


@pytest.mark.parametrize("what", QUERY)
def test_the_query(see: See, what: str) -> None:
    """One parameter by its name, the whole query by its own."""
    read, inputs = QUERY[what]
    assert see(read) == inputs


@pytest.mark.parametrize("what", ADDRESS)
def test_where_it_was_sent(see: See, what: str) -> None:
    """Host, scheme, script root, method and peer are inputs; URLs are made of several."""
    read, inputs = ADDRESS[what]
    assert see(read) == inputs


@pytest.mark.parametrize("what", HEADERS)
def test_headers(see: See, what: str) -> None:
    """Whatever attribute leads there, and however the name is written."""
    read, inputs = HEADERS[what]
    assert see(read) == inputs


@pytest.mark.parametrize("what", COOKIES)
def test_cookies(see: See, what: str) -> None:
    """Reading a cookie is not reading the header, nor the one that the session came by."""
    read, inputs = COOKIES[what]
    assert see(read) == inputs


@pytest.mark.parametrize("what", ENVIRON)
def test_the_wsgi_environment(see: See, what: str) -> None:
    """Its keys are the same inputs by other names."""
    read, inputs = ENVIRON[what]
    assert see(read) == inputs


@pytest.mark.parametrize("what", NOTHING)
def test_what_reads_nothing(see: See, what: str) -> None:
    """What Flask reads to do its own work is no input of the view."""
    assert see(NOTHING[what]) == set()


# What was sent in the body.

POSTED: dict[str, Any] = {"method": "POST", "data": {"name": "ann", "age": "7"}}
AS_JSON: dict[str, Any] = {"method": "POST", "json": {"name": "ann"}}

BODIES: dict[str, tuple[Callable[[], Any], dict[str, Any], set[str]]] = {
    "form.get": (lambda: request.form.get("name"), POSTED, {"form:name"}),
    "form item": (lambda: request.form["name"], POSTED, {"form:name"}),
    "form.getlist": (lambda: request.form.getlist("name"), POSTED, {"form:name"}),
    "form iterated": (lambda: read_all(request.form), POSTED, {"form"}),
    "form.to_dict": (lambda: request.form.to_dict(), POSTED, {"form"}),
    "values of both": (
        lambda: request.values.get("name"),
        POSTED,
        {"query:name", "form:name"},
    ),
    "values found in the query": (lambda: request.values.get("page"), POSTED, {"query:page"}),
    "values iterated": (lambda: read_all(request.values), POSTED, {"query", "form"}),
    "files": (lambda: request.files.get("name"), POSTED, {"files"}),
    "data": (lambda: request.data, AS_JSON, {"body"}),
    "get_data": (lambda: request.get_data(), AS_JSON, {"body"}),
    "json": (lambda: request.json, AS_JSON, {"body"}),
    "get_json": (lambda: request.get_json(), AS_JSON, {"body"}),
    "stream": (lambda: request.stream.read(), AS_JSON, {"body"}),
    "no form in a GET": (lambda: request.form.get("name"), {}, {"form:name"}),
}


@pytest.mark.parametrize("what", BODIES)
def test_bodies(see: See, what: str) -> None:
    """Fields of a form by name; anything else of a body is all of it."""
    read, sent, inputs = BODIES[what]
    assert see(read, **sent) == inputs


def test_an_upload_and_a_form_in_debug_mode(see: See) -> None:
    """Where Flask explains a missing ``enctype``, what it looks at for that is no input."""
    see.app.debug = True
    assert see(lambda: request.form["name"], **POSTED) == {"form:name"}


def test_what_was_parsed_before_is_read_as_well(see: See) -> None:
    """By ``before_request``, which has made what the view only takes."""
    before: dict[str, Any] = {}

    @see.app.before_request
    def parse() -> None:
        before.update(args=request.args, agent=request.user_agent, host=request.host)
        read_all(request.cookies)
        read_all(request.headers)

    read = lambda: (before["args"].get("page"), request.user_agent, request.host)  # noqa: E731
    assert see(read) == {"query:page", "header:User-Agent", "host"}


# The session.


class OwnSession(dict[str, Any], SessionMixin):
    """A session as Flask's manual recommends to write one."""


class Slotted(SessionMixin):
    """A session with slots, around a dictionary."""

    __slots__ = ("items_of",)

    def __init__(self, items: dict[str, Any]) -> None:
        self.items_of = items

    def __getitem__(self, key: str) -> Any:
        return self.items_of[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.items_of[key] = value

    def __delitem__(self, key: str) -> None:
        del self.items_of[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.items_of)

    def __len__(self) -> int:
        return len(self.items_of)


class WithId(OwnSession):
    """A session that a server keeps, under an identity."""

    sid = "abc"
    new = True


class InFront:
    """A session that is only in front of another one, and no mapping by its class."""

    def __init__(self, items: dict[str, Any]) -> None:
        self.behind = OwnSession(items)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)

    def __getitem__(self, key: str) -> Any:
        return self.behind[key]


class OwnSessions(SessionInterface):
    """Opens the same session each time, and keeps what was saved."""

    def __init__(self, opened: Any) -> None:
        self.opened = opened
        self.saved: Any = None

    def open_session(self, app: Flask, request: Any) -> Any:
        return self.opened

    def save_session(self, app: Flask, session: Any, response: Any) -> None:
        self.saved = session


SESSION: dict[str, tuple[Callable[[], Any], set[str]]] = {
    "get": (lambda: session.get("user_id"), {"session:user_id"}),
    "item": (lambda: session["user_id"], {"session:user_id"}),
    "in": (lambda: "user_id" in session, {"session:user_id"}),
    "pop": (lambda: session.pop("user_id", None), {"session:user_id"}),
    "setdefault": (lambda: session.setdefault("user_id", 1), {"session:user_id"}),
    "iteration": (lambda: read_all(session), {"session"}),
    "items": (lambda: read_all(session.items()), {"session"}),
    "keys": (lambda: read_all(session.keys()), {"session"}),
    "values": (lambda: read_all(session.values()), {"session"}),
    "bool": (lambda: bool(session), {"session"}),
    "equality": (lambda: session == {}, {"session"}),
    "popitem": (lambda: session.popitem(), {"session"}),
    "what it has set": (lambda: (session.update(user_id=2), session["user_id"]), set()),
    "what it has deleted": (
        lambda: (session.__delitem__("user_id"), session.get("user_id")),
        set(),
    ),
}


@pytest.mark.parametrize("kind", [None, OwnSession, Slotted])
@pytest.mark.parametrize("what", SESSION)
def test_sessions(see: See, what: str, kind: Any) -> None:
    """Of Flask's own class, or of any other that an application has."""
    if kind is None:

        @see.app.before_request
        def log_in() -> None:
            session["user_id"] = 7
    else:
        see.app.session_interface = OwnSessions(kind({"user_id": 7}))
    read, inputs = SESSION[what]
    assert see(read) - {"session:user_id"} == inputs - {"session:user_id"}
    assert ("session:user_id" in inputs) <= (see.text != "")


@pytest.mark.parametrize(
    ("read", "inputs"),
    [
        (lambda: session["user_id"], {"session:user_id"}),
        (lambda: session.get("user_id"), {"session"}),
    ],
    ids=["by itself", "by the other"],
)
def test_a_session_in_front_of_another(see: See, read: Callable[[], Any], inputs: set[str]) -> None:
    """What it has by itself is told by name, what it passes on as a whole."""
    see.app.session_interface = OwnSessions(InFront({"user_id": 7}))
    assert see(read) == inputs
    assert see.text == "7"


@pytest.mark.parametrize("what", ["sid", "new"])
def test_whose_session_it_is(see: See, what: str) -> None:
    """Its identity is an input, and so is whether there was one."""
    see.app.session_interface = OwnSessions(WithId({"user_id": 7}))
    assert see(lambda: getattr(session, what)) == {"session"}


def test_a_session_that_is_not_there(see: See) -> None:
    """Without a secret key there is one to read, and an error for whoever writes."""
    see.app.secret_key = None
    assert see(lambda: session.get("user_id")) == {"session:user_id"}


def test_messages_to_show(see: See) -> None:
    """They come from the session; to add one is no look at those that are there."""
    assert see(lambda: get_flashed_messages()) == {"session:_flashes"}


# flask.g and the request object, which before_request functions fill.

GLOBALS: dict[str, tuple[Callable[[], Any], set[str]]] = {
    "attribute": (lambda: g.user, {"g:user"}),
    "getattr": (lambda: getattr(g, "user", None), {"g:user"}),
    "get": (lambda: g.get("user"), {"g:user"}),
    "in": (lambda: "user" in g, {"g:user"}),
    "pop": (lambda: g.pop("user"), {"g:user"}),
    "setdefault": (lambda: g.setdefault("user", 1), {"g:user"}),
    "iteration": (lambda: read_all(g), {"g:user", "g:kept"}),
    "in a template": (lambda: render_template_string("{{ g.user }}"), {"g:user"}),
    "missing": (lambda: g.get("missing"), {"g:missing"}),
    "missing in a template": (lambda: render_template_string("{{ g.no }}"), {"g:no"}),
    "missing and set": (lambda: g.get("mine") or setattr(g, "mine", 1), set()),
    "overwritten": (lambda: setattr(g, "user", "bob") or g.user, set()),
    "on the request": (lambda: getattr(request, "tenant"), {"request:tenant"}),  # noqa: B009
    "set on the request": (lambda: setattr(request, "x", 1) or getattr(request, "x"), set()),  # noqa: B009
}


@pytest.mark.parametrize("what", GLOBALS)
def test_what_was_set_before(see: See, what: str) -> None:
    """It is an input if it was there before the view, or is missing and stays so."""

    @see.app.before_request
    def fill() -> None:
        g.user, g.kept = "ann", 1
        setattr(request, "tenant", "acme")  # noqa: B010

    read, inputs = GLOBALS[what]
    assert see(read) == inputs


def test_the_users_own_request_class(make_app: Build) -> None:
    """What its attributes read is what they read, and so is what it has worked out before."""
    see = See(make_app)

    class Own(see.app.request_class):  # type: ignore[misc,name-defined]
        @property
        def user_agent(self) -> str:
            return str(self.headers["X-Device"])

        @property
        def language(self) -> str:
            return str(self.args.get("lang") or self.headers.get("Accept-Language"))

    see.app.request_class = Own
    read = lambda: (request.user_agent, getattr(request, "language"))  # noqa: B009, E731
    assert see(read, headers={"X-Device": "phone"}) == {
        "header:User-Agent",
        "header:X-Device",
        "header:Accept-Language",
        "query:lang",
    }


@pytest.mark.parametrize("kind", [dict, None])
def test_parameters_of_another_class(make_app: Build, kind: Any) -> None:
    """One whose objects cannot be watched is an input as a whole."""
    see = See(make_app)

    class Own(see.app.request_class):  # type: ignore[misc,name-defined]
        parameter_storage_class = kind or type("Mine", (dict,), {})

    see.app.request_class = Own
    assert see(lambda: request.args.get("page")) == ({"query:page"} if kind is None else {"query"})


# What gets in between.


def test_send_file_reads_what_makes_it_conditional(see: See, tmp_path: Any) -> None:
    """The headers of conditional requests and ranges, and nothing more."""
    path = tmp_path / "file.txt"
    path.write_text("text")
    inputs = see(lambda: send_file(str(path)))
    assert {name.rpartition("-")[0] for name in inputs} <= {
        "header:If",
        "header:If-None",
        "header:If-Modified",
        "",
    }
    assert inputs - {"header:Range"} == {name for name in inputs if name.startswith("header:If-")}


# Context processors.

PAGES = {
    "page.html": "{% extends 'base.html' %}{% block body %}text{% endblock %}",
    "base.html": "<title>{{ site }}</title>{% block body %}{% endblock %}{% include 'foot.html' %}",
    "foot.html": "{% macro link(to) %}<a href='{{ to }}'></a>{% endmacro %}{{ link('/') }}",
    "user.html": "{% extends 'base.html' %}{% block body %}{{ user.name }}{% endblock %}",
    "below.html": "{% extends 'user.html' %}",
    "included.html": "{% if true %}{% include 'user.html' %}{% endif %}",
    "one of.html": "{% include ['missing.html', 'user.html'] %}",
    "imported.html": "{% from 'macros.html' import hello with context %}{{ hello() }}",
    "macros.html": "{% macro hello() %}{{ user }}{% endmacro %}",
    "computed.html": "{% include name %}",
    "inherits.html": "{% extends name %}",
    "passed.html": "{{ user }}",
}


@pytest.fixture
def pages(see: See) -> See:
    """An application whose templates get a user, as Flask-Login's do, and the name of the site."""
    see.app.jinja_loader = DictLoader(PAGES)

    @see.app.context_processor
    def user() -> dict[str, Any]:
        return {"user": session.get("user_id")}

    @see.app.context_processor
    def site() -> dict[str, Any]:
        return dict(site=request.host)  # noqa: C408 - as applications write it

    return see


@pytest.mark.parametrize(
    ("page", "inputs"),
    [
        ("page.html", {"host"}),
        ("foot.html", set()),
        ("user.html", {"host", "session:user_id"}),
        ("below.html", {"host", "session:user_id"}),
        ("included.html", {"host", "session:user_id"}),
        ("one of.html", {"host", "session:user_id"}),
        ("imported.html", {"session:user_id"}),
        ("computed.html", {"host", "session:user_id"}),
        ("inherits.html", {"host", "session:user_id"}),
    ],
)
def test_what_a_context_processor_reads(pages: See, page: str, inputs: set[str]) -> None:
    """It counts if the template uses what that gives, wherever in what it is made of."""
    assert pages(lambda: render_template(page, name="foot.html")) == inputs


def test_what_the_view_passes_is_not_the_processors(pages: See) -> None:
    """A view's own values win over those of processors, and are used in their place."""
    assert pages(lambda: render_template("passed.html", user="ann")) == set()
    assert pages.text == "ann"


def test_several_pages_of_one_view(pages: See) -> None:
    """Each template says for itself; one made from text does, too."""
    text = "{{ site }}"
    read = lambda: render_template("foot.html") + render_template_string(text)  # noqa: E731
    assert pages(read) == {"host"}


def test_a_processor_that_says_nothing_of_what_it_gives(pages: See) -> None:
    """Then any variable that nobody else is known to have given may be its own."""
    pages.app.context_processor(lambda: dict.fromkeys(request.cookies, 1))
    pages.app.jinja_loader = DictLoader({"page.html": "{{ theme }}", "plain.html": "text"})
    assert pages(lambda: render_template("page.html")) == {"cookies"}


def test_a_context_that_flask_does_not_render(pages: See) -> None:
    """Nobody knows what becomes of it, so all that was read counts."""
    read = lambda: current_app.update_template_context({})  # noqa: E731
    assert pages(read) == {"host", "session:user_id"}


def test_flask_login(make_app: Build) -> None:
    """A page without a user does not depend on who it is; one that shows the user does."""
    flask_login = pytest.importorskip("flask_login")
    for text, inputs in [("text", set()), ("{{ current_user.is_authenticated }}", {"session"})]:
        see = See(make_app)
        manager = flask_login.LoginManager(see.app)
        manager.user_loader(lambda name: None)
        found = see(lambda text=text: render_template_string(text))
        assert {name.partition(":")[0] for name in found} & {"session"} == inputs
