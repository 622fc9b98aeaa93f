"""The strict check of a request's head, before anything else looks at it.

What llhttp or an upstream could read in two ways is refused (RFC 9112, sections 2 to 7; RFC 9110,
section 5). The stock engine lets most of it through.
"""

import re
from collections.abc import Sequence

from shared.core.errors import Refusal, refuse

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_TARGET = re.compile(rb"[\x21-\x7e]+")
_METHODS = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"))
_LENGTH = re.compile(rb"[0-9]{1,18}")
_LINE_LIMIT = 8 * 1024

Fields = Sequence[tuple[bytes, bytes]]


def check_head(
    method: bytes, target: bytes, version: bytes, fields: Fields, *, head_limit: int, field_limit: int
) -> Refusal | None:
    """Why this head is refused; None when it is sound. `target` is the request line's, as it came."""
    return (
        _check_line(method, target, version)
        or _check_size(fields, head_limit, field_limit)
        or _check_fields(fields)
        or _check_framing(version, fields)
    )


def _bad(message: str) -> Refusal:
    return refuse("bad_request", message)


def _check_line(method: bytes, target: bytes, version: bytes) -> Refusal | None:
    if version not in (b"HTTP/1.0", b"HTTP/1.1"):
        return _bad("Only HTTP/1.0 and HTTP/1.1 are spoken here.")
    if method == b"CONNECT":
        return _bad("CONNECT is not possible here.")
    if method == b"TRACE":
        allow = ", ".join(sorted(m.decode() for m in _METHODS))
        return refuse("method_not_allowed", "TRACE is not possible here.", {"Allow": allow})
    if method not in _METHODS:
        return refuse("not_implemented", "This method is not known here.")
    if len(target) > _LINE_LIMIT:
        return refuse("uri_too_long", f"The request target is longer than {_LINE_LIMIT} bytes.")
    if not target.startswith(b"/") or not _TARGET.fullmatch(target):
        return _bad("The request target must be a path of visible ASCII characters.")
    return None


def _check_size(fields: Fields, head_limit: int, field_limit: int) -> Refusal | None:
    if len(fields) > field_limit:
        return refuse("headers_too_large", f"The request has more than {field_limit} header fields.")
    if sum(len(name) + len(value) + 4 for name, value in fields) > head_limit:
        return refuse("headers_too_large", f"The header fields are longer than {head_limit} bytes.")
    return None


def _check_fields(fields: Fields) -> Refusal | None:
    for name, value in fields:
        if not _TOKEN.fullmatch(name):
            return _bad("A header name holds a character that is not allowed.")
        if not _VALUE.fullmatch(value):
            return _bad("A header value holds a control character or is folded over lines.")
    return None


def _check_framing(version: bytes, fields: Fields) -> Refusal | None:
    hosts = _values(fields, b"host")
    lengths = _values(fields, b"content-length")
    codings = _values(fields, b"transfer-encoding")
    if len(hosts) != 1:
        return refuse("invalid_host", "The request must have exactly one Host header.")
    if len(lengths) > 1 or not all(_LENGTH.fullmatch(length) for length in lengths):
        return _bad("Content-Length must stand once and be a plain number.")
    if codings and (lengths or version == b"HTTP/1.0" or [c.lower() for c in codings] != [b"chunked"]):
        return _bad("Transfer-Encoding must be 'chunked' alone, without Content-Length, in HTTP/1.1.")
    return None


def _values(fields: Fields, wanted: bytes) -> list[bytes]:
    return [value for name, value in fields if name.lower() == wanted]
