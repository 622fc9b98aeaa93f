"""The strict check of a request's head, before any hook sees it.

A head that a parser or an upstream could read in two ways is rejected (RFC 9112, sections 2 to 7; RFC 9110,
section 5). llhttp checks codings and lengths only after the head, so these checks are our own.
"""

import re
from collections.abc import Sequence

from mitm_engine.http1.header_names import NO_NAME, HeaderNames
from mitm_engine.options import Options
from mitm_engine.wire_error import WireError
from shared.core.http_tokens import METHODS, Fields, connection_options

#: Matches a path of visible ASCII characters.
match_target = re.compile(rb"/[\x21-\x7e]*").fullmatch
# Field values, each on a line of its own (RFC 9110, 5.5).
_VALUES = re.compile(rb"[\t\n\x20-\x7e\x80-\xff]*")
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
#: The methods that clients may send, as bytes.
METHOD_BYTES = frozenset(method.encode() for method in METHODS)
_ALLOW = {"Allow": ", ".join(sorted(METHODS))}
DIFFERENT_HOSTS = "The request target and the Host header name different hosts."
_PROBING = (b"GET", b"HEAD")
_VERSIONS = (b"HTTP/1.1", b"HTTP/1.0")
_DECIDING = HeaderNames((b"host", b"content-length", b"transfer-encoding"))


def check_head(method: bytes, target: bytes, version: bytes, fields: Fields, options: Options) -> None:
    """Raise `WireError` unless the head is well-formed. `target` is in origin form."""
    _check_line(method, target, version, options)
    _check_fields(fields, options)
    # Load balancers probe without Host.
    needs_host = target not in options.always_served or method not in _PROBING
    _check_framing(version, fields, needs_host=needs_host)


def origin_form(target: bytes, fields: Fields) -> bytes | None:
    """Return the target without the authority of its absolute form (RFC 9112, 3.2.2).

    Return None if that authority differs from Host.
    """
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        return target
    authority, rest = absolute.groups()
    if [authority.lower()] != [value.lower() for value in values_of(fields, b"host")]:
        return None
    return rest if rest.startswith(b"/") else b"/" + rest


def asks_for_websocket(fields: Fields) -> bool:
    """Return whether the head asks for the WebSocket protocol (RFC 6455, 4.1)."""
    names = [name.strip().partition(b"/")[0] for name in _joined(fields, b"upgrade").split(b",")]
    return b"websocket" in names and b"upgrade" in connection_options((_joined(fields, b"connection"),))


def _joined(fields: Fields, name: bytes) -> bytes:
    return b",".join(values_of(fields, name)).lower()


def values_of(fields: Fields, wanted: bytes) -> list[bytes]:
    """Return every value of the header `wanted`, a name in lower case."""
    return [value for name, value in fields if name.lower() == wanted]


def announced_length(fields: Fields) -> int:
    """Return the Content-Length in a checked head; 0 if there is none."""
    lengths = values_of(fields, b"content-length")
    return int(lengths[0]) if lengths else 0


def too_many(options: Options) -> WireError:
    """Return the error of a head with too many fields."""
    return WireError("headers_too_large", f"The request has more than {options.field_limit} header fields.")


def is_length(value: bytes) -> bool:
    """Return whether a Content-Length is a plain number of at most 64 bits."""
    return value.isdigit() and len(value) <= 18


def size_of(fields: Sequence[tuple[bytes, bytes]]) -> int:
    """Return the size of the fields on the wire. Each also has ": " and a line end."""
    return sum([len(name) + len(value) + 4 for name, value in fields])


def have_valid_values(fields: Sequence[tuple[bytes, bytes]]) -> bool:
    """Return whether all values are valid.

    One match checks all of them: a match per field would cost more than all the rest.
    """
    values = b"\n".join([value for _, value in fields])
    return _VALUES.fullmatch(values) is not None and values.count(b"\n") < (len(fields) or 1)


def _bad(message: str) -> WireError:
    return WireError("bad_request", message)


def _check_line(method: bytes, target: bytes, version: bytes, options: Options) -> None:
    if version not in _VERSIONS:
        raise _bad("Only HTTP/1.0 and HTTP/1.1 are supported.")
    if method not in METHOD_BYTES:
        raise _wrong_method(method)
    if len(target) > options.line_limit:
        raise WireError("uri_too_long", f"The request target is longer than {options.line_limit} bytes.")
    if not match_target(target):
        raise _bad("The request target must be a path of visible ASCII characters.")


def _wrong_method(method: bytes) -> WireError:
    if method == b"CONNECT":
        return _bad("The method CONNECT is not supported.")
    if method == b"TRACE":
        return WireError("method_not_allowed", "The method TRACE is not allowed.", _ALLOW)
    return WireError("not_implemented")


def _check_fields(fields: Fields, options: Options) -> None:
    if len(fields) > options.field_limit:
        raise too_many(options)
    if size_of(fields) > options.head_limit:
        raise WireError("headers_too_large", f"The header fields are longer than {options.head_limit} bytes.")
    if not have_valid_values(fields):
        raise _bad("A header value contains a control character or a line break.")


def _check_framing(version: bytes, fields: Fields, *, needs_host: bool) -> None:
    hosts, lengths, codings = 0, [], []
    for name, value in fields:
        deciding = _DECIDING[name]
        if deciding is None:
            continue
        if deciding == b"host":
            hosts += 1
        elif deciding == b"content-length":
            lengths.append(value)
        elif deciding == NO_NAME:
            raise _bad("A header name contains a character that is not allowed.")
        else:
            codings.append(value)
    if hosts > 1 or (needs_host and not hosts):
        raise WireError("invalid_host", "The request must have exactly one Host header.")
    if lengths and (len(lengths) > 1 or not is_length(lengths[0])):
        raise _bad("Content-Length must appear once and be a plain number.")
    if codings and (lengths or version == b"HTTP/1.0" or [c.lower() for c in codings] != [b"chunked"]):
        raise _bad("Transfer-Encoding must be 'chunked' alone, without Content-Length, in HTTP/1.1.")
