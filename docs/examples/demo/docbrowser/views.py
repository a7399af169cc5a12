"""The pages. Each decorator says how its page is cached."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from itertools import groupby

from flask import Blueprint, render_template, request
from werkzeug.exceptions import HTTPException

from . import catalogue
from .extensions import cache
from .receipt import wants_fresh
from .rendering import DocumentationError, document
from .search import KINDS, LONGEST_QUERY, normalised
from .search import search as find
from .stats import summarise

__all__ = ["browser", "not_found"]

browser = Blueprint("browser", __name__)

#: A page and its status, as Flask takes them from a view.
Page = str | tuple[str, int]


@browser.get("/")
def overview() -> Page:
    """What is here and what the cache has done. Not cached: its numbers are of this moment."""
    return render_template(
        "overview.html",
        modules=catalogue.modules(),
        packages=catalogue.packages(),
        stats=summarise(cache.stats()),
    )


@browser.get("/numbers")
def numbers() -> Page:
    """The overview's table alone, which its script asks for every two seconds."""
    return render_template("_numbers.html", stats=summarise(cache.stats()))


@browser.get("/modules/")
@cache.cached(forced_update=wants_fresh, response_hit_indication=True)
def modules() -> Page:
    """Every top-level module, by first letter."""
    top_level = [module for name, module in catalogue.modules().items() if "." not in name]
    letters = groupby(top_level, key=lambda module: module.name[0].upper())
    return render_template(
        "modules.html",
        groups=[(letter, list(group)) for letter, group in letters],
        total=len(top_level),
    )


@browser.get("/modules/<path:name>")
@cache.cached(forced_update=wants_fresh, response_hit_indication=True)
def module(name: str) -> Page:
    """A module's documentation: the dear page, a tenth of a second and more."""
    known = catalogue.modules()
    if name not in known:
        return _missing_module(name)
    try:
        documentation = document(name, known)
    except DocumentationError as error:
        return _missing(
            f"{name} has no page",
            f"The module is installed, but Python could not import it here ({error}).",
        )
    return render_template(
        "module.html", module=known[name], documentation=documentation, family=catalogue.family
    )


@browser.route("/search", methods=["GET", "POST"])
@cache.cached(
    query_string=True,
    ignore_query=["fresh"],
    forced_update=wants_fresh,
    response_hit_indication=True,
)
def search() -> Page:
    """Search, cached by query string: the order of the parameters makes no difference.

    It answers POST as well, for scripts with long queries; a POST is never cached.
    """
    query = normalised(request.values.get("q", ""))
    kind = request.values.get("kind", "all")
    if kind not in KINDS:
        return _refused(f"Nothing can be searched of that kind. Kinds are: {', '.join(KINDS)}.")
    if len(query) > LONGEST_QUERY:
        return _refused(f"A search has at most {LONGEST_QUERY} characters, not {len(query)}.")
    return render_template(
        "search.html",
        query=query,
        kind=kind,
        kinds=KINDS,
        results=find(query, kind) if query else None,
    )


@browser.get("/packages/")
@cache.cached(forced_update=wants_fresh, response_hit_indication=True)
def packages() -> Page:
    """Every installed distribution."""
    return render_template("packages.html", packages=catalogue.packages())


@browser.get("/packages/<name>/<version>")
@cache.cached(forced_update=wants_fresh, response_hit_indication=True)
def package(name: str, version: str) -> Page:
    """One version of one distribution."""
    installed = {catalogue.normalised(package.name): package for package in catalogue.packages()}
    found = installed.get(catalogue.normalised(name))
    if found is None:
        near = catalogue.similar(catalogue.normalised(name), installed)
        return _missing(
            "No such package",
            f"No package called {name} is installed here.",
            packages=[installed[other] for other in near],
        )
    if found.version != version:
        return _missing(
            "Another version is installed",
            f"{found.name} is installed here, but not in version {version}.",
            packages=[found],
        )
    try:
        details = catalogue.package_details(found)
    except PackageNotFoundError:
        return _missing("No such package", f"{found.name} was here a while ago, and was removed.")
    return render_template("package.html", details=details, all_packages=catalogue.packages)


@browser.get("/packages/<name>/<version>/requires")
@cache.cached(key_prefix="requires", forced_update=wants_fresh, response_hit_indication=True)
def requires(name: str, version: str) -> Page:
    """What a package requires.

    A mistake, made on purpose: the key is the same text for every package, so that all of them
    are shown what the first one requires. The debug pages find it; see the demo's README.
    """
    installed = {catalogue.normalised(package.name): package for package in catalogue.packages()}
    found = installed.get(catalogue.normalised(name))
    if found is None or found.version != version:
        return _missing("No such package", f"No package {name} {version} is installed here.")
    return render_template("requires.html", details=catalogue.package_details(found))


def not_found(error: HTTPException) -> tuple[str, int]:
    """The page for addresses that no rule matches."""
    return _missing("No such page", f"There is nothing at {request.path}.")


def _refused(message: str) -> tuple[str, int]:
    """The page for a search that cannot be made."""
    return render_template("error.html", title="That cannot be searched", message=message), 400


def _missing_module(name: str) -> tuple[str, int]:
    known = catalogue.modules()
    return _missing(
        "No such module",
        f"There is no module called {name} here, or it is not one that can be shown: private "
        "modules, tests, and modules that do something when imported are left out.",
        modules=[known[other] for other in catalogue.similar(name, known)],
    )


def _missing(
    title: str,
    message: str,
    modules: list[catalogue.Module] | None = None,
    packages: list[catalogue.Package] | None = None,
) -> tuple[str, int]:
    """A 404 page that offers what the reader may have meant.

    Returned, not raised: the page is then cached like any other, its suggestions included.
    """
    page = render_template(
        "error.html", title=title, message=message, modules=modules, packages=packages
    )
    return page, 404
