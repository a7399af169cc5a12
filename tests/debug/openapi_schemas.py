"""The schemas of the debug pages' JSON, out of the dataclasses that it is made of.

``python tests/debug/openapi_schemas.py`` writes them into ``openapi.json`` after a change to a
dataclass; ``test_openapi.py`` fails until that was done.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import types
import typing
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from flask_caching_instrumentation.auditing.model import AuditReport
from flask_caching_instrumentation.debug import content
from flask_caching_instrumentation.inspection import model

#: What answers are, by the name of the schema.
ANSWERS = {
    "Overview": content.Overview,
    "KeyListing": model.KeyListing,
    "KeyDetail": model.KeyDetail,
    "Functions": content.Functions,
    "RequestLog": model.RequestLog,
    "AuditReport": AuditReport,
    "Explanation": model.Explanation,
    "Comparison": model.Comparison,
    "Deleted": content.Deleted,
    "Cleared": content.Cleared,
}

_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def schemas() -> dict[str, Any]:
    """A schema for each dataclass of an answer, by its name."""
    found: dict[str, Any] = {}
    for kind in ANSWERS.values():
        _add(kind, found)
    return dict(sorted(found.items()))


def without_words(schema: Any) -> Any:
    """A schema without its descriptions: what a program sees of it."""
    if isinstance(schema, dict):
        return {
            name: without_words(value)
            for name, value in schema.items()
            if not (name == "description" and isinstance(value, str))
        }
    return [without_words(value) for value in schema] if isinstance(schema, list) else schema


def _add(kind: type[Any], found: dict[str, Any]) -> None:
    if kind.__name__ in found:
        return
    found[kind.__name__] = {}
    hints = typing.get_type_hints(kind)
    words = _words_of(kind)
    properties = {
        field.name: {**_schema(hints[field.name], found), **words.get(field.name, {})}
        for field in dataclasses.fields(kind)
    }
    found[kind.__name__] = {
        "type": "object",
        "description": (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("\n", " "),
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _schema(hint: Any, found: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        _add(hint, found)
        return {"$ref": f"#/components/schemas/{hint.__name__}"}
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in (types.UnionType, typing.Union):
        options = [_schema(each, found) for each in arguments]
        if all(set(each) == {"type"} for each in options):
            return {"type": [each["type"] for each in options]}
        return {"anyOf": options}
    if origin is Sequence:
        return {"type": "array", "items": _schema(arguments[0], found)}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _schema(arguments[1], found)}
    assert origin is tuple, f"no schema for {hint!r}"
    items = [_schema(each, found) for each in arguments]
    size = len(items)
    return {"type": "array", "prefixItems": items, "minItems": size, "maxItems": size}


def _words_of(kind: type[Any]) -> dict[str, dict[str, str]]:
    """The descriptions under ``Attributes:``, by the attribute."""
    listed = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2]
    found = re.findall(r"^    (\w+): (.*(?:\n {6,}.*)*)", listed, re.MULTILINE)
    return {name: {"description": " ".join(words.split())} for name, words in found}


def main() -> None:
    """Write the schemas into the file that is shipped."""
    path = Path(str(resources.files("flask_caching_instrumentation.debug") / "openapi.json"))
    described = json.loads(path.read_text())
    written = described["components"]["schemas"]
    for name, schema in schemas().items():
        written[name] = schema
    path.write_text(json.dumps(described, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
