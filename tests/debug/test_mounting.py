"""Where the debug pages are: below any prefix, in any order of setting up, by themselves."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from textwrap import dedent
from typing import Any

import pytest
from debug_site import DATA, PAGES, PREFIX, TOKEN, Visitor, add_shop, bearer, shop_with_pages
from flask import Blueprint, Flask, current_app, request
from jinja2 import StrictUndefined
from werkzeug.test import Client

from flask_caching import Cache
from flask_caching_instrumentation import debug_blueprint
from flask_caching_instrumentation.recording import recorder_of
from flask_caching_instrumentation.timeline import timeline_of


def works_at(client: Any, prefix: str, **options: Any) -> bool:
    """Whether all pages are there, and lead to one another."""
    for path in (*PAGES, *DATA):
        answer = client.get(f"{prefix}{path}", **options)
        assert answer.status_code == 200, path
        if not path.startswith("/api"):
            assert f'href="{prefix}/keys"' in answer.text
            assert f'src="{prefix}/static/debug.js"' in answer.text
    return True


class TestPrefixes:
    @pytest.mark.parametrize("prefix", ["/_cache", "/a", "/a/b/c", "/caf\u00e9", "/a.b~c"])
    def test_any_will_do(self, make_app: Any, prefix: str) -> None:
        """Links lead below it, and so do the cookies."""
        app, cache = make_app()
        app.debug = True
        app.register_blueprint(debug_blueprint(cache), url_prefix=prefix)
        page = app.test_client().get(f"{prefix}/")
        assert page.status_code == 200
        path = "/caf%C3%A9" if prefix == "/caf\u00e9" else prefix
        assert f'href="{path}/keys"' in page.text
        assert f"Path={path};" in f"{page.headers['Set-Cookie']};"

    def test_without_one_it_is_the_usual(self, make_app: Any) -> None:
        """``app.register_blueprint(debug_blueprint(cache))`` is enough."""
        app, cache = make_app()
        app.debug = True
        app.register_blueprint(debug_blueprint(cache))
        assert works_at(app.test_client(), "/_cache")

    def test_the_first_page_needs_no_slash(self, make_app: Any) -> None:
        """What one types."""
        app, _ = shop_with_pages(make_app)
        assert Visitor(app).get("").status_code == 200

    def test_at_the_root_the_application_keeps_its_errors(self, make_app: Any) -> None:
        """An address that is not of these pages is the application's."""
        app, cache = make_app()
        app.debug = True
        app.register_blueprint(debug_blueprint(cache), url_prefix="/")
        app.register_error_handler(404, lambda error: ("mine", 404))
        client = app.test_client()
        assert works_at(client, "")
        assert client.get("/nothing").text == "mine"

    def test_a_script_root_is_kept(self, make_app: Any) -> None:
        """In links, in forms, and in the path of cookies."""
        app, _ = shop_with_pages(make_app)
        page = app.test_client().get(f"{PREFIX}/keys", base_url="http://localhost/below")
        assert 'href="/below/_cache/functions"' in page.text
        assert "Path=/below/_cache" in page.headers["Set-Cookie"]

    @pytest.mark.skipif(version("flask") == "2.0.0", reason="Flask 2.0.0 loses the outer prefix")
    def test_a_blueprint_may_be_in_another_one(self, make_app: Any) -> None:
        """Guarded as elsewhere."""
        app, cache = make_app(CACHE_DEBUG_TOKEN=TOKEN)
        outer = Blueprint("outer", __name__, url_prefix="/admin")
        outer.register_blueprint(debug_blueprint(cache), url_prefix="/cache")
        app.register_blueprint(outer)
        client = app.test_client()
        assert client.get("/admin/cache/keys").status_code == 401
        assert works_at(client, "/admin/cache", headers=bearer())
        headers = client.get("/admin/cache/nothing", headers=bearer()).headers
        assert headers["X-Frame-Options"] == "DENY"

    def test_a_prefix_may_have_arguments(self, make_app: Any) -> None:
        """Links keep them."""
        app, cache = make_app()
        app.debug = True
        app.register_blueprint(debug_blueprint(cache), url_prefix="/<tenant>/cache")
        assert works_at(app.test_client(), "/acme/cache")

    def test_an_application_may_match_hosts(self, make_app: Any) -> None:
        """The pages are at each of them."""
        app, cache = make_app(
            flask={"host_matching": True, "static_host": "localhost"}, CACHE_DEBUG_TOKEN=TOKEN
        )
        app.register_blueprint(debug_blueprint(cache), url_prefix=PREFIX)
        client = app.test_client()
        for host in ("localhost", "shop.example", "localhost:5000"):
            answer = client.get(f"{PREFIX}/keys", base_url=f"http://{host}", headers=bearer())
            assert answer.status_code == 200
            assert f"{PREFIX}/functions" in answer.text

    def test_an_application_may_match_subdomains(self, make_app: Any) -> None:
        """The pages are where the blueprint is."""
        app, cache = make_app(flask={"subdomain_matching": True}, CACHE_DEBUG_TOKEN=TOKEN)
        app.config["SERVER_NAME"] = "shop.example"
        app.register_blueprint(debug_blueprint(cache), url_prefix=PREFIX, subdomain="admin")
        answer = app.test_client().get(
            f"{PREFIX}/keys", base_url="http://admin.shop.example", headers=bearer()
        )
        assert answer.status_code == 200
        assert f"{PREFIX}/functions" in answer.text


class TestOrder:
    def test_the_pages_may_be_there_before_the_cache(self, make_app: Any) -> None:
        """They begin to watch it with the application's first request."""
        app = Flask("late")
        app.debug = True
        cache = Cache()
        app.register_blueprint(debug_blueprint(cache), url_prefix=PREFIX)
        assert "Call cache.init_app(app)" in Visitor(app).get("/keys").text
        app = Flask("late")
        app.debug = True
        app.register_blueprint(debug_blueprint(cache), url_prefix=PREFIX)
        make_app(app)
        cache.init_app(app, {"CACHE_TYPE": "SimpleCache", "CACHE_INSTRUMENTATION": None})
        add_shop(app, cache)
        app.test_client().get("/product/1")
        log = Visitor(app).get("/api/v1/requests").json
        assert [each["url"] for each in log["requests"]] == ["/product/1"]

    def test_a_token_of_a_cache_that_is_set_up_later_is_no_reason_to_warn(self) -> None:
        """It is known already, from the application or from the cache."""
        app = Flask("late")
        app.config["CACHE_DEBUG_TOKEN"] = TOKEN
        app.register_blueprint(debug_blueprint())
        app = Flask("late")
        app.register_blueprint(debug_blueprint(Cache(config={"CACHE_DEBUG_TOKEN": TOKEN})))
        assert Visitor(app).get("/keys").status_code == 403

    def test_pages_for_nobody_warn_where_they_are_registered(self, make_app: Any) -> None:
        """The warning points at the caller, and says what to do."""
        app, cache = make_app()
        with pytest.warns(UserWarning, match="Set CACHE_DEBUG_TOKEN") as caught:
            app.register_blueprint(debug_blueprint(cache))
        assert caught[0].filename == __file__

    def test_a_cache_that_is_set_up_anew_is_watched_again(self, make_app: Any) -> None:
        """From the next look at the pages on."""
        app, cache = shop_with_pages(make_app)
        cache.init_app(app, {"CACHE_TYPE": "SimpleCache"})
        visitor = Visitor(app)
        visitor.get("/live")
        app.test_client().get("/product/1")
        log = visitor.get("/api/v1/requests").json
        assert [each["url"] for each in log["requests"]] == ["/product/1"]

    def test_it_takes_a_cache(self) -> None:
        """An application in its place is a mistake that is told at once."""
        with pytest.raises(TypeError, match="takes a Cache"):
            debug_blueprint(Flask("app"))  # type: ignore[arg-type]


class TestByThemselves:
    def test_true_mounts_them_at_the_usual_place(self, make_app: Any) -> None:
        """And warns if nobody can see them there."""
        with pytest.warns(UserWarning, match="debug pages below '/_cache'") as caught:
            app, _ = make_app(CACHE_DEBUG_UI=True)
        assert caught[0].filename.endswith("conftest.py")
        app.debug = True
        assert works_at(app.test_client(), "/_cache")

    def test_a_path_mounts_them_there(self, make_app: Any) -> None:
        """With or without a slash at its end."""
        app, _ = make_app(CACHE_DEBUG_UI="/internal/cache/", CACHE_DEBUG_TOKEN=TOKEN)
        assert works_at(app.test_client(), "/internal/cache", headers=bearer())
        assert app.test_client().get("/_cache/").status_code == 404

    @pytest.mark.parametrize("value", [False, None])
    def test_nothing_is_mounted_unless_asked(self, make_app: Any, value: Any) -> None:
        """Nor is anything watched."""
        app, cache = make_app(CACHE_DEBUG_UI=value)
        assert [rule.endpoint for rule in app.url_map.iter_rules()] == ["static"]
        with app.app_context():
            assert timeline_of(cache.state()) is None
            assert recorder_of(cache.state()) is None

    def test_two_caches_share_one_set_of_pages(self, make_app: Any) -> None:
        """With a choice between them; a name that both have gets a number."""
        app, first = make_app(CACHE_DEBUG_UI=True, CACHE_DEBUG_TOKEN=TOKEN)
        _, second = make_app(app, CACHE_DEBUG_UI=True, CACHE_DEBUG_TOKEN=TOKEN)
        with app.app_context():
            first.set("key of the first", 1)
            second.set("key of the second", 1)
        visitor = Visitor(app)
        overview = visitor.get("/api/v1/overview", headers=bearer()).json["caches"]
        assert [cache["name"] for cache in overview] == ["cache", "cache"]
        for name, own, other in (("cache", "first", "second"), ("cache-2", "second", "first")):
            page = visitor.get(f"/keys?cache={name}", headers=bearer()).text
            assert f"key of the {own}" in page
            assert f"key of the {other}" not in page
            assert f'href="/_cache/functions?cache={name}"' in page
            assert f"<option selected>{name}</option>" in page
        assert "key of the first" in visitor.get("/keys", headers=bearer()).text
        missing = visitor.get("/keys?cache=third", headers=bearer())
        assert missing.status_code == 404
        assert "These pages show cache, cache-2" in missing.text

    def test_two_paths_are_two_sets_of_pages(self, make_app: Any) -> None:
        """Each shows the caches that asked for it."""
        app, _ = make_app(CACHE_NAME="a", CACHE_DEBUG_UI="/a", CACHE_DEBUG_TOKEN=TOKEN)
        make_app(app, CACHE_NAME="b", CACHE_DEBUG_UI="/b", CACHE_DEBUG_TOKEN="another long token")
        client = app.test_client()
        for name, token in (("a", TOKEN), ("b", "another long token")):
            answer = client.get(f"/{name}/api/v1/overview", headers=bearer(token))
            assert [cache["name"] for cache in answer.json["caches"]] == [name]
            other = {"a": "b", "b": "a"}[name]
            assert client.get(f"/{other}/", headers=bearer(token)).status_code == 401

    def test_a_cache_without_pages_is_not_shown_on_another_one_s(self, make_app: Any) -> None:
        """It did not ask for it."""
        app, _ = make_app(CACHE_NAME="a", CACHE_DEBUG_UI=True, CACHE_DEBUG_TOKEN=TOKEN)
        make_app(app, CACHE_NAME="b")
        answer = Visitor(app).get("/api/v1/overview", headers=bearer())
        assert [cache["name"] for cache in answer.json["caches"]] == ["a"]

    def test_a_path_that_is_taken_is_left_alone(self, make_app: Any) -> None:
        """The application's page stays, and a warning says whose it is."""
        app = Flask("taken")
        app.add_url_rule("/_cache/", endpoint="mine", view_func=lambda: "mine")
        with pytest.warns(UserWarning, match="'/_cache' belongs to the endpoint 'mine'"):
            make_app(app, CACHE_DEBUG_UI=True, CACHE_DEBUG_TOKEN=TOKEN)
        assert app.test_client().get("/_cache/").text == "mine"

    def test_both_ways_may_be_used_at_once(self, make_app: Any) -> None:
        """By configuration, and by a blueprint with a check of the application's."""
        app, cache = make_app(CACHE_DEBUG_UI=True, CACHE_DEBUG_TOKEN=TOKEN)
        app.register_blueprint(debug_blueprint(cache, lambda: True), url_prefix="/admin/cache")
        assert works_at(app.test_client(), "/admin/cache")
        assert Visitor(app).get("/").status_code == 401

    def test_nothing_heavy_is_imported_unless_asked(self) -> None:
        """An application without the pages does not pay for them."""
        script = """
            import sys
            from flask import Flask
            from flask_caching import Cache
            Cache(Flask("app"), config={"CACHE_TYPE": "SimpleCache"})
            print([name for name in sys.modules if "flask_caching_instrumentation.debug" in name])
        """
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", dedent(script)],
            env={"PYTHONPATH": ":".join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stdout.strip() == "[]"


class TestWatching:
    @pytest.mark.parametrize(
        ("debug", "configured", "share"),
        [(True, None, 1.0), (False, None, 0.1), (True, 0.5, 0.5), (False, 1, 1.0)],
    )
    def test_mounting_begins_to_record(
        self, make_app: Any, debug: bool, configured: Any, share: float
    ) -> None:
        """All under debug, a tenth else, or what is configured."""
        app, cache = shop_with_pages(
            make_app, debug=debug, CACHE_DEBUG_RECORD=configured, CACHE_DEBUG_TOKEN=TOKEN
        )
        with app.app_context():
            recorder = recorder_of(cache.state())
            assert recorder is not None
            assert recorder.share == share
            assert timeline_of(cache.state()) is not None

    def test_nothing_is_recorded_if_that_is_off(self, make_app: Any) -> None:
        """The timeline goes on."""
        app, cache = shop_with_pages(make_app, CACHE_DEBUG_RECORD=0)
        with app.app_context():
            assert recorder_of(cache.state()) is None
            assert timeline_of(cache.state()) is not None

    def test_debug_that_is_turned_on_later_is_noticed(self, make_app: Any) -> None:
        """As ``app.run(debug=True)`` does, when the pages are there already."""
        app, cache = shop_with_pages(make_app, debug=False, CACHE_DEBUG_TOKEN=TOKEN)
        app.debug = True
        app.test_client().get("/product/1")
        with app.app_context():
            recorder = recorder_of(cache.state())
            assert recorder is not None
            assert recorder.share == 1.0

    def test_looking_is_not_counted(self, make_app: Any) -> None:
        """Not what the pages read, nor what the tester would find."""
        app, cache = shop_with_pages(make_app)
        app.test_client().get("/product/1")
        visitor = Visitor(app)
        with app.app_context():
            before = cache.stats()
        for path in (*PAGES, *DATA, "/tester?url=/product/1"):
            visitor.get(path)
        with app.app_context():
            after = cache.stats()
        for name in ("lookups", "operations", "targets", "errors", "bypasses"):
            assert after[name] == before[name], name

    def test_requests_for_the_pages_are_not_shown(self, make_app: Any) -> None:
        """Even if the application uses the cache in each request of any kind."""
        app, cache = shop_with_pages(make_app)

        @app.before_request
        def remember() -> None:
            cache.set("last path", request.path)

        app.test_client().get("/product/1")
        visitor = Visitor(app)
        for path in (*PAGES, *DATA):
            visitor.get(path)
        log = visitor.get("/api/v1/requests").json["requests"]
        assert [each["url"] for each in log] == ["/product/1"]

    def test_without_instrumentation_the_pages_work_and_say_so(self, make_app: Any) -> None:
        """Keys, tester and audit need none; numbers do."""
        app, _ = shop_with_pages(make_app, CACHE_INSTRUMENTATION=None)
        app.test_client().get("/product/1")
        assert works_at(app.test_client(), PREFIX)
        visitor = Visitor(app)
        assert "Nothing is counted" in visitor.get("/").text
        assert ">product<" in visitor.get("/keys").text
        assert visitor.get("/api/v1/overview").json["caches"][0]["counted"] is False


class TestApplicationsOfTheirOwnKind:
    def test_its_template_environment_is_not_used(self, make_app: Any) -> None:
        """Not its escaping, its undefined, its filters, its context processors, its templates."""
        app, cache = make_app()
        app.debug = True
        app.jinja_options = {"undefined": StrictUndefined, "autoescape": False}
        app.select_jinja_autoescape = lambda name: False
        app.register_blueprint(debug_blueprint(cache), url_prefix=PREFIX)

        @app.context_processor
        def hostile() -> dict[str, Any]:
            raise AssertionError("asked for the application's variables")

        with app.app_context():
            cache.set("<script>alert(1)</script>", 1)
        page = Visitor(app).get("/keys")
        assert "&lt;script&gt;alert(1)" in page.text
        assert "<script>" not in page.text

    def test_its_response_class_is_not_used(self, make_app: Any) -> None:
        """It may make something else of text."""
        app, _ = shop_with_pages(make_app)

        class Loud(app.response_class):  # type: ignore[name-defined, misc]
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                raise AssertionError("asked for the application's response class")

        app.response_class = Loud
        answer = Client(app).get(f"{PREFIX}/keys", environ_base={"REMOTE_ADDR": "127.0.0.1"})
        assert answer.status_code == 200

    def test_the_current_application_is_the_one_that_is_shown(self, make_app: Any) -> None:
        """One cache on two applications has pages on each."""
        cache = Cache()
        for name in ("one", "two"):
            app = Flask(name)
            app.debug = True
            make_app(app)
            cache.init_app(app, {"CACHE_TYPE": "SimpleCache", "CACHE_INSTRUMENTATION": None})
            app.register_blueprint(debug_blueprint(cache), url_prefix=PREFIX)
            with app.app_context():
                cache.set(f"key of {name}", current_app.name)
            page = Visitor(app).get("/keys").text
            assert f"key of {name}" in page
            assert page.count("key of") == 1 or "key of one" not in page or name == "one"
