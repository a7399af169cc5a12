"""``openapi.json`` describes the code, and the code does what it says: both ways."""

from __future__ import annotations

import ast
import inspect
import json
import re
from importlib import resources
from typing import Any

import pytest
from debug_site import PROBLEM, TOKEN, Visitor, bearer, shop_with_pages
from openapi_schemas import ANSWERS, schemas, without_words

from flask_caching_instrumentation.debug import content
from flask_caching_instrumentation.debug.routes import ROUTES
from flask_caching_instrumentation.inspection.keyids import key_id

#: The route, the function of ``content`` behind it, and the schema of its answer.
BEHIND = {
    "/api/v1/overview": (content.overview, "Overview"),
    "/api/v1/keys": (content.keys, "KeyListing"),
    "/api/v1/keys/{key_id}": (content.key_detail, "KeyDetail"),
    "/api/v1/functions": (content.functions, "Functions"),
    "/api/v1/requests": (content.requests, "RequestLog"),
    "/api/v1/audit": (content.audited, "AuditReport"),
    "/api/v1/explain": (content.explained, "Explanation"),
    "/api/v1/compare": (content.compared, "Comparison"),
    "/api/v1/keys/delete": (content.deleted, "Deleted"),
    "/api/v1/clear": (content.cleared, "Cleared"),
}


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    """The file as it is shipped."""
    shipped = resources.files("flask_caching_instrumentation.debug") / "openapi.json"
    document: dict[str, Any] = json.loads(shipped.read_text())
    return document


@pytest.fixture
def visitor(make_app: Any) -> Visitor:
    """Somebody with the token, and a shop in which something of everything has happened."""
    app, cache = shop_with_pages(make_app, CACHE_DEBUG_TOKEN=TOKEN, CACHE_DEBUG_WRITE=True)

    @cache.memoize(timeout=5)
    def price(number: int) -> dict[str, int]:
        return {"price": number}

    @app.route("/prices")
    def prices() -> str:
        cache.set("direct", b"\xff")
        return str(price(1))

    client = app.test_client()
    for path in ("/", "/", "/product/1", "/product/2", "/search?q=a", "/prices", "/nothing"):
        client.get(path)
    return Visitor(app)


def validator(described: dict[str, Any], schema: Any) -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    return jsonschema.Draft202012Validator({**schema, "components": described["components"]})


def schema_of(described: dict[str, Any], path: str, method: str) -> Any:
    answer = described["paths"][path][method]["responses"]["200"]
    return answer["content"]["application/json"]["schema"]


class TestTheFile:
    def test_routes_and_methods_are_those_of_the_code(self, described: Any) -> None:
        """None more and none less."""
        coded = {
            (re.sub("<([^>]+)>", r"{\1}", route.rule), method.lower())
            for route in ROUTES
            if route.is_data
            for method in route.methods
        }
        assert coded == {
            (path, method) for path, methods in described["paths"].items() for method in methods
        }

    def test_parameters_are_those_that_the_code_reads(self, described: Any) -> None:
        """Found in its source, but for the cache's name, which the site reads for all."""
        for path, (function, _) in BEHIND.items():
            read = {
                node.args[0].value
                for node in ast.walk(ast.parse(inspect.getsource(function)))
                if isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("_text", "_whole")
                and isinstance(node.args[0], ast.Constant)
            }
            (operation,) = described["paths"][path].values()
            names = {each.get("name", "cache") for each in operation["parameters"]}
            assert names == read | {"cache"} | ({"key_id"} if "{key_id}" in path else set()), path

    def test_answers_are_those_of_the_code(self, described: Any) -> None:
        """By the type that the function behind a route returns."""
        for path, (function, name) in BEHIND.items():
            (method,) = described["paths"][path]
            assert inspect.signature(function).return_annotation == ANSWERS[name].__name__
            assert schema_of(described, path, method) == {"$ref": f"#/components/schemas/{name}"}

    def test_schemas_are_those_of_the_dataclasses(self, described: Any) -> None:
        """If this fails, ``python tests/debug/openapi_schemas.py`` writes them anew."""
        written = described["components"]["schemas"]
        for name, schema in schemas().items():
            assert without_words(written[name]) == without_words(schema), name

    def test_everything_that_is_pointed_to_is_there_and_is_used(self, described: Any) -> None:
        """No reference leads nowhere, and no schema is left over."""
        pointed = set(re.findall(r'"#/components/([\w/]+)"', json.dumps(described)))
        there = {
            f"{kind}/{name}"
            for kind in ("schemas", "parameters", "responses")
            for name in described["components"][kind]
        }
        assert pointed == there

    def test_every_schema_is_one(self, described: Any) -> None:
        """Of JSON Schema 2020-12, as OpenAPI 3.1 has them."""
        jsonschema = pytest.importorskip("jsonschema")
        assert described["openapi"].startswith("3.1.")
        for schema in described["components"]["schemas"].values():
            jsonschema.Draft202012Validator.check_schema(schema)

    def test_operations_have_names_of_their_own(self, described: Any) -> None:
        """Clients are generated from them."""
        names = [
            operation["operationId"]
            for methods in described["paths"].values()
            for operation in methods.values()
        ]
        assert len(set(names)) == len(names)

    def test_it_is_served(self, described: Any, visitor: Visitor) -> None:
        """As it is in the package."""
        answer = visitor.get("/api/v1/openapi.json", headers=bearer())
        assert (answer.mimetype, answer.json) == ("application/json", described)


class TestAnswers:
    @pytest.mark.parametrize("path", [path for path in BEHIND if "delete" not in path])
    def test_they_are_as_described(self, described: Any, visitor: Visitor, path: str) -> None:
        """Of a shop with a bit of everything."""
        requests = [{"url": url} for url in ("/product/1", "/product/2", "/nothing", "/prices")]
        bodies: dict[str, Any] = {
            "/api/v1/explain": [*requests, {"url": "/", "headers": {"Accept": "*/*"}}],
            "/api/v1/compare": [{"requests": requests}],
            "/api/v1/clear": [{}],
        }
        (method,) = described["paths"][path]
        rows = visitor.get("/api/v1/keys", headers=bearer()).json["rows"]
        paths = [path]
        if "{key_id}" in path:
            ids = [*(row["id"] for row in rows), key_id("nothing of the kind")]
            paths = [f"{path.format(key_id=each)}?reveal={show}" for each in ids for show in (0, 1)]
        valid = validator(described, schema_of(described, path, method))
        for each in paths:
            for body in bodies.get(path, [None]):
                sent = {} if body is None else {"json": body}
                answer = visitor.open(each, method=method.upper(), headers=bearer(), **sent)
                assert answer.status_code == 200
                valid.validate(answer.json)

    def test_deletion_is_as_described(self, described: Any, visitor: Visitor) -> None:
        """Last, since nothing is there afterwards."""
        answer = visitor.open(
            "/api/v1/keys/delete", method="POST", headers=bearer(), json={"keys": ["product"]}
        )
        path = "/api/v1/keys/delete"
        validator(described, schema_of(described, path, "post")).validate(answer.json)
        assert answer.json["deleted"] == ["product"]

    @pytest.mark.parametrize(
        ("path", "options"),
        [
            ("/api/v1/keys", {}),
            ("/api/v1/keys?token=x", {"headers": bearer()}),
            ("/api/v1/keys?limit=x", {"headers": bearer()}),
            ("/api/v1/nothing", {"headers": bearer()}),
            ("/api/v1/explain", {"headers": bearer()}),
            ("/api/v1/explain", {"headers": bearer(), "method": "POST", "data": "x"}),
            ("/api/v1/explain", {"headers": bearer(), "method": "POST", "data": "x" * 70_000}),
        ],
    )
    def test_problems_are_as_described(
        self, described: Any, visitor: Visitor, path: str, options: dict[str, Any]
    ) -> None:
        """Whatever the reason, the status in them is that of the response."""
        answer = visitor.open(path, **{"method": "GET", **options})
        assert answer.mimetype == PROBLEM
        schema = described["components"]["schemas"]["Problem"]
        validator(described, schema).validate(answer.json)
        assert answer.json["status"] == answer.status_code >= 400


class TestBodies:
    @pytest.mark.parametrize(
        ("path", "body"),
        [
            *[
                ("explain", {"url": "/", **more})
                for more in (
                    {},
                    {"method": "POST", "body": "a", "content_type": "text/plain"},
                    {"headers": {"A": "b"}, "cookies": [["a", "b"], ["a", "c"]]},
                    {"headers": [], "cookies": {}, "host": ""},
                )
            ],
            ("compare", {"requests": [{"url": "/"}, {"url": "/search"}]}),
            ("keys/delete", {"keys": ["a"]}),
            ("keys/delete", {"ids": ["kYQ"], "keys": []}),
        ],
    )
    def test_what_the_description_allows_is_taken(
        self, described: Any, visitor: Visitor, path: str, body: Any
    ) -> None:
        """Every field in every form."""
        self.of(described, path).validate(body)
        answer = visitor.open(
            f"/api/v1/{path}",
            method="POST",
            headers=bearer(),
            data=json.dumps(body),
            content_type="application/json",
        )
        assert answer.status_code == 200

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("explain", {}),
            ("explain", {"url": ""}),
            ("explain", {"url": None}),
            ("explain", {"url": "/", "extra": ""}),
            ("explain", {"url": "/", "headers": [["a", "b", "c"]]}),
            ("explain", {"url": "/", "headers": {"a": None}}),
            ("explain", {"url": f"/{'x' * 8000}"}),
            ("explain", ["/"]),
            ("compare", {"requests": [{"url": "/"}]}),
            ("compare", {"requests": [{"url": "/"}] * 21}),
            ("compare", {"requests": [{"url": "/"}, {}]}),
            ("compare", {}),
            ("keys/delete", {"keys": "a"}),
            ("keys/delete", {"keys": [None]}),
            ("keys/delete", {"names": []}),
        ],
    )
    def test_what_it_forbids_is_refused(
        self, described: Any, visitor: Visitor, path: str, body: Any
    ) -> None:
        """So that who believes it is never surprised."""
        assert not self.of(described, path).is_valid(body)
        answer = visitor.open(f"/api/v1/{path}", method="POST", headers=bearer(), json=body)
        assert answer.status_code == 400

    def of(self, described: Any, path: str) -> Any:
        body = described["paths"][f"/api/v1/{path}"]["post"]["requestBody"]
        return validator(described, body["content"]["application/json"]["schema"])
