"""Requests that must be rejected: the name of the fault, the bytes, and the error codes that are right.

`HOST` and `KEY` in the bytes stand for the tenant's host and key.
"""

from dataclasses import dataclass

_KEY = b"Authorization: Bearer KEY\r\n"
_GOOD = b"Host: HOST\r\n" + _KEY


@dataclass(frozen=True)
class Row:
    """`codes` are the error codes that are right; each has its status in `shared.core.errors`."""

    name: str
    raw: bytes
    codes: tuple[str, ...] = ("bad_request",)


def _line(line: bytes) -> bytes:
    return line + b"\r\n" + _GOOD + b"\r\n"


def _fields(fields: bytes) -> bytes:
    return _line(b"GET /v1/chat HTTP/1.1")[:-2] + fields + b"\r\n"


def _framed(fields: bytes, body: bytes, version: bytes = b"1.1") -> bytes:
    return _line(b"POST /v1/chat HTTP/" + version)[:-2] + fields + b"\r\n" + body


_HOSTS = ("invalid_host",)
_CHUNKED = b"5\r\nhello\r\n0\r\n\r\n"

HOSTS = (
    Row("no Host", b"GET /v1/chat HTTP/1.1\r\n" + _KEY + b"\r\n", codes=("invalid_host", "bad_request")),
    Row("no Host in HTTP/1.0", b"GET /v1/chat HTTP/1.0\r\n" + _KEY + b"\r\n", codes=_HOSTS),
    Row("the same Host twice", _fields(b"Host: HOST\r\n"), codes=_HOSTS),
    Row("two Hosts", _fields(b"host: other.example.com\r\n"), codes=_HOSTS),
    Row(
        "the other Host first",
        b"GET /v1/chat HTTP/1.1\r\nHost: a.example.com\r\n" + _GOOD + b"\r\n",
        codes=_HOSTS,
    ),
)

LINES = (
    Row("a request line without a version", _line(b"GET /v1/chat")),
    Row("an HTTP/0.9 request", b"GET /v1/chat\r\n\r\n"),
    Row("version 0.9", _line(b"GET /v1/chat HTTP/0.9")),
    Row("version 1.2", _line(b"GET /v1/chat HTTP/1.2")),
    Row("version 2.0", _line(b"GET /v1/chat HTTP/2.0")),
    Row("version 9.9", _line(b"GET /v1/chat HTTP/9.9")),
    Row("version 1.10", _line(b"GET /v1/chat HTTP/1.10")),
    Row("version 01.1", _line(b"GET /v1/chat HTTP/01.1")),
    Row("version 1", _line(b"GET /v1/chat HTTP/1")),
    Row("a version in small letters", _line(b"GET /v1/chat http/1.1")),
    Row("another protocol", _line(b"GET /v1/chat ICE/1.1")),
    Row("something behind the version", _line(b"GET /v1/chat HTTP/1.1 x")),
    Row("CONNECT to a host", _line(b"CONNECT example.com:443 HTTP/1.1")),
    Row("CONNECT to a path", _line(b"CONNECT /v1/chat HTTP/1.1")),
    Row("GET *", _line(b"GET * HTTP/1.1")),
    Row("OPTIONS *", _line(b"OPTIONS * HTTP/1.1")),
    Row("TRACE", _line(b"TRACE /v1/chat HTTP/1.1"), ("method_not_allowed",)),
    Row("an unknown method", _line(b"BREW /v1/chat HTTP/1.1"), ("not_implemented",)),
    Row("a method that only WebDAV has", _line(b"PROPFIND /v1/chat HTTP/1.1"), ("not_implemented",)),
    Row("a method in small letters", _line(b"get /v1/chat HTTP/1.1"), ("not_implemented",)),
    Row("a method that is no token", _line(b"G(T /v1/chat HTTP/1.1"), ("bad_request", "not_implemented")),
    Row("a path without a slash", _line(b"GET v1/chat HTTP/1.1")),
    Row("a space in the path", _line(b"GET /v1/chat /x HTTP/1.1")),
    Row("a space before the line", _line(b" GET /v1/chat HTTP/1.1")),
    Row("a tab in the line", _line(b"GET\t/v1/chat HTTP/1.1")),
    Row("a NUL in the path", _line(b"GET /v1/ch\x00at HTTP/1.1")),
    Row("a bare CR in the path", _line(b"GET /v1/ch\rat HTTP/1.1")),
    Row("a control character in the path", _line(b"GET /v1/ch\x01at HTTP/1.1")),
    Row("DEL in the query", _line(b"GET /v1/chat?\x7f HTTP/1.1")),
    Row("bytes beyond ASCII in the path", _line(b"GET /v1/ch\xc3\xa4t HTTP/1.1")),
    Row(
        "an absolute target of another host", _line(b"GET http://other.example.com/v1/chat HTTP/1.1"), _HOSTS
    ),
    Row("an absolute target of another port", _line(b"GET http://HOST:81/v1/chat HTTP/1.1"), _HOSTS),
    Row(
        "an absolute target with a name in front",
        _line(b"GET http://me@HOST/v1/chat HTTP/1.1"),
        ("invalid_host", "bad_request"),
    ),
    Row(
        "an absolute target of another scheme",
        _line(b"GET ftp://HOST/v1/chat HTTP/1.1"),
        ("invalid_host", "bad_request"),
    ),
    Row("garbage", b"\x00\x01\x02\x03 what is this\r\n\r\n"),
    Row(
        "an HTTP/2 preface",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        ("bad_request", "not_implemented"),
    ),
    Row("a path of more than 8 KiB", _line(b"GET /v1/" + b"a" * 8200 + b" HTTP/1.1"), ("uri_too_long",)),
    Row(
        "a query of more than 8 KiB", _line(b"GET /v1/chat?" + b"a" * 8200 + b" HTTP/1.1"), ("uri_too_long",)
    ),
)

#: Heads that RFC 9112, 3 lets a reader accept: each is rejected, or forwarded in the one clean form.
EITHER = (
    Row("two spaces behind the method", _line(b"GET  /v1/chat HTTP/1.1")),
    Row("two spaces before the version", _line(b"GET /v1/chat  HTTP/1.1")),
    Row("a space behind the version", _line(b"GET /v1/chat HTTP/1.1 ")),
)

_TOO_LARGE = ("headers_too_large",)

FIELDS = (
    Row("a NUL in a value", _fields(b"X-A: a\x00b\r\n")),
    Row("a control character in a value", _fields(b"X-A: a\x01b\r\n")),
    Row("DEL in a value", _fields(b"X-A: a\x7fb\r\n")),
    Row("a bare CR in a value", _fields(b"X-A: a\rb\r\n")),
    Row("a bare CR that looks like a new line", _fields(b"X-A: a\rX-Tenant-Id: t2\r\n")),
    Row("a bare CR before CRLF", _fields(b"X-A: a\r\r\n")),
    Row("a value folded with a space", _fields(b"X-A: a\r\n b\r\n")),
    Row("a value folded with a tab", _fields(b"X-A: a\r\n\tb\r\n")),
    Row("a folded Transfer-Encoding", _framed(b"Transfer-Encoding:\r\n chunked\r\n", _CHUNKED)),
    Row("a folded Host", b"GET /v1/chat HTTP/1.1\r\nHost:\r\n HOST\r\n" + _KEY + b"\r\n"),
    Row("a space before the first field", b"GET /v1/chat HTTP/1.1\r\n X-A: b\r\n" + _GOOD + b"\r\n"),
    Row("a space before a colon", _fields(b"X-A : b\r\n")),
    Row("a tab before a colon", _fields(b"X-A\t: b\r\n")),
    Row("a space in a name", _fields(b"X A: b\r\n")),
    Row("a bracket in a name", _fields(b"X(A: b\r\n")),
    Row("a NUL in a name", _fields(b"X\x00A: b\r\n")),
    Row("a byte beyond ASCII in a name", _fields(b"X\xc3\xa4: b\r\n")),
    Row("an empty name", _fields(b": b\r\n")),
    Row("a field without a colon", _fields(b"nonsense\r\n")),
    Row("101 fields", _fields(b"X-A: b\r\n" * 99), _TOO_LARGE),
    Row("a head of more than 32 KiB in one field", _fields(b"X-A: " + b"b" * 33000 + b"\r\n"), _TOO_LARGE),
    Row("a head of more than 32 KiB in many fields", _fields((b"X-A: " + b"b" * 700 + b"\r\n") * 50), _TOO_LARGE),
    Row("a field name of more than 32 KiB", _fields(b"X" * 33000 + b": b\r\n"), _TOO_LARGE),
)  # fmt: skip

_BOTH = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"
_LENGTHS = (
    ("the same Content-Length twice", b"Content-Length: 5\r\nContent-Length: 5\r\n"),
    ("two Content-Lengths", b"Content-Length: 5\r\nContent-Length: 50\r\n"),
    ("two lengths in one field", b"Content-Length: 5, 5\r\n"),
    ("Content-Length +5", b"Content-Length: +5\r\n"),
    ("Content-Length -5", b"Content-Length: -5\r\n"),
    ("Content-Length 5a", b"Content-Length: 5a\r\n"),
    ("Content-Length 0x5", b"Content-Length: 0x5\r\n"),
    ("Content-Length 5_0", b"Content-Length: 5_0\r\n"),
    ("Content-Length 5.0", b"Content-Length: 5.0\r\n"),
    ("Content-Length '5 5'", b"Content-Length: 5 5\r\n"),
    ("an empty Content-Length", b"Content-Length: \r\n"),
    ("a Content-Length in other digits", b"Content-Length: \xd9\xa5\r\n"),
)
_CODINGS = (
    ("an unknown coding", b"gzip"),
    ("gzip before chunked", b"gzip, chunked"),
    ("chunked before gzip", b"chunked, gzip"),
    ("chunked twice in one field", b"chunked, chunked"),
    ("chunked in two fields", b"chunked\r\nTransfer-Encoding: chunked"),
    ("identity in a second field", b"chunked\r\nTransfer-Encoding: identity"),
    ("identity", b"identity"),
    ("xchunked", b"xchunked"),
    ("chunked in quotes", b'"chunked"'),
    ("chunked with a parameter", b"chunked;q=1"),
    ("chunked and a comma", b"chunked,"),
    ("a comma and chunked", b",chunked"),
    ("chunked behind a control character", b"\x0bchunked"),
    ("chunked with a NUL", b"chunked\x00"),
    ("an empty coding", b""),
    ("chunked with a byte beyond ASCII", b"chun\xe2\x84\xaaed"),
)

FRAMING = (
    *(Row(name, _framed(fields, b"hello")) for name, fields in _LENGTHS),
    Row(
        "a Content-Length of 20 digits",
        _framed(b"Content-Length: 18446744073709551621\r\n", b"hello"),
        ("bad_request", "body_too_large"),
    ),
    Row("a Content-Length and Transfer-Encoding", _framed(_BOTH, _CHUNKED)),
    Row(
        "Transfer-Encoding before Content-Length",
        _framed(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", _CHUNKED),
    ),
    Row("Transfer-Encoding in HTTP/1.0", _framed(b"Transfer-Encoding: chunked\r\n", _CHUNKED, b"1.0")),
    Row("Transfer-Encoding on a GET with a length", _fields(_BOTH) + _CHUNKED),
    *(Row(name, _framed(b"Transfer-Encoding: " + coding + b"\r\n", _CHUNKED)) for name, coding in _CODINGS),
    Row("a space before Transfer-Encoding's colon", _framed(b"Transfer-Encoding : chunked\r\n", _CHUNKED)),
    Row("a space before Content-Length's colon", _framed(b"Content-Length : 5\r\n", b"hello")),
)

_CHUNKS = (
    ("a chunk size that is not a number", b"g\r\nhello\r\n"),
    ("an empty chunk size", b"\r\nhello\r\n"),
    ("a chunk size with 0x", b"0x5\r\nhello\r\n"),
    ("a negative chunk size", b"-5\r\nhello\r\n"),
    ("a chunk size with a plus", b"+5\r\nhello\r\n"),
    ("a chunk size with an underscore", b"0_5\r\nhello\r\n"),
    ("a space before a chunk size", b" 5\r\nhello\r\n"),
    ("a chunk size of 17 digits", b"10000000000000005\r\nhello\r\n"),
    ("a chunk longer than its size", b"4\r\nhello\r\n"),
    ("a chunk shorter than its size", b"6\r\nhello\r\n"),
    ("a chunk without an end", b"5\r\nhello0\r\n"),
    ("a chunk that ends with CR and another byte", b"5\r\nhello\rX"),
    ("a bare CR in a chunk extension", b"5;a=\rb\r\nhello\r\n"),
    ("a NUL in a chunk extension", b"5;a=\x00\r\nhello\r\n"),
    ("a bare LF behind a chunk size", b"5\nhello\r\n"),
    ("a bare LF behind a chunk", b"5\r\nhello\n"),
    ("a bare LF in a chunk extension", b"5;a\nhello\r\n"),
    ("a bare LF at the end of the chunks", b"5\r\nhello\r\n0\n\r\n"),
)

CHUNKS = tuple(
    Row(name, _framed(b"Transfer-Encoding: chunked\r\n", data + b"0\r\n\r\n")) for name, data in _CHUNKS
)
