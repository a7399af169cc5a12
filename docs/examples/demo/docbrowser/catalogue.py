"""What is installed: modules and packages, found without importing any of them.

Only names from this catalogue are ever imported, and only to be documented. It holds the
standard library and what an installed distribution declares; a script that happens to lie in
the current directory is not in it.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import pkgutil
import pydoc
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from importlib.machinery import BuiltinImporter, ModuleSpec, PathFinder
from typing import NamedTuple

from .extensions import cache

__all__ = [
    "Module",
    "Package",
    "PackageDetails",
    "children",
    "family",
    "modules",
    "normalised",
    "package_details",
    "packages",
    "similar",
    "source_file",
]

#: Modules that do something when imported (open a browser, print, start a program), and tests.
_LEFT_OUT = frozenset(
    (
        *("antigravity", "idlelib", "lib2to3", "this", "turtle", "turtledemo"),
        *("setup", "sitecustomize", "usercustomize"),
        *("conftest", "test", "testing", "tests"),
    )
)

#: What this demo is about is in the catalogue, though a source tree or an editable install
#: declares no modules.
_ALWAYS = ("flask_caching", "flask_caching_instrumentation")


class Module(NamedTuple):
    """A module that can be documented.

    Attributes:
        name: Its dotted name.
        summary: The first line of its docstring; empty if there is none to be read.
        origin: The distributions it came with, or ``"standard library"``.
        is_package: Whether it holds other modules.
        source: The file its text is in; empty for compiled and built-in modules.
    """

    name: str
    summary: str
    origin: str
    is_package: bool
    source: str


class Package(NamedTuple):
    """An installed distribution, as the listing shows it."""

    name: str
    version: str
    summary: str


class PackageDetails(NamedTuple):
    """An installed distribution, as its own page shows it.

    Attributes:
        package: Name, version and summary.
        requires_python: The Python versions it accepts, as it writes them.
        license: As it writes it.
        files: How many files it installed.
        size: Their bytes together.
        requires: What it needs: the requirement, and the installed package that meets it.
        provides: The modules in the catalogue that came with it.
        links: Label and address, ``http`` and ``https`` only.
    """

    package: Package
    requires_python: str
    license: str
    files: int
    size: int
    requires: list[tuple[str, Package | None]]
    provides: list[Module]
    links: list[tuple[str, str]]


@cache.memoize(timeout=3600)
def modules() -> dict[str, Module]:
    """Every module that can be documented, by name, in alphabetical order.

    Walks the file system and reads the beginning of each source file: a second or so on a
    machine with many packages, which is why it is memoized.
    """
    origins = dict.fromkeys(sys.stdlib_module_names, "standard library")
    for name, distributions in importlib.metadata.packages_distributions().items():
        origins.setdefault(name, ", ".join(sorted(set(distributions))))
    for name in _ALWAYS:
        origins.setdefault(name, name)
    found = {
        module.name: module
        for name, origin in origins.items()
        for module in _walk(name, _top_level_spec(name), origin)
    }
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


@cache.memoize(timeout=3600)
def packages() -> list[Package]:
    """Every installed distribution; of two with one name, the one that Python would use."""
    found: dict[str, Package] = {}
    for distribution in importlib.metadata.distributions():
        package = _package(distribution)
        if package.name:
            found.setdefault(normalised(package.name), package)
    return [package for _name, package in sorted(found.items())]


def package_details(package: Package) -> PackageDetails:
    """Read the metadata and the file list of an installed distribution.

    Raises:
        importlib.metadata.PackageNotFoundError: If it was removed in the meantime.
    """
    distribution = importlib.metadata.distribution(package.name)
    metadata = distribution.metadata
    installed = {normalised(other.name): other for other in packages()}
    files = distribution.files or []
    return PackageDetails(
        package=package,
        requires_python=_field(metadata, "Requires-Python"),
        license=_field(metadata, "License-Expression") or _field(metadata, "License"),
        files=len(files),
        size=sum(file.size or 0 for file in files),
        requires=[
            (requirement, installed.get(normalised(_requirement_name(requirement))))
            for requirement in distribution.requires or []
        ],
        provides=[
            module
            for module in modules().values()
            if "." not in module.name and package.name in module.origin.split(", ")
        ],
        links=list(_links(metadata.get_all("Project-URL") or [])),
    )


def family(name: str) -> list[Module]:
    """The top-level module of ``name`` and the modules right under it."""
    top = name.partition(".")[0]
    return [module for module in (modules().get(top),) if module] + children(top)


def children(name: str) -> list[Module]:
    """The modules right under the package ``name``."""
    return [module for module in modules().values() if module.name.rpartition(".")[0] == name]


def similar(name: str, names: Iterable[str], limit: int = 5) -> list[str]:
    """Those of ``names`` that someone who wrote ``name`` may have meant, best first."""
    by_folded = {known.casefold(): known for known in names}
    wanted = name.casefold().replace("/", ".").strip(".")
    close = difflib.get_close_matches(wanted, by_folded, n=limit, cutoff=0.6)
    return [by_folded[folded] for folded in close]


def normalised(name: str) -> str:
    """A distribution's name in the one spelling that PEP 503 compares."""
    return re.sub(r"[-_.]+", "-", name).lower()


def source_file(spec: ModuleSpec) -> str:
    """The file with a module's text, or ``""``."""
    origin = spec.origin or ""
    return origin if origin.endswith(".py") else ""


def _top_level_spec(name: str) -> ModuleSpec | None:
    if not _is_browsable(name):
        return None
    # Not ``importlib.util.find_spec``, which answers from whatever is imported by that name.
    return BuiltinImporter.find_spec(name) or PathFinder.find_spec(name)


def _walk(name: str, spec: ModuleSpec | None, origin: str) -> Iterator[Module]:
    """The module ``name`` and everything below it."""
    if spec is None or not _is_browsable(name.rpartition(".")[2]):
        return
    locations = spec.submodule_search_locations
    yield Module(name, _summary(name, spec), origin, locations is not None, source_file(spec))
    for found in pkgutil.iter_modules(list(locations or []), f"{name}."):
        finder = found.module_finder
        # Zipped packages have finders of another kind; nothing in them is listed.
        if hasattr(finder, "find_spec"):
            yield from _walk(found.name, finder.find_spec(found.name, None), origin)


def _is_browsable(part: str) -> bool:
    """Whether one part of a dotted name is public, importable and harmless."""
    return part.isidentifier() and not part.startswith("_") and part not in _LEFT_OUT


def _summary(name: str, spec: ModuleSpec) -> str:
    if name in sys.builtin_module_names:
        return pydoc.splitdoc(importlib.import_module(name).__doc__ or "")[0]
    path = source_file(spec)
    if not path:
        return ""
    try:
        with tokenize.open(path) as source:
            return (pydoc.source_synopsis(source) or "").strip()
    except (OSError, SyntaxError, UnicodeDecodeError, tokenize.TokenError):
        return ""


def _package(distribution: importlib.metadata.Distribution) -> Package:
    metadata = distribution.metadata
    return Package(*(_field(metadata, name) for name in ("Name", "Version", "Summary")))


def _field(metadata: importlib.metadata.PackageMetadata, name: str) -> str:
    """A field of the metadata, ``""`` where it is missing."""
    values = metadata.get_all(name)
    return values[0].strip() if values else ""


def _requirement_name(requirement: str) -> str:
    matched = re.match(r"[A-Za-z0-9._-]+", requirement)
    return matched.group() if matched else ""


def _links(project_urls: list[str]) -> Iterator[tuple[str, str]]:
    for entry in project_urls:
        label, _comma, address = entry.partition(",")
        if re.match(r"https?://", address.strip()):
            yield label.strip(), address.strip()
