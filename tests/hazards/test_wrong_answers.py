"""Hazards 1 to 16: the wrong answer."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from flask import Flask, abort, make_response, render_template_string, request
from hazard_threads import Meeting, Worker

from flask_caching import Cache, make_template_fragment_key

MakeCache = Callable[..., Cache]


def collisions(cache: Cache) -> dict[str, Any]:
    return dict(cache.stats()["collisions"])


# 1


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "REPORT"])
def test_01_an_unsafe_methods_response_is_never_served_to_a_get(
    app: Flask, cache: Cache, method: str
) -> None:
    """Whatever a method other than GET and HEAD returns, the next GET runs the view."""

    @app.route("/", methods=["GET", method], provide_automatic_options=False)
    @cache.cached()
    def index() -> str:
        return request.method

    client = app.test_client()
    assert client.open("/", method=method).text == method
    assert client.get("/").text == "GET"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "REPORT"])
def test_01_a_cached_get_never_answers_another_method(
    app: Flask, cache: Cache, method: str
) -> None:
    """The body of a POST runs each time, and what it did not do does not evict the GET."""
    calls: list[str] = []

    @app.route("/", methods=["GET", method], provide_automatic_options=False)
    @cache.cached()
    def index() -> str:
        calls.append(request.method)
        return request.method

    client = app.test_client()
    assert client.get("/").text == "GET"
    assert client.open("/", method=method).text == method
    assert client.open("/", method=method).text == method
    assert client.get("/").text == "GET"
    assert calls == ["GET", method, method]
    assert cache.stats()["bypasses"] == {"method": 2}


# 2


def test_02_a_head_response_is_never_served_to_a_get(app: Flask, cache: Cache) -> None:
    """A view that returns nothing to HEAD does not empty the page of the next GET."""

    @app.route("/", methods=["GET", "HEAD"])
    @cache.cached()
    def index() -> str:
        return "" if request.method == "HEAD" else "body"

    client = app.test_client()
    assert client.head("/").data == b""
    assert client.get("/").text == "body"


def test_02_a_head_request_is_answered_from_the_entry_of_get(app: Flask, cache: Cache) -> None:
    """HEAD finds what GET stored: the same headers, no body, and the view does not run."""
    calls: list[str] = []

    @app.route("/")
    @cache.cached()
    def index() -> str:
        calls.append(request.method)
        return "body"

    client = app.test_client()
    client.get("/")
    head = client.head("/")
    assert (head.data, head.content_length) == (b"", 4)
    assert client.get("/").text == "body"
    assert calls == ["GET"]


# 3


def test_03_a_response_is_served_only_to_requests_that_select_it(app: Flask, cache: Cache) -> None:
    """JSON that says ``Vary: Accept`` is not served to a browser, nor the page to a script."""

    @app.route("/")
    @cache.cached()
    def index() -> Any:
        wants_json = request.accept_mimetypes.best == "application/json"
        response = make_response("{}" if wants_json else "<p>")
        response.vary.add("Accept")
        return response

    client = app.test_client()
    for _ in range(2):
        assert client.get("/", headers={"Accept": "application/json"}).text == "{}"
        assert client.get("/", headers={"Accept": "text/html"}).text == "<p>"
        assert client.get("/").text == "<p>"


@pytest.mark.parametrize(
    "vary", [["Accept, Accept-Language"], ["accept,ACCEPT-LANGUAGE"], ["Accept", "Accept-Language"]]
)
def test_03_every_header_that_vary_names_counts(app: Flask, cache: Cache, vary: list[str]) -> None:
    """Several names in one line or in several, in any case: each of them selects."""
    calls = itertools.count()

    @app.route("/")
    @cache.cached()
    def index() -> Any:
        response = make_response(str(next(calls)))
        for line in vary:
            response.headers.add("Vary", line)
        return response

    client = app.test_client()

    def get(accept: str, language: str) -> str:
        return client.get("/", headers={"Accept": accept, "Accept-Language": language}).text

    assert get("a", "x") == "0"
    assert get("a", "x") == "0"
    assert get("a", "y") == "1"
    assert get("b", "y") == "2"
    assert get("b", "y") == "2"


def test_03_vary_on_everything_is_not_stored(app: Flask, cache: Cache) -> None:
    """``Vary: *`` says that no other request selects this response."""
    calls = itertools.count()

    @app.route("/")
    @cache.cached()
    def index() -> Any:
        return str(next(calls)), {"Vary": "Accept, *"}

    client = app.test_client()
    assert [client.get("/").text, client.get("/").text] == ["0", "1"]
    assert cache.stats()["refusals"] == {"vary_any": 2}


# 4


def with_cookie(form: str) -> Any:
    """A response that sets a cookie, in one of the forms that a view may return."""
    cookie = "session=first; Path=/"
    if form == "response":
        response = make_response("page")
        response.set_cookie("session", "first")
        return response
    if form == "abort":
        abort(make_response("page", 200, {"Set-Cookie": cookie}))
    if form == "response in tuple":
        return make_response("page"), 200, {"Set-Cookie": cookie}
    if form == "header of response in tuple":
        response = make_response("page")
        response.set_cookie("session", "first")
        return response, {"X-Other": "1"}
    headers = [("Set-Cookie", cookie)] if form == "list" else {"set-cookie": cookie}
    return ("page", headers) if form == "pair" else ("page", 200, headers)


COOKIE_FORMS = [
    "response",
    "abort",
    "response in tuple",
    "header of response in tuple",
    "list",
    "pair",
    "triple",
]


@pytest.mark.parametrize("form", COOKIE_FORMS)
def test_04_a_response_that_sets_a_cookie_is_not_stored(
    app: Flask, cache: Cache, form: str
) -> None:
    """One visitor's cookie is never sent to the next, however the view sets it."""
    calls: list[str] = []

    @app.route("/")
    @cache.cached()
    def index() -> Any:
        calls.append(form)
        return with_cookie(form)

    client = app.test_client(use_cookies=False)
    for _ in range(2):
        assert client.get("/").headers["Set-Cookie"].startswith("session=first")
    assert calls == [form, form]
    assert cache.stats()["refusals"] == {"set_cookie": 2}


@pytest.mark.parametrize("form", COOKIE_FORMS)
def test_04_a_response_filter_does_not_let_cookies_through(
    app: Flask, cache: Cache, form: str
) -> None:
    """A filter that accepts all statuses has not thought of cookies."""
    calls: list[str] = []

    @app.route("/")
    @cache.cached(response_filter=lambda response: True)
    def index() -> Any:
        calls.append(form)
        return with_cookie(form)

    client = app.test_client(use_cookies=False)
    client.get("/")
    client.get("/")
    assert calls == [form, form]


@pytest.mark.parametrize("form", COOKIE_FORMS)
def test_04_store_cookies_stores_and_sends_the_cookie(app: Flask, cache: Cache, form: str) -> None:
    """Where the application asks for it, everyone gets the cookie, from the cache."""
    calls: list[str] = []

    @app.route("/")
    @cache.cached(store_cookies=True)
    def index() -> Any:
        calls.append(form)
        return with_cookie(form)

    client = app.test_client(use_cookies=False)
    first, second = client.get("/"), client.get("/")
    assert first.headers["Set-Cookie"] == second.headers["Set-Cookie"]
    assert calls == [form]


def test_04_a_session_cookie_is_not_part_of_the_entry(app: Flask, cache: Cache) -> None:
    """What Flask adds after the view, for this visitor, is not served to another."""
    from flask import session

    app.secret_key = "a secret"

    @app.route("/")
    @cache.cached()
    def index() -> str:
        session["user"] = "first"
        return "page"

    first = app.test_client().get("/")
    second = app.test_client().get("/")
    assert "Set-Cookie" in first.headers
    assert "Set-Cookie" not in second.headers


# 5


HOST_READERS: dict[str, Callable[[], str]] = {
    "host": lambda: request.host,
    "url": lambda: request.url,
    "base_url": lambda: request.base_url,
    "host_url": lambda: request.host_url,
    "url_root": lambda: request.url_root,
    "root_url": lambda: request.root_url,
    "headers[]": lambda: request.headers["Host"],
    "headers.get": lambda: request.headers.get("host", ""),
    "dict(headers)": lambda: dict(request.headers)["Host"],
}


@pytest.mark.parametrize("how", HOST_READERS)
def test_05_a_page_that_read_its_host_is_not_served_under_another(
    app: Flask, cache: Cache, how: str
) -> None:
    """In a plain application too: the entry was seen to depend on the host, so it is refused."""

    @app.route("/")
    @cache.cached()
    def index() -> str:
        return HOST_READERS[how]()

    client = app.test_client()
    for _ in range(2):
        assert "a.example" in client.get("/", base_url="http://a.example").text
        assert "b.example" in client.get("/", base_url="http://b.example").text
    assert collisions(cache) == {"host": {"reported": 0, "refused": 3}}


def test_05_a_page_that_did_not_read_its_host_is_shared(app: Flask, cache: Cache) -> None:
    """A page that is the same under every host is loaded once for all of them."""
    calls = itertools.count()

    @app.route("/")
    @cache.cached()
    def index() -> str:
        return str(next(calls))

    client = app.test_client()
    assert client.get("/", base_url="http://a.example").text == "0"
    assert client.get("/", base_url="http://b.example").text == "0"
    assert collisions(cache) == {}


def test_05_host_matching_never_shares_between_hosts() -> None:
    """Two tenants' views under one path keep their own pages, and each is cached."""
    app = Flask("hosts", host_matching=True, static_host="static.example")
    cache = Cache(app, config={"CACHE_TYPE": "SimpleCache"})
    calls: list[str] = []

    @app.route("/", host="<tenant>.example")
    @cache.cached()
    def index(tenant: str) -> str:
        calls.append(tenant)
        return tenant

    client = app.test_client()
    for _ in range(2):
        assert client.get("/", base_url="http://a.example").text == "a"
        assert client.get("/", base_url="http://b.example").text == "b"


@pytest.mark.parametrize("policy", ["report", "refuse"])
def test_05_subdomain_matching_never_shares_between_subdomains(policy: str) -> None:
    """A subdomain without a view argument of its own is another host all the same."""
    app = Flask("subdomains", subdomain_matching=True)
    app.config["SERVER_NAME"] = "example"
    cache = Cache(app, config={"CACHE_TYPE": "SimpleCache", "CACHE_COLLISIONS": policy})
    names = itertools.count()

    def view() -> str:
        return f"page {next(names)}"

    index = cache.cached()(view)
    app.add_url_rule("/", "index", index, subdomain="a")
    app.add_url_rule("/", "index", index, subdomain="b")
    client = app.test_client()
    assert client.get("/", base_url="http://a.example").text == "page 0"
    assert client.get("/", base_url="http://b.example").text == "page 1"
    assert collisions(cache) == {"host": {"reported": 0, "refused": 1}}


# 6


@pytest.mark.parametrize("status", [401, 403, 407, 408, 425, 429, 500, 502, 503, 504, 206, 304])
@pytest.mark.parametrize("how", ["response", "tuple", "text status", "abort"])
def test_06_a_passing_or_personal_status_is_not_replayed(
    app: Flask, cache: Cache, status: int, how: str
) -> None:
    """An error page of a moment, or of one visitor, is not stored; the next call runs."""
    answers = iter([status, 200])

    @app.route("/")
    @cache.cached()
    def index() -> Any:
        answer = next(answers)
        if answer == 200:
            return "fine"
        if how == "response":
            return make_response("no", answer)
        if how == "tuple":
            return "no", answer
        if how == "text status":
            return "no", f"{answer} NO"
        abort(make_response("no", answer))

    client = app.test_client()
    assert client.get("/").status_code == status
    assert client.get("/").text == "fine"
    assert cache.stats()["refusals"] == {"status": 1}


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_06_an_aborted_status_is_not_replayed(app: Flask, cache: Cache, status: int) -> None:
    """``abort(503)`` reaches the error handler and is forgotten."""
    answers = iter([status, 200])
    app.register_error_handler(status, lambda error: ("handled", status))

    @app.route("/")
    @cache.cached()
    def index() -> str:
        answer = next(answers)
        if answer != 200:
            abort(answer)
        return "fine"

    client = app.test_client()
    first = client.get("/")
    assert (first.status_code, first.text) == (status, "handled")
    assert client.get("/").text == "fine"


def test_06_an_exception_is_not_replayed(app: Flask, cache: Cache) -> None:
    """An error of the view reaches the error handler once, and the next call runs."""
    answers = iter([ZeroDivisionError("down"), "fine"])
    app.register_error_handler(ZeroDivisionError, lambda error: (str(error), 503))

    @app.route("/")
    @cache.cached()
    def index() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = app.test_client()
    assert client.get("/").status_code == 503
    assert client.get("/").text == "fine"


@pytest.mark.parametrize("directive", ["no-store", "private", "max-age=60, private", "NO-STORE"])
def test_06_a_response_that_forbids_storing_is_not_stored(
    app: Flask, cache: Cache, directive: str
) -> None:
    """``Cache-Control`` of the response is obeyed, in any case and among others."""
    calls = itertools.count()

    @app.route("/")
    @cache.cached()
    def index() -> Any:
        return str(next(calls)), {"Cache-Control": directive}

    client = app.test_client()
    assert [client.get("/").text, client.get("/").text] == ["0", "1"]


def test_06_an_error_status_from_a_memoized_function_is_not_replayed(cache: Cache) -> None:
    """A memoized function that returns a response is judged like a view."""
    calls = itertools.count()

    @cache.memoize()
    def page(number: int) -> Any:
        return app_response(503 if next(calls) == 0 else 200)

    assert page(1).status_code == 503
    assert page(1).status_code == 200


def app_response(status: int) -> Any:
    from flask import Response

    return Response("x", status)


# 7


def test_07_positional_only_arguments_are_part_of_the_key(cache: Cache) -> None:
    """Each value of an argument before the slash has its own entry."""

    @cache.memoize()
    def double(x: int, /, y: int = 0) -> int:
        return 2 * x + y

    assert [double(1), double(2), double(1, 1), double(1, y=1)] == [2, 4, 3, 3]


def test_07_every_kind_of_argument_is_part_of_the_key(cache: Cache) -> None:
    """Positional-only, variadic, keyword-only and free keyword arguments all count."""

    @cache.memoize()
    def echo(a: Any, /, b: Any = 2, *rest: Any, c: Any = 3, **more: Any) -> Any:
        return (a, b, rest, c, tuple(sorted(more.items())))

    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((1,), {}),
        ((1, 3), {}),
        ((1, 2, 3), {}),
        ((1,), {"c": 4}),
        ((1,), {"d": 4}),
        ((1,), {"a": 4}),
        ((True,), {}),
        (("1",), {}),
        ((1.0,), {}),
    ]
    for args, kwargs in calls * 2:
        answer = echo(*args, **kwargs)
        assert repr(answer) == repr(echo.uncached(*args, **kwargs))
    assert cache.stats()["lookups"]["hit"] == len(calls)


# 8


def test_08_a_new_object_never_gets_the_values_of_one_that_is_gone(cache: Cache) -> None:
    """Objects without an identity share nothing, though one takes the address of another."""

    class Account:
        def __init__(self, owner: str) -> None:
            self.owner = owner

        @cache.memoize()
        def greeting(self) -> str:
            return f"Hello {self.owner}"

    seen: set[int] = set()
    reused = 0
    for number in range(200):
        account = Account(f"owner {number}")
        reused += id(account) in seen
        seen.add(id(account))
        assert account.greeting() == f"Hello owner {number}"
        assert account.greeting() == f"Hello owner {number}"
        del account
    assert reused, "no address was used twice, so nothing was tested"


def test_08_an_argument_without_identity_is_never_mistaken(cache: Cache) -> None:
    """The same for an argument, alone and inside a container."""

    class Thing:
        def __init__(self, number: int) -> None:
            self.number = number

    @cache.memoize()
    def number(things: Any) -> int:
        return int(things[0].number)

    for expected in range(100):
        assert number([Thing(expected)]) == expected


# 9


def test_09_large_arrays_and_frames_count_by_their_content(cache: Cache) -> None:
    """Two objects whose ``repr`` leaves out the middle do not share a value."""

    @cache.memoize()
    def total(values: Any) -> int:
        return int(np.asarray(values).sum())

    ones = np.ones(5000, dtype=int)
    other = ones.copy()
    other[2500] = 100
    assert repr(ones) == repr(other)
    assert (total(ones), total(other), total(ones)) == (5000, 5099, 5000)
    frame, other_frame = pd.DataFrame({"a": ones}), pd.DataFrame({"a": other})
    assert repr(frame) == repr(other_frame)
    assert (total(frame), total(other_frame)) == (5000, 5099)
    assert (total(frame.a), total(other_frame.a)) == (5000, 5099)
    assert cache.stats()["lookups"]["hit"] == 1


def test_09_containers_with_a_short_repr_count_by_their_content(cache: Cache) -> None:
    """A container of the application's own whose ``repr`` tells its length, not its items."""

    class Basket(list[int]):
        def __repr__(self) -> str:
            return f"<Basket of {len(self)}>"

    class Bag:
        def __init__(self, *items: int) -> None:
            self.items = items

        def __len__(self) -> int:
            return len(self.items)

        def __repr__(self) -> str:
            return f"<Bag of {len(self)}>"

    @cache.memoize()
    def total(basket: Any) -> int:
        return sum(basket if isinstance(basket, list) else basket.items)

    assert (total(Basket([1, 2])), total(Basket([3, 4]))) == (3, 7)
    assert (total(Bag(1, 2)), total(Bag(3, 4))) == (3, 7)


# 10


def test_10_two_closures_of_one_factory_do_not_share(cache: Cache) -> None:
    """What the factory was given tells its functions apart."""

    def multiplier(factor: int) -> Any:
        @cache.memoize()
        def multiply(x: int) -> int:
            return factor * x

        return multiply

    double, triple = multiplier(2), multiplier(3)
    assert (double(2), triple(2), double(2)) == (4, 6, 4)


def test_10_two_lambdas_do_not_share(cache: Cache) -> None:
    """Lambdas of one place and one name, on one line or on several."""
    first, second = cache.memoize()(lambda x: x + 1), cache.memoize()(lambda x: x + 2)
    third = cache.memoize()(lambda x: x + 3)
    assert (first(1), second(1), third(1), first(1)) == (2, 3, 4, 2)


def test_10_a_subclass_and_its_base_do_not_share(cache: Cache) -> None:
    """A method inherited by two classes answers for each of them."""

    class Base:
        name = "base"

        @classmethod
        @cache.memoize()
        def whose(cls) -> str:
            return cls.name

        @cache.memoize()
        def mine(self) -> str:
            return self.name

        def __repr__(self) -> str:
            return "<thing>"

    class Derived(Base):
        name = "derived"

    assert (Base.whose(), Derived.whose()) == ("base", "derived")
    assert (Base().mine(), Derived().mine()) == ("base", "derived")


def test_10_two_functions_of_one_name_do_not_share(cache: Cache) -> None:
    """A function redefined under its name is another function."""

    @cache.memoize()
    def answer() -> int:
        return 1

    first = answer

    @cache.memoize()
    def answer() -> int:
        return 2

    assert (first(), answer()) == (1, 2)


# 11


def dynamic(app: Flask, cache: Cache, **options: Any) -> Any:
    @app.route("/p/<int:id>")
    @cache.cached(key_prefix="product", **options)
    def product(id: int) -> str:
        return f"product {id}"

    return app.test_client()


def test_11_a_constant_key_on_a_dynamic_route_is_reported(app: Flask, cache: Cache) -> None:
    """As ever every id gets the first page, but now the collision is counted as what it is."""
    client = dynamic(app, cache)
    assert [client.get(f"/p/{id}").text for id in (1, 1, 2, 3)] == ["product 1"] * 4
    assert collisions(cache) == {"arguments": {"reported": 2, "refused": 0}}


@pytest.mark.parametrize("where", ["configuration", "decorator"])
def test_11_a_constant_key_on_a_dynamic_route_is_refused_on_request(
    app: Flask, make_cache: MakeCache, where: str
) -> None:
    """With "refuse" each id gets its own page, whatever is in the store."""
    if where == "configuration":
        cache = make_cache(CACHE_COLLISIONS="refuse")
        client = dynamic(app, cache)
    else:
        cache = make_cache()
        client = dynamic(app, cache, collisions="refuse")
    for id in (1, 2, 2, 1):
        assert client.get(f"/p/{id}").text == f"product {id}"
    assert collisions(cache) == {"arguments": {"reported": 0, "refused": 2}}
    assert cache.stats()["lookups"]["hit"] == 1


def test_11_allow_says_nothing(app: Flask, cache: Cache) -> None:
    """An application that shares an entry on purpose says so, and no alarm rings."""
    client = dynamic(app, cache, collisions="allow")
    assert [client.get(f"/p/{id}").text for id in (1, 2)] == ["product 1"] * 2
    assert collisions(cache) == {}


@pytest.mark.parametrize("policy", ["report", "refuse"])
def test_11_a_helper_called_from_everywhere_is_no_collision(
    app: Flask, make_cache: MakeCache, policy: str
) -> None:
    """One constant key from several endpoints, methods and from outside a request."""
    cache = make_cache(CACHE_COLLISIONS=policy)
    calls: list[int] = []

    @cache.cached(key_prefix="all_comments")
    def comments() -> list[str]:
        calls.append(1)
        return ["first"]

    @app.route("/a/<int:id>", methods=["GET", "POST"])
    def a(id: int) -> dict[str, Any]:
        return {"all": comments()}

    @app.route("/b")
    def b() -> dict[str, Any]:
        return {"all": comments()}

    client = app.test_client()
    for _ in range(2):
        assert client.get("/a/1").json == {"all": ["first"]}
        assert client.post("/a/2").json == {"all": ["first"]}
        assert client.get("/b?x=1", base_url="http://other.example").json == {"all": ["first"]}
        with app.app_context():
            assert comments() == ["first"]
    assert calls == [1]
    assert collisions(cache) == {}


@pytest.mark.parametrize("policy", ["report", "refuse"])
def test_11_two_helpers_on_one_key_collide(
    app: Flask, make_cache: MakeCache, in_app: Flask, policy: str
) -> None:
    """Two functions that were given the same constant key by mistake."""
    cache = make_cache(CACHE_COLLISIONS=policy)

    @cache.cached(key_prefix="same")
    def one() -> str:
        return "one"

    @cache.cached(key_prefix="same")
    def two() -> str:
        return "two"

    assert one() == "one"
    assert two() == ("two" if policy == "refuse" else "one")
    action = "refused" if policy == "refuse" else "reported"
    assert collisions(cache)["endpoint"][action] == 1


def test_11_a_helper_with_arguments_under_one_key_collides(
    make_cache: MakeCache, in_app: Flask
) -> None:
    """A constant key for a function that takes arguments is the same mistake."""
    cache = make_cache(CACHE_COLLISIONS="refuse")

    @cache.cached(key_prefix="user")
    def user(id: int, detail: bool = False) -> str:
        return f"{id} {detail}"

    assert (user(1), user(2), user(2, detail=True)) == ("1 False", "2 False", "2 True")
    assert collisions(cache) == {"arguments": {"reported": 0, "refused": 2}}


def test_11_arguments_of_another_type_collide(app: Flask, make_cache: MakeCache) -> None:
    """``1`` from an int converter and ``"1"`` from another rule are different arguments."""
    cache = make_cache(CACHE_COLLISIONS="refuse")

    @app.route("/int/<int:id>")
    @app.route("/text/<id>")
    @cache.cached(key_prefix="thing")
    def thing(id: Any) -> str:
        return repr(id)

    client = app.test_client()
    assert [client.get(path).text for path in ("/int/1", "/text/1")] == ["1", "'1'"]
    assert collisions(cache) == {"arguments": {"reported": 0, "refused": 1}}


@pytest.mark.parametrize("policy", ["report", "refuse"])
@pytest.mark.parametrize(
    "read",
    [
        lambda: request.args["page"],
        lambda: request.args.get("page"),
        lambda: request.values["page"],
        lambda: request.query_string.decode()[-1],
        lambda: request.full_path[-1],
        lambda: request.url[-1],
    ],
    ids=["args", "args.get", "values", "query_string", "full_path", "url"],
)
def test_11_a_view_that_reads_a_query_its_key_leaves_out_collides(
    app: Flask, make_cache: MakeCache, policy: str, read: Callable[[], str]
) -> None:
    """Counted as kind "query" and served, or refused on request."""
    cache = make_cache(CACHE_COLLISIONS=policy)

    @app.route("/")
    @cache.cached()
    def index() -> str:
        return read()

    client = app.test_client()
    assert client.get("/?page=1").text == "1"
    assert client.get("/?page=1").text == "1"
    assert client.get("/?page=2").text == ("2" if policy == "refuse" else "1")
    counts = {"reported": int(policy == "report"), "refused": int(policy == "refuse")}
    assert collisions(cache) == {"query": counts}


def test_11_a_query_that_the_view_does_not_read_is_no_collision(app: Flask, cache: Cache) -> None:
    """Any ``?utm_source`` would ring the alarm otherwise."""
    calls = itertools.count()

    @app.route("/")
    @cache.cached(collisions="refuse")
    def index() -> str:
        return str(next(calls))

    client = app.test_client()
    assert client.get("/?utm_source=a").text == "0"
    assert client.get("/?utm_source=b").text == "0"
    assert collisions(cache) == {}


def test_11_a_make_cache_key_that_confuses_methods_collides(
    app: Flask, make_cache: MakeCache
) -> None:
    """A key maker of the application's own may forget the method."""
    cache = make_cache(CACHE_COLLISIONS="refuse")

    @app.route("/", methods=["GET", "POST"])
    @cache.cached(make_cache_key=lambda: "fixed")
    def index() -> str:
        return request.method

    client = app.test_client()
    assert [client.get("/").text, client.post("/").text] == ["GET", "POST"]
    assert collisions(cache) == {"method": {"reported": 0, "refused": 1}}


def test_11_a_collision_with_two_loads_at_once_is_refused_too(
    app: Flask, make_cache: MakeCache, meeting: Meeting
) -> None:
    """A request that waits for another's load is not given a page made for other arguments."""
    cache = make_cache(CACHE_COLLISIONS="refuse")

    @app.route("/p/<int:id>")
    @cache.cached(key_prefix="product")
    def product(id: int) -> str:
        if id == 1:
            meeting.stop()
        return f"product {id}"

    first = Worker(lambda: app.test_client().get("/p/1").text)
    meeting.await_arrival()
    second = Worker(lambda: app.test_client().get("/p/2").text)
    meeting.release()
    assert (first.result(), second.result()) == ("product 1", "product 2")


# 12


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["a_b", "c"], ["a", "b_c"]),
        (["a", "b"], ["a:b"]),
        (["a:b", "c"], ["a", "b:c"]),
        (["a", ""], ["a"]),
        (["", "a"], ["a", ""]),
        (["a%3Ab"], ["a:b"]),
        (["1"], [1]),
        ([1], [True]),
        ([None], ["None"]),
        ([["a", "b"]], ["a", "b"]),
    ],
)
def test_12_different_vary_parts_make_different_keys(one: list[Any], other: list[Any]) -> None:
    """However the parts are cut, joined or typed."""
    assert make_template_fragment_key("name", one) != make_template_fragment_key("name", other)


def test_12_a_name_is_not_mistaken_for_a_part() -> None:
    """The fragment ``a:b`` and the fragment ``a`` with the part ``b``."""
    assert make_template_fragment_key("a:b") != make_template_fragment_key("a", ["b"])
    assert make_template_fragment_key("a:b", []) != make_template_fragment_key("a", ["b"])


def test_12_fragments_in_templates_keep_their_parts_apart(app: Flask, cache: Cache) -> None:
    """The tag makes the same keys as the function."""
    template = "{% cache 60, 'name', a, b %}{{ a }}|{{ b }}{% endcache %}"
    with app.test_request_context():
        assert render_template_string(template, a="a_b", b="c") == "a_b|c"
        assert render_template_string(template, a="a", b="b_c") == "a|b_c"
        assert render_template_string(template, a="a", b="b_c") == "a|b_c"


# 13


def test_13_views_with_a_path_argument_do_not_share_a_key_outside_a_request(
    app: Flask, cache: Cache
) -> None:
    """An argument called ``path`` is the view's, not the path of the request."""

    @app.route("/files/<path:path>")
    @cache.cached()
    def files(path: str) -> str:
        return f"file {path}"

    @app.route("/pages/<path:path>")
    @cache.cached()
    def pages(path: str) -> str:
        return f"page {path}"

    with app.app_context():
        assert files.make_cache_key(path="a/b") == "view//files/a/b"
        assert pages.make_cache_key(path="a/b") == "view//pages/a/b"
    client = app.test_client()
    assert [client.get("/files/a").text, client.get("/pages/a").text] == ["file a", "page a"]
    with app.app_context():
        assert cache.delete(files.make_cache_key(path="a"))
        assert cache.has(pages.make_cache_key(path="a"))


# 14


Invalidation = Callable[[Cache, Any], Any]

INVALIDATIONS: dict[str, Invalidation] = {
    "delete": lambda cache, f: cache.delete(f.make_cache_key()),
    "delete_many": lambda cache, f: cache.delete_many("other", f.make_cache_key()),
    "unlink": lambda cache, f: cache.unlink(f.make_cache_key()),
    "clear": lambda cache, f: cache.clear(),
    "delete_cached": lambda cache, f: cache.delete_cached(f),
}


@pytest.mark.parametrize("how", INVALIDATIONS)
def test_14_an_invalidation_during_the_load_of_a_view_is_not_undone(
    app: Flask, cache: Cache, meeting: Meeting, how: str
) -> None:
    """What was computed before the deletion is answered once, and never stored."""
    source = {"value": "old"}

    @app.route("/")
    @cache.cached()
    def index() -> str:
        value = source["value"]
        if value == "old":
            meeting.stop()
        return value

    loading = Worker(lambda: app.test_client().get("/").text)
    meeting.await_arrival()
    source["value"] = "new"
    with app.app_context():
        INVALIDATIONS[how](cache, index)
    meeting.release()
    assert loading.result() == "old"
    assert app.test_client().get("/").text == "new"
    assert cache.stats()["refusals"] == {"superseded": 1}


@pytest.mark.parametrize("how", INVALIDATIONS)
def test_14_a_request_after_the_invalidation_does_not_wait_for_the_old_load(
    app: Flask, cache: Cache, meeting: Meeting, how: str
) -> None:
    """It starts a load of its own, and gets and stores the new value."""
    source = {"value": "old"}

    @app.route("/")
    @cache.cached()
    def index() -> str:
        value = source["value"]
        if value == "old":
            meeting.stop()
        return value

    loading = Worker(lambda: app.test_client().get("/").text)
    meeting.await_arrival()
    source["value"] = "new"
    with app.app_context():
        INVALIDATIONS[how](cache, index)
    assert Worker(lambda: app.test_client().get("/").text).result() == "new"
    meeting.release()
    assert loading.result() == "old"
    assert app.test_client().get("/").text == "new"


def test_14_a_value_set_during_a_load_is_not_overwritten(
    app: Flask, cache: Cache, meeting: Meeting
) -> None:
    """``cache.set`` while the key is being loaded is the newer of the two."""

    def load() -> str:
        meeting.stop()
        return "old"

    def ask() -> str:
        with app.app_context():
            return cache.get_or_set("key", load)

    loading = Worker(ask)
    meeting.await_arrival()
    cache.set("key", "new")
    meeting.release()
    assert loading.result() == "old"
    assert cache.get("key") == "new"


@pytest.mark.parametrize("write", ["add", "set_many", "inc"])
def test_14_any_write_during_a_load_is_not_overwritten(
    app: Flask, cache: Cache, meeting: Meeting, write: str
) -> None:
    """The other ways to write a key count like ``set``."""

    def load() -> int:
        meeting.stop()
        return 1

    loading = Worker(lambda: cache.get_or_set("key", load))
    meeting.await_arrival()
    if write == "add":
        assert cache.add("key", 7)
    elif write == "set_many":
        cache.set_many({"key": 7})
    else:
        cache.inc("key", 7)
    meeting.release()
    assert loading.result() == 1
    assert cache.get("key") == 7


def test_14_an_add_that_stores_nothing_leaves_the_load_alone(cache: Cache) -> None:
    """A key that exists already is not invalidated by ``add``."""
    cache.set("key", 1)
    assert not cache.add("key", 2)
    assert cache.get("key") == 1


MEMOIZE_INVALIDATIONS: dict[str, Invalidation] = {
    "function": lambda cache, f: cache.delete_memoized(f),
    "attribute": lambda cache, f: f.delete_memoized(),
    "arguments": lambda cache, f: cache.delete_memoized(f, 1),
    "verhash": lambda cache, f: cache.delete_memoized_verhash(f),
    "delete": lambda cache, f: cache.delete(f.make_cache_key(f.uncached, 1)),
    "clear": lambda cache, f: cache.clear(),
}


@pytest.mark.parametrize("how", MEMOIZE_INVALIDATIONS)
def test_14_an_invalidation_during_the_load_of_a_memoized_call_is_not_undone(
    app: Flask, cache: Cache, meeting: Meeting, how: str
) -> None:
    """For the whole function, for one call, and through the version alone."""
    source = {"value": "old"}

    @cache.memoize()
    def read(x: int) -> str:
        value = source["value"]
        if value == "old":
            meeting.stop()
        return value

    loading = Worker(read, 1)
    meeting.await_arrival()
    source["value"] = "new"
    MEMOIZE_INVALIDATIONS[how](cache, read)
    meeting.release()
    assert loading.result() == "old"
    assert read(1) == "new"
    assert read(1) == "new"


@pytest.mark.parametrize("how", MEMOIZE_INVALIDATIONS)
def test_14_a_call_after_the_invalidation_never_gets_the_old_value(
    app: Flask, cache: Cache, meeting: Meeting, how: str
) -> None:
    """Though the old load is still under way, and ends before the new call has its answer."""
    source = {"value": "old"}

    @cache.memoize()
    def read(x: int) -> str:
        value = source["value"]
        if value == "old":
            meeting.stop()
        return value

    loading = Worker(read, 1)
    meeting.await_arrival()
    source["value"] = "new"
    MEMOIZE_INVALIDATIONS[how](cache, read)
    after = Worker(read, 1)
    meeting.release()
    assert loading.result() == "old"
    assert after.result() == "new"
    assert read(1) == "new"


@pytest.mark.parametrize("how", MEMOIZE_INVALIDATIONS)
def test_14_a_call_after_the_invalidation_does_not_wait_for_the_old_load(
    app: Flask, cache: Cache, meeting: Meeting, how: str
) -> None:
    """Nothing of the old load is of use to it, so it starts its own at once."""
    source = {"value": "old"}

    @cache.memoize()
    def read(x: int) -> str:
        value = source["value"]
        if value == "old":
            meeting.stop()
        return value

    loading = Worker(read, 1)
    meeting.await_arrival()
    source["value"] = "new"
    MEMOIZE_INVALIDATIONS[how](cache, read)
    assert Worker(read, 1).result() == "new"
    meeting.release()
    assert loading.result() == "old"
    assert read(1) == "new"


def test_14_an_instances_invalidation_during_its_load_is_not_undone(
    app: Flask, cache: Cache, meeting: Meeting
) -> None:
    """Deleting the values of one instance while one of them is being made."""
    source = {"value": "old"}

    class Reader:
        @cache.memoize()
        def read(self) -> str:
            value = source["value"]
            if value == "old":
                meeting.stop()
            return value

    reader = Reader()
    loading = Worker(reader.read)
    meeting.await_arrival()
    source["value"] = "new"
    cache.delete_memoized(reader.read)
    meeting.release()
    assert loading.result() == "old"
    assert reader.read() == "new"


def test_14_a_fragment_deleted_while_it_renders_is_not_stored(
    app: Flask, cache: Cache, meeting: Meeting
) -> None:
    """``cache.delete`` of a fragment's key from another request."""
    source = {"value": "old"}

    def read() -> str:
        value = source["value"]
        if value == "old":
            meeting.stop()
        return value

    def render() -> str:
        with app.test_request_context():
            template = "{% cache 60, 'news' %}{{ read() }}{% endcache %}"
            return render_template_string(template, read=read)

    loading = Worker(render)
    meeting.await_arrival()
    source["value"] = "new"
    cache.delete(make_template_fragment_key("news"))
    meeting.release()
    assert loading.result() == "old"
    assert render() == "new"


# 15


def test_15_a_memoized_generator_gives_its_items_to_every_call(cache: Cache) -> None:
    """Each call gets an iterator of its own, which another's reading does not exhaust."""
    calls: list[int] = []

    @cache.memoize()
    def words(count: int) -> Any:
        calls.append(count)
        yield from ["alpha", "beta", "gamma"][:count]

    first, second = words(3), words(3)
    assert next(first) == "alpha"
    assert list(second) == ["alpha", "beta", "gamma"]
    assert list(first) == ["beta", "gamma"]
    assert list(words(3)) == ["alpha", "beta", "gamma"]
    assert calls == [3]


def test_15_a_cached_generator_helper_gives_its_items_to_every_call(
    cache: Cache, in_app: Flask
) -> None:
    """The same under ``@cached``."""
    calls: list[int] = []

    @cache.cached(key_prefix="words")
    def words() -> Any:
        calls.append(1)
        yield "alpha"
        yield "beta"

    assert [list(words()) for _ in range(3)] == [["alpha", "beta"]] * 3
    assert calls == [1]


def test_15_a_generator_that_gives_too_much_is_not_stored_and_loses_nothing(
    make_cache: MakeCache,
) -> None:
    """What was read to find out comes first, the rest follows."""
    cache = make_cache(CACHE_STREAM_LIMIT=10)

    @cache.memoize()
    def lines() -> Any:
        yield from ("line" * 2 for _ in range(5))

    assert [list(lines()) for _ in range(2)] == [["lineline"] * 5] * 2
    assert cache.stats()["refusals"] == {"too_large": 2}


def test_15_an_iterator_is_not_consumed_by_the_cache(cache: Cache) -> None:
    """``map``, ``zip`` and the like reach the caller whole, stored or not."""

    @cache.memoize()
    def numbers() -> Any:
        return iter([1, 2, 3])

    assert [list(numbers()) for _ in range(3)] == [[1, 2, 3]] * 3


# 16


ROUTES = ["get", "get_many", "get_dict", "memoize", "helper", "get_or_set"]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("value", [{"a": [1]}, [[1]], ([1],), {"a": {1, 2}}], ids=repr)
def test_16_a_caller_that_changes_a_value_changes_nobody_elses(
    cache: Cache, in_app: Flask, route: str, value: Any
) -> None:
    """On every way out of the cache, the very first included."""
    import copy

    original = copy.deepcopy(value)

    def make() -> Any:
        return copy.deepcopy(original)

    memoized = cache.memoize()(make)
    helper = cache.cached(key_prefix="helper")(make)
    cache.set("key", make())
    ways: dict[str, Callable[[], Any]] = {
        "get": lambda: cache.get("key"),
        "get_many": lambda: cache.get_many("key")[0],
        "get_dict": lambda: cache.get_dict("key")["key"],
        "memoize": memoized,
        "helper": helper,
        "get_or_set": lambda: cache.get_or_set("other", make),
    }
    for _ in range(3):
        found = ways[route]()
        assert found == original
        spoil(found)


def spoil(value: Any) -> None:
    """Change the innermost container of a value."""
    while True:
        if isinstance(value, dict):
            inner = value["a"]
        elif isinstance(value, set):
            value.add("spoilt")
            return
        else:
            inner = value[0]
        if not isinstance(inner, list | dict | set):
            value.append("spoilt")
            return
        value = inner


def test_16_a_value_changed_after_set_is_stored_as_it_was(cache: Cache) -> None:
    """``set`` takes a snapshot."""
    value = {"a": [1]}
    for key in ("set", "add", "many"):
        {
            "set": lambda: cache.set("set", value),
            "add": lambda: cache.add("add", value),
            "many": lambda: cache.set_many({"many": value}),
        }[key]()
    spoil(value)
    assert [cache.get(key) for key in ("set", "add", "many")] == [{"a": [1]}] * 3


def test_16_a_waiters_value_is_its_own(app: Flask, cache: Cache, meeting: Meeting) -> None:
    """Callers who are served by one load do not share its value."""

    @cache.memoize()
    def read() -> list[int]:
        meeting.stop()
        return [1]

    workers = [Worker(read) for _ in range(4)]
    meeting.await_arrival()
    meeting.release()
    found = [worker.result() for worker in workers]
    found[0].append(2)
    assert [len(value) for value in found] == [2, 1, 1, 1]
    assert len({id(value) for value in found}) == 4


def test_16_a_response_changed_by_one_request_is_not_changed_for_the_next(
    app: Flask, cache: Cache
) -> None:
    """``after_request`` functions and the view's callers work on a response of their own."""
    seen = itertools.count()

    @app.after_request
    def number(response: Any) -> Any:
        response.headers.add("X-Number", str(next(seen)))
        response.set_data(response.get_data() + b"!")
        return response

    @app.route("/")
    @cache.cached()
    def index() -> Any:
        return make_response("page")

    client = app.test_client()
    for count in range(3):
        response = client.get("/")
        assert response.headers.getlist("X-Number") == [str(count)]
        assert response.text == "page!"


def test_16_a_dictionary_that_a_view_returns_is_a_snapshot(app: Flask, cache: Cache) -> None:
    """A view that returns a global object and changes it later."""
    shared: dict[str, list[int]] = {"items": [1]}

    @app.route("/")
    @cache.cached()
    def index() -> Any:
        return shared

    client = app.test_client()
    assert client.get("/").json == {"items": [1]}
    shared["items"].append(2)
    assert client.get("/").json == {"items": [1]}


def test_16_a_mutable_vary_part_of_a_fragment_counts_by_its_content(
    app: Flask, cache: Cache
) -> None:
    """A list that changes between two renderings is another part."""
    template = "{% cache 60, 'tags', tags %}{{ tags | join(',') }}{% endcache %}"
    tags = ["a"]
    with app.test_request_context():
        assert render_template_string(template, tags=tags) == "a"
        tags.append("b")
        assert render_template_string(template, tags=tags) == "a,b"
        tags.pop()
        assert render_template_string(template, tags=tags) == "a"


def test_16_a_mutable_argument_of_a_memoized_call_counts_by_its_content(cache: Cache) -> None:
    """A list that the function itself changes does not change the entry's key."""

    @cache.memoize()
    def drain(items: list[int]) -> int:
        total = sum(items)
        items.clear()
        return total

    assert [drain([1, 2]), drain([1, 2]), drain([])] == [3, 3, 0]


@pytest.mark.parametrize("value", [0, "", False, (), [], {}, 0.0, b""], ids=repr)
def test_16_falsy_values_are_values(cache: Cache, in_app: Flask, value: Any) -> None:
    """They are stored and found, by decorators and by key."""
    calls: list[int] = []

    def make() -> Any:
        calls.append(1)
        return value

    memoized, helper = cache.memoize()(make), cache.cached(key_prefix="falsy")(make)
    for function in (memoized, helper, lambda: cache.get_or_set("key", make)):
        calls.clear()
        for _ in range(3):
            found = function()
            assert (found, type(found)) == (value, type(value))
        assert calls == [1]


def test_16_none_is_cached_where_asked(cache: Cache, in_app: Flask) -> None:
    """``cache_none`` stores it; else the function runs each time; by key it is a value."""
    calls: list[str] = []

    def remember(name: str) -> Callable[[], None]:
        return lambda: calls.append(name)

    kept = [
        cache.memoize(cache_none=True)(remember("memoize")),
        cache.cached(key_prefix="none", cache_none=True)(remember("cached")),
        lambda: cache.get_or_set("key", remember("direct")),
    ]
    loose = cache.memoize()(remember("loose"))
    for function in (*kept, loose):
        assert [function(), function()] == [None, None]
    assert calls == ["memoize", "cached", "direct", "loose", "loose"]
    assert cache.has("key")
