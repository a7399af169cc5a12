"""Where functions are written, and what they are called by who wrote them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any, NamedTuple, cast

from flask import Flask

__all__ = ["SourcePlace", "place_in_source", "spelled"]


class SourcePlace(NamedTuple):
    """Where a function begins.

    Attributes:
        file: Its file, relative to the application's if it is below that; empty if there is none.
        line: Its first line, decorators included; ``None`` if there is no source.
    """

    file: str = ""
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.file and self.line else self.file


def place_in_source(app: Flask, function: Any) -> SourcePlace:
    """Where a function is written; of a decorator's wrapper, where the wrapper is."""
    code = code_of(function)
    if code is None:
        return SourcePlace()
    return SourcePlace(_relative(app, code.co_filename), code.co_firstlineno)


def code_of(function: Any) -> CodeType | None:
    """The code that calling something runs first; ``None`` for what is not written in Python."""
    function = inspect.unwrap(function, stop=lambda each: type(each) is FunctionType)
    kind = type(cast("object", function))
    code = getattr(function, "__code__", None)
    if code is None:
        code = getattr(getattr(function, "func", None), "__code__", None)
    if code is None:
        code = getattr(
            inspect.getattr_static(kind, "__call__", None),
            "__code__",
            None,
        )
    return code if isinstance(code, CodeType) else None


def _relative(app: Flask, file: str) -> str:
    root = os.path.abspath(app.root_path)
    base = os.path.dirname(root)
    if base == os.path.dirname(base):
        # Everything is below the root of the file system.
        base = root
    full = os.path.abspath(file)
    below = full.startswith(base.rstrip(os.sep) + os.sep)
    return os.path.relpath(full, base).replace(os.sep, "/") if below else file


def spelled(value: Any) -> str:
    """A value as one would write it in code; a function by its name."""
    if callable(value):
        return _called(value)
    if isinstance(value, frozenset | set):
        return f"[{', '.join(sorted(map(repr, value)))}]"  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, tuple):
        inside = ", ".join(map(spelled, value))  # pyright: ignore[reportUnknownArgumentType]
        return f"[{inside}]"
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _called(function: Callable[..., Any]) -> str:
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    if name.endswith("<lambda>"):
        return "lambda"
    module = getattr(function, "__module__", None) or ""
    short = module.rpartition(".")[2]
    name = name.replace(".<locals>", "")
    return f"{short}.{name}" if short and short != "builtins" else name
