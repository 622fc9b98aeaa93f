"""Calls of web pages from a browser (CORS; Fetch standard, 3.2): preflights, and headers of responses.

Cookies are never allowed: there is no ``Access-Control-Allow-Credentials``.
"""

import re

from shared.core.http_tokens import Fields
from shared.core.memo import Memo
from shared.model.config import Cors
from shared.model.messages import LOWER, Headers, encoded

#: Every origin.
ANY = "*"

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_HEADER_LIST = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z, \t-]{0,2048}")
# The headers that pages may read besides those that every page may read (Fetch, 2.2.2).
_EXPOSED = re.compile(
    r"(?:x-request-id|x-upstream-request-id|x-gateway-.*|(?:x-)?ratelimit(?:-.*)?|retry-after(?:-ms)?"
    r"|x-should-retry)"
)
_VARY = (b"Vary", b"Origin")


def _is_exposed(name: bytes) -> bool:
    return _EXPOSED.fullmatch(LOWER[name]) is not None


_IS_EXPOSED: Memo[bytes, bool] = Memo(_is_exposed)
_IS_CORS: Memo[bytes, bool] = Memo(lambda name: name.lower().startswith(b"access-control-"))


def parse_origin(text: str) -> str:
    """`text` as a browser sends it: in lower case, without a default port. Raises ValueError."""
    origin = text.lower()
    parts = _ORIGIN.fullmatch(origin)
    if origin != ANY and parts is None:
        raise ValueError(f"Must be {ANY}, or an origin such as https://app.example.com, without a path.")
    if parts and parts[3] == _DEFAULT_PORTS.get(parts[1]):
        return f"{parts[1]}://{parts[2]}"
    return origin


def is_preflight(method: str, headers: Headers) -> bool:
    """Whether a browser asks if a page may send a request (Fetch, 4.8)."""
    return method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def preflight_headers(cors: Cors, headers: Headers) -> Headers:
    """The headers of the response to a preflight. A page that may not call gets none but Vary."""
    names = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
    if (origin := _allowed(cors, headers)) is None:
        return Headers([("Vary", names)])
    items = [
        ("Vary", names),
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Methods", headers["access-control-request-method"]),
        ("Access-Control-Max-Age", str(int(cors.max_age))),
    ]
    requested = ", ".join(headers.all("access-control-request-headers"))
    if allowed := ", ".join(cors.headers) or (requested if _HEADER_LIST.fullmatch(requested) else ""):
        items.append(("Access-Control-Allow-Headers", allowed))
    return Headers(items)


def with_cors(fields: Fields, cors: Cors, request: Headers) -> Fields:
    """The head of a response, with what lets the page that sent `request` read it.

    The upstream's own CORS headers are removed: two of them would let no page read it.
    """
    kept = tuple([field for field in fields if not _IS_CORS[field[0]]])
    origin = _allowed(cors, request)
    if origin is None:
        return (*kept, _VARY)
    names = dict.fromkeys([name for name, _ in kept if _IS_EXPOSED[name]])
    exposed = ((b"Access-Control-Expose-Headers", b", ".join(names)),) if names else ()
    return (*kept, _VARY, (b"Access-Control-Allow-Origin", encoded(origin)), *exposed)


def _allowed(cors: Cors, headers: Headers) -> str | None:
    """The value of Access-Control-Allow-Origin for this request; None if its page may not call."""
    origin = headers.get("origin")
    if origin is None:
        return None
    if ANY in cors.origins:
        return ANY
    return origin if origin.lower() in cors.origins else None
