"""Whether a decorator checks who asks, told by its name, its package, or its class."""

from __future__ import annotations

import re
from typing import Any, Final

from flask_caching.identity import type_of

__all__ = ["auth_check_of", "is_auth_name"]

#: Packages whose decorators are about who asks.
_PACKAGES: Final = frozenset(
    (
        *("flask_login", "flask_principal", "flask_httpauth", "flask_jwt_extended", "flask_jwt"),
        *("flask_security", "flask_user", "flask_praetorian", "flask_oidc", "flask_pyoidc"),
        *("flask_basicauth", "flask_simplelogin", "flask_rbac", "flask_allows", "flask_authorize"),
        *("flask_saml2", "authlib", "flask_oauthlib"),
    )
)

#: Who, or what of them; and what is done about it. A name with both is that of a check.
_SUBJECT: Final = re.compile(
    r"log(ged)?_?in|sign(ed)?_?in|auth(?!or(s|ed)?(_|$))|permission|role|admin|superuser|staff|token"
    r"|jwt|scope|api_?key|user|member|owner|identity|credential|access|privilege"
)
_ACT: Final = re.compile(
    r"requir|need|check|only|accept|protect|verif|guard|ensur|restrict|allow|must|valid|enforc|demand"
)

#: Names that say it in one word.
_WORDS: Final = re.compile(
    r"auth|auth[nz]|authenticat(e|ed|ion)|authori[sz](e|ed|ation)|protect|protected|restricted"
    r"|guarded|permissions?|roles?|login|members_only|internal_only"
)

#: What has a token, or is allowed, and is not about who asks.
_NOT: Final = re.compile(r"csrf|xsrf|rate|throttle|input|origin|host|cors|content|json|form|method")

#: What the functions inside of a decorator are usually called.
_INNER: Final = re.compile(
    r"_*(deco\w*|wrap\w*|inner\w*|outer|call\w*|f|fn|func\w*|actual\w*|real\w*|view\w*|handler|__call__)"
)

_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def is_auth_name(name: str) -> bool:
    """Whether a decorator of this name (``login_required``, ``RequireRole``) checks who asks."""
    words = _CAPITAL.sub("_", name).lower().strip("_")
    if _NOT.search(words):
        return False
    return bool(_WORDS.fullmatch(words) or (_SUBJECT.search(words) and _ACT.search(words)))


def auth_check_of(wrapper: Any) -> str:
    """The name of the auth check that made a wrapper; empty if none did, as far as can be told.

    ``functools.wraps`` gives a wrapper the name and module of what it wraps; its code and its
    globals are its own.
    """
    code = getattr(wrapper, "__code__", None)
    if code is None:
        kind = type_of(wrapper)
        name, module = str(kind.__qualname__).rpartition(".")[2], str(kind.__module__)
    else:
        name, module = _decorator(code.co_qualname), str(wrapper.__globals__.get("__name__", ""))
    known = module.partition(".")[0] in _PACKAGES or is_auth_name(name)
    return f"{module}.{name}" if known else ""


def _decorator(qualname: str) -> str:
    """The decorator's own name, of that of the function that it made."""
    scopes = [scope.rpartition(".") for scope in qualname.split(".<locals>.")]
    # The last one is what was made; a method of a class that decorates is called by the class.
    names = [owner if name == "__call__" else name for owner, _, name in scopes]
    outer = names[:-1] or names
    return next((name for name in reversed(outer) if not _INNER.fullmatch(name)), outer[0])
