"""What the inputs of a request are called.

======================  =========================================================================
``query:NAME``          one parameter; ``query_order:NAME``: the order of its values too
``query``               the query string as a whole
``header:Name``         one header; ``headers``: all of them
``cookie:NAME``         one cookie; ``cookies``: all of them
``session:KEY``         one value of the session; ``session``: all of it, or whose it is
``form:NAME``           one field; ``form``: all of them
``files``, ``body``     what was uploaded; all that was sent
``method``
``host``, ``scheme``    where the request was sent to; ``root`` is the script root
``remote_addr``         the peer; ``remote_user`` whom the server has authenticated
``g:NAME``              what was set on :data:`flask.g` before
``request:NAME``        what the application set on the request object before
``environ:NAME``        what a server or middleware put into the WSGI environment
======================  =========================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = [
    "ATTRIBUTES",
    "COOKIES",
    "ENVIRON",
    "FORM",
    "HEADERS",
    "QUERY",
    "SESSION",
    "WHOLES",
    "Group",
    "environ_inputs",
    "header_input",
]

#: Characters of a name; a longer one was made up by whoever sent the request.
_NAME_LIMIT = 128


@dataclass(frozen=True)
class Group:
    """Inputs that are read by name from one mapping.

    Attributes:
        prefix: What their names begin with.
        whole: What all of them together are called.
        order: What the order of a name's values is called; empty if there is but one value.
    """

    prefix: str
    whole: str
    order: str = ""

    def names(self, key: object, *, order: bool = False) -> tuple[str, ...]:
        """What reading one key reads."""
        if not isinstance(key, str) or len(key) > _NAME_LIMIT:
            return (self.whole,)
        ordered = (f"{self.order}:{key}",) if order and self.order else ()
        return (f"{self.prefix}:{key}", *ordered)


class _Headers(Group):
    def names(self, key: object, *, order: bool = False) -> tuple[str, ...]:
        return header_input(key) if isinstance(key, str) else (self.whole,)


class _Environ(Group):
    def names(self, key: object, *, order: bool = False) -> tuple[str, ...]:
        return environ_inputs(key) if isinstance(key, str) else ()


QUERY = Group("query", "query", "query_order")
FORM = Group("form", "form")
COOKIES = Group("cookie", "cookies")
SESSION = Group("session", "session")
HEADERS = _Headers("header", "headers")
ENVIRON = _Environ("environ", "headers")

#: The name for all of those that begin with a prefix.
WHOLES: Mapping[str, str] = MappingProxyType(
    {
        "query": "query",
        "query_order": "query",
        "form": "form",
        "cookie": "cookies",
        "session": "session",
        "header": "headers",
    }
)


def header_input(name: str) -> tuple[str, ...]:
    """What reading a header reads, however its name is written."""
    if len(name) > _NAME_LIMIT:
        return ("headers",)
    written = name.replace("_", "-").title()
    return ("host",) if written == "Host" else (f"header:{written}",)


#: What a server puts into the WSGI environment (PEP 3333, CGI), where it is an input.
_ENVIRON: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "REQUEST_METHOD": ("method",),
        "QUERY_STRING": ("query",),
        "REQUEST_URI": ("query", "root"),
        "RAW_URI": ("query", "root"),
        "SCRIPT_NAME": ("root",),
        "SERVER_NAME": ("host",),
        "SERVER_PORT": ("host",),
        "REMOTE_ADDR": ("remote_addr",),
        "REMOTE_HOST": ("remote_addr",),
        "REMOTE_PORT": ("remote_addr",),
        "REMOTE_USER": ("remote_user",),
        "AUTH_TYPE": ("remote_user",),
        "HTTPS": ("scheme",),
        "wsgi.url_scheme": ("scheme",),
        "wsgi.input": ("body",),
        "CONTENT_TYPE": ("header:Content-Type",),
        "CONTENT_LENGTH": ("header:Content-Length",),
        # The same for every request to a path.
        "PATH_INFO": (),
        "SERVER_PROTOCOL": (),
        "SERVER_SOFTWARE": (),
        "GATEWAY_INTERFACE": (),
        "DOCUMENT_ROOT": (),
    }
)

#: What the keys of servers and of Werkzeug itself begin with.
_NOT_INPUTS = ("wsgi.", "werkzeug.", "flask.")


def environ_inputs(key: str) -> tuple[str, ...]:
    """What reading a key of the WSGI environment reads."""
    known = _ENVIRON.get(key)
    if known is not None:
        return known
    if key.startswith("HTTP_"):
        return header_input(key[5:])
    if key.startswith(_NOT_INPUTS):
        return ()
    return (f"environ:{key}",) if len(key) <= _NAME_LIMIT else ("headers",)


def _headers(**attributes: str) -> dict[str, tuple[str, ...]]:
    return {attribute: (f"header:{name}",) for attribute, name in attributes.items()}


#: Attributes of a request that read the same inputs whenever they are asked for. Those that give
#: out mappings (``args``, ``headers``) are not here: what is asked of these is what counts.
ATTRIBUTES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "query_string": ("query",),
        "full_path": ("query",),
        "url": ("query", "scheme", "host", "root"),
        "base_url": ("scheme", "host", "root"),
        "url_root": ("scheme", "host", "root"),
        "root_url": ("scheme", "host", "root"),
        "host_url": ("scheme", "host"),
        "host": ("host",),
        "server": ("host",),
        "scheme": ("scheme",),
        "is_secure": ("scheme",),
        "root_path": ("root",),
        "script_root": ("root",),
        "method": ("method",),
        "remote_addr": ("remote_addr",),
        "access_route": ("header:X-Forwarded-For", "remote_addr"),
        "remote_user": ("remote_user",),
        "data": ("body",),
        "json": ("body",),
        "stream": ("body",),
        "input_stream": ("body",),
        "files": ("files",),
        **_headers(
            accept_charsets="Accept-Charset",
            accept_encodings="Accept-Encoding",
            accept_languages="Accept-Language",
            accept_mimetypes="Accept",
            access_control_request_headers="Access-Control-Request-Headers",
            access_control_request_method="Access-Control-Request-Method",
            authorization="Authorization",
            cache_control="Cache-Control",
            content_encoding="Content-Encoding",
            content_length="Content-Length",
            content_md5="Content-Md5",
            content_type="Content-Type",
            date="Date",
            if_match="If-Match",
            if_modified_since="If-Modified-Since",
            if_none_match="If-None-Match",
            if_range="If-Range",
            if_unmodified_since="If-Unmodified-Since",
            is_json="Content-Type",
            max_forwards="Max-Forwards",
            mimetype="Content-Type",
            mimetype_params="Content-Type",
            origin="Origin",
            pragma="Pragma",
            range="Range",
            referrer="Referer",
            user_agent="User-Agent",
            want_form_data_parsed="Content-Type",
        ),
    }
)
