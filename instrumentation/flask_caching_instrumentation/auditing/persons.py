"""People who do not exist: what a request has of who asks, in all the ways that applications look.

A person is asked for as ``current_user`` or ``g.user`` by code that one does not know, so it has
every attribute and method: each answers with its own name and the person's number.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final, Literal, TypeAlias

from .asking import MadeUp
from .clues import Clues

__all__ = ["ASKERS", "Person", "equipped", "identified"]

#: Names in ``flask.g`` that mean who asks, or for whom.
ASKERS: Final = frozenset(
    (
        *("user", "current_user", "_login_user", "user_id", "uid", "username", "account"),
        *("account_id", "identity", "auth", "token", "member", "customer", "customer_id"),
        *("tenant", "tenant_id", "org", "org_id", "organization", "organization_id"),
        *("organisation", "team", "team_id", "site", "site_id", "workspace", "company"),
        *("company_id", "client_id", "role", "roles", "permission", "permissions", "scopes"),
        *("locale", "lang", "lang_code", "language", "timezone", "currency", "country", "region"),
    )
)

#: Session keys that say who asks.
_SESSION: Final = ("_user_id", "user_id", "uid", "user", "username", "account_id", "email")

#: How a person is kept in a session: by a text, or by a dictionary.
Shape: TypeAlias = Literal["text", "dictionary"]


class _Answer(str):
    """The answer to anything that is asked of a person: a text that can be called."""

    __slots__ = ()

    def __call__(self, *args: Any, **kwargs: Any) -> _Answer:
        return self

    def __getattr__(self, name: str) -> _Answer:
        if name.startswith("_"):
            raise AttributeError(name)
        return _Answer(f"{name} of {self}")


class Person:
    """Someone who is logged in.

    Args:
        number: Tells one person from another.

    Attributes:
        id: The number.
    """

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def __init__(self, number: int) -> None:
        self.id = number

    def get_id(self) -> str:
        """What Flask-Login calls a user by."""
        return str(self.id)

    def __caching_id__(self) -> int:
        return self.id

    def __getattr__(self, name: str) -> _Answer:
        if name.startswith("_"):
            raise AttributeError(name)
        return _Answer(f"{name} {self.id}")

    def __getitem__(self, name: object) -> Any:
        return self.id if name == "id" else _Answer(f"{name} {self.id}")

    def __repr__(self) -> str:
        return f"person {self.id}"


def identified(request: MadeUp, number: int, clues: Clues, shape: Shape = "text") -> MadeUp:
    """A request as someone who is logged in would send it.

    Args:
        request: The request of somebody unknown.
        number: Which person.
        clues: Of the code that makes the key and checks who asks: its texts may be names of
            session keys, cookies or headers, its names those of ``flask.g``.
        shape: How the session keeps a person.
    """
    person = Person(number)
    kept: Any = str(number)
    if shape == "dictionary":
        kept = {"id": number, "name": f"person {number}", "role": f"role {number}"}
    words = [text for text in clues.texts if _is_name(text)]
    headers = [("Authorization", f"Bearer {number}"), ("X-Api-Key", str(number))]
    headers += [(word, str(number)) for word in words if _is_header(word)]
    cookies = dict.fromkeys(("token", "auth_token", "access_token", *words), str(number))
    in_globals = [name for name in (*sorted(ASKERS), *words) if clues.mentions(name)]
    globals_ = dict.fromkeys(("_login_user", "user", "current_user", *in_globals), person)
    sessions = dict.fromkeys((*_SESSION, *words), kept)
    return (
        request.with_headers(*dict(headers).items())
        .with_cookies(*cookies.items())
        .with_session(*sessions.items())
        .with_globals(*globals_.items())
    )


def equipped(request: MadeUp, clues: Clues) -> MadeUp:
    """A request that has something of all that the code of a key maker may ask for by name."""
    words = [text for text in clues.texts if _is_name(text)]
    with_all = (
        request.with_query(*((word, "1") for word in words))
        .with_headers(*((word, "1") for word in words if _is_header(word)))
        .with_cookies(*((word, "1") for word in words if word.isascii()))
        .with_session(*((word, "1") for word in words))
    )
    if request.method in ("GET", "HEAD"):
        return with_all
    body = json.dumps(dict.fromkeys(words, "1"))
    return replace(with_all, body=body, content_type="application/json")


def _is_header(word: str) -> bool:
    """Whether a name may be that of a header, and of one that says nothing of the body."""
    return "-" in word and word.isascii() and not word.lower().startswith("content-")


def _is_name(text: str) -> bool:
    """Whether a text may be the name of a cookie, header or session key."""
    return len(text) > 1 and all(letter.isalnum() or letter in "_-" for letter in text)
