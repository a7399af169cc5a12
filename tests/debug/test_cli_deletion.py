"""``flask cache delete`` and ``clear``: what goes, who is asked, and what stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_runs import Program, Ran, run
from flask import Flask, render_template_string

from flask_caching import Cache

Made = tuple[Flask, Cache]


@pytest.fixture
def shop(make_app: Callable[..., Made], tmp_path: Any) -> Made:
    """Views, a helper, a memoized function and a fragment, all of them stored."""
    app, cache = make_app(
        CACHE_TYPE="FileSystemCache", CACHE_DIR=str(tmp_path / "cache"), CACHE_KEY_PREFIX="shop/"
    )

    @app.route("/p/<int:id>")
    @cache.cached(timeout=60)
    def product(id: int) -> str:
        return f"product {id}, {top_sellers()}"

    @app.route("/c/<name>")
    @cache.cached(timeout=60, make_cache_key=lambda name: f"made by hand {name}")
    def category(name: str) -> str:
        return render_template_string("{% cache 60, 'menu' %}menu{% endcache %}")

    @cache.cached(timeout=60, key_prefix="top sellers")
    def top_sellers() -> str:
        return f"{double(2)} sellers"

    @cache.memoize(timeout=60)
    def double(number: int) -> int:
        return 2 * number

    app.extensions["calls"] = double
    client = app.test_client()
    for url in ("/p/1", "/p/2", "/c/toys"):
        assert client.get(url).status_code == 200
    return app, cache


def keys(app: Flask) -> set[str]:
    """What is stored, versions aside."""
    rows = run(app, "keys", "--all", "--json").document["rows"]
    return {row["key"] for row in rows if row["kind"] != "version"}


def gone(app: Flask, *arguments: str) -> tuple[Ran, set[str]]:
    """What a command said, and the keys that are not there any more."""
    before = keys(app)
    ran = run(app, "delete", *arguments)
    return ran, before - keys(app)


def test_keys_by_name(shop: Made) -> None:
    """Each that was there is deleted and named; nobody is asked."""
    app, _ = shop
    ran, lost = gone(app, "view//p/1", "top sellers")
    assert ran == (0, "deleted: view//p/1\ndeleted: top sellers\n", "")
    assert lost == {"view//p/1", "top sellers"}


def test_a_key_that_is_not_there(shop: Made) -> None:
    """The others are deleted all the same; exit code 1."""
    app, _ = shop
    ran, lost = gone(app, "view//p/1", "view//p/9\x1b[2J", "--json")
    assert ran.code == 1
    assert lost == {"view//p/1"}
    assert ran.document == {
        "dry_run": False,
        "deleted": ["view//p/1"],
        "missing": ["view//p/9\x1b[2J"],
        "forgotten": [],
    }
    assert "there is no key 'view//p/9\\x1b[2J'" in ran.err


def test_a_key_of_our_own_is_not_deleted(shop: Made) -> None:
    """The note of the switch is for `flask cache on` to remove."""
    app, cache = shop
    with app.app_context():
        cache.disable()
        ran, _ = gone(app, "_flask_caching/switch")
        assert ran.code == 1
        assert not cache.enabled


def test_keys_with_a_text(shop: Made) -> None:
    """``--match`` takes its text literally."""
    app, _ = shop
    ran, lost = gone(app, "--match", "view//p/", "--yes")
    assert ran.code == 0
    assert lost == {"view//p/1", "view//p/2"}
    ran, lost = gone(app, "--match", "*", "--yes")
    assert (ran.code, lost) == (0, set())
    assert "has no keys that contain '*'" in ran.err


@pytest.mark.parametrize("arguments", [["delete", "--match", "p"], ["clear"]])
def test_nothing_goes_unless_somebody_says_yes(shop: Made, arguments: list[str]) -> None:
    """Without a terminal to ask on, what deletes many keys wants ``--yes``."""
    app, _ = shop
    before = keys(app)
    ran = run(app, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Say so with --yes" in ran.err
    assert keys(app) == before


@pytest.mark.parametrize(
    ("arguments", "question"),
    [
        ("delete --match view", "Delete 2 keys that contain 'view' from cache (FileSystemCache)?"),
        ("clear", "Delete everything that cache (FileSystemCache) at /"),
    ],
)
@pytest.mark.parametrize(("answer", "code", "left"), [("y", 0, 0), ("n", 1, 2)])
def test_a_person_is_asked(
    tmp_path: Path, arguments: str, question: str, answer: str, code: int, left: int
) -> None:
    """On a terminal the question says what would go; only a yes deletes it."""
    program = Program.of(
        tmp_path,
        """
        app = Flask("shop")
        cache = Cache(app, config={"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": "entries"})
        """,
    )
    app = Flask("shop")
    cache = Cache(
        app,
        config={
            "CACHE_TYPE": "FileSystemCache",
            "CACHE_DIR": str(tmp_path / "entries"),
            "CACHE_INSTRUMENTATION": None,
        },
    )
    with app.app_context():
        cache.set("view/1", "one")
        cache.set("view/2\x1b[2J", "two")
    ran = program.run_on_terminal("cache", *arguments.split(), typed=f"{answer}\n")
    assert ran.code == code
    assert question in ran.out
    assert ("Nothing was deleted." in ran.out) == (code == 1)
    assert len(keys(app)) == left


@pytest.mark.parametrize(
    "arguments",
    [["view//p/1"], ["--match", "p"], ["--target", "product"], ["--target", "category"]],
)
def test_a_dry_run_deletes_nothing(shop: Made, arguments: list[str]) -> None:
    """It says what would go, and asks nobody."""
    app, _ = shop
    ran, lost = gone(app, *arguments, "--dry-run")
    assert (ran.code, lost) == (0, set())
    would = {line.removeprefix("would be deleted: ") for line in ran.out.splitlines()}
    document = run(app, "delete", *arguments, "--dry-run", "--json").document
    assert document["dry_run"] is True
    assert set(document["deleted"]) == would
    assert run(app, "delete", *arguments, "--yes").code == 0
    assert would.isdisjoint(keys(app))


@pytest.mark.parametrize(
    ("target", "lost"),
    [
        ("product", {"view//p/1", "view//p/2"}),
        ("category", {"made by hand toys"}),
        ("top_sellers", {"top sellers"}),
        ("menu", {"_template_fragment_cache_menu"}),
    ],
)
def test_the_keys_of_a_target(shop: Made, target: str, lost: set[str]) -> None:
    """An endpoint's, whoever makes them; a helper's; a fragment's."""
    app, _ = shop
    ran, deleted = gone(app, "--target", target, "--yes")
    assert ran.code == 0
    assert deleted == lost


def test_a_memoized_function_forgets(shop: Made) -> None:
    """Its values are out of date for every process, as after delete_memoized()."""
    app, cache = shop
    double = app.extensions["calls"]
    with app.app_context():
        key = double.make_cache_key(double.uncached, 2)
        cache.set(key, "stale")
    name = f"{double.__module__}.{double.__qualname__}"
    ran = run(app, "delete", "--target", name, "--dry-run")
    assert ran == (0, f"would be forgotten: {name}\n", "")
    ran = run(app, "delete", "--target", "double")
    assert ran.code == 2
    assert "Forget all values of" in ran.err
    ran = run(app, "delete", "--target", "double", "--yes", "--json")
    assert ran.document["forgotten"] == [name]
    with app.app_context():
        assert double(2) == 4


def test_a_target_that_nobody_knows(shop: Made) -> None:
    """It is wrong usage; what is like it is named."""
    app, _ = shop
    ran = run(app, "delete", "--target", "produkt", "--yes")
    assert ran.code == 2
    assert "no endpoint, function or fragment called 'produkt'" in ran.err
    assert "Did you mean product" in ran.err


@pytest.mark.parametrize(
    "arguments", [[], ["a", "--match", "b"], ["--match", "a", "--target", "b"], ["--match", ""]]
)
def test_what_to_delete_is_said_in_one_way(shop: Made, arguments: list[str]) -> None:
    """Keys, or a text, or a target; an empty text is no way to say everything."""
    app, _ = shop
    before = keys(app)
    assert run(app, "delete", *arguments, "--yes").code == 2
    assert keys(app) == before


def test_clearing(shop: Made) -> None:
    """Everything of this cache goes; a dry run counts it, and says where that is."""
    app, _ = shop
    number = len(run(app, "keys", "--all", "--json").document["rows"])
    ran = run(app, "clear", "--dry-run")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"would be deleted: {number} keys of cache (FileSystemCache) at /")
    assert "prefix 'shop/'" in ran.out
    assert run(app, "clear", "--dry-run", "--json").document == {
        "dry_run": True,
        "cleared": False,
        "keys": number,
    }
    assert keys(app)
    ran = run(app, "clear", "--yes")
    assert ran.code == 0
    assert ran.out.startswith("cleared: cache (FileSystemCache)")
    assert keys(app) == set()
    assert run(app, "clear", "--yes", "--json").document["cleared"] is True


@pytest.mark.parametrize("kind", ["RedisCache", "MemcachedCache"])
def test_others_keep_their_keys(request: pytest.FixtureRequest, make_app: Any, kind: str) -> None:
    """On a server only what is under the cache's own prefix is cleared."""
    if kind == "RedisCache":
        server = request.getfixturevalue("redis_server")
        where = {"CACHE_REDIS_HOST": server.host, "CACHE_REDIS_PORT": server.port}
    else:
        server = request.getfixturevalue("memcached_server")
        where = {"CACHE_MEMCACHED_SERVERS": [f"{server.host}:{server.port}"]}
    app, cache = make_app(CACHE_TYPE=kind, CACHE_KEY_PREFIX="mine:", **where)
    other, neighbour = make_app(CACHE_TYPE=kind, CACHE_KEY_PREFIX="theirs:", **where)
    with app.app_context():
        cache.set("key", 1)
    with other.app_context():
        neighbour.set("key", 1)
    assert run(app, "clear", "--yes").code == 0
    with app.app_context():
        assert not cache.has("key")
    with other.app_context():
        assert neighbour.has("key")


def test_what_lives_inside_the_workers_cannot_be_deleted(make_app: Any) -> None:
    """It says so, and what to do instead of pretending."""
    app, cache = make_app()
    with app.app_context():
        cache.set("key", 1)
    for arguments in (["clear", "--yes"], ["delete", "key"]):
        ran = run(app, *arguments)
        assert ran.code == 2
        assert "inside each worker, where this command cannot reach them" in ran.err
    with app.app_context():
        assert cache.has("key")


def test_clearing_a_shared_server_without_a_prefix(make_app: Any, redis_server: Any) -> None:
    """It is refused with what to set, and nothing goes."""
    app, _ = make_app(
        CACHE_TYPE="RedisCache",
        CACHE_REDIS_HOST=redis_server.host,
        CACHE_REDIS_PORT=redis_server.port,
        CACHE_KEY_PREFIX="",
    )
    ran = run(app, "clear", "--yes")
    assert ran.code == 2
    assert "CACHE_ALLOW_FLUSH" in ran.err


@pytest.mark.parametrize("arguments", [["clear", "--yes"], ["delete", "key"]])
def test_a_cache_that_keeps_nothing(make_app: Any, arguments: list[str]) -> None:
    """There is nothing to delete, and it is said why."""
    app, _ = make_app(CACHE_TYPE="NullCache", CACHE_NO_NULL_WARNING=True)
    ran = run(app, *arguments)
    assert ran.code == 2
    assert "keeps nothing" in ran.err
