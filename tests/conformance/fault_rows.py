"""Broken upstreams: the name of a fault, and what the upstream does."""

from dataclasses import dataclass

from tests.support.upstream import CHUNKED, Action, close, half_close, reset, send


@dataclass(frozen=True)
class Fault:
    """Not a valid response; 502."""

    name: str
    actions: tuple[Action, ...]


@dataclass(frozen=True)
class Cut:
    """A good head and half a body; `whole` is the most of it that may be passed on."""

    name: str
    head: bytes
    body: bytes
    end: tuple[Action, ...]
    whole: bytes = b"half"


def _says(name: str, raw: bytes, *end: Action) -> Fault:
    return Fault(name, (send(raw), *(end or (close,))))


def _line(name: str, line: bytes) -> Fault:
    return _says(name, line + b"\r\nContent-Length: 2\r\n\r\nok")


def _field(name: str, field: bytes) -> Fault:
    return _says(name, b"HTTP/1.1 200 OK\r\n" + field + b"\r\nContent-Length: 2\r\n\r\nok")


def _framing(name: str, fields: bytes, body: bytes = b"ok") -> Fault:
    return _says(name, b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n\r\n" + body)


_CHUNKS = b"2\r\nok\r\n0\r\n\r\n"

FAULTS = (
    Fault("an end before a byte", (close,)),
    Fault("a reset before a byte", (reset,)),
    Fault("a half-close before a byte", (half_close,)),
    _says("half a status line", b"HTTP/1.1 2"),
    _says("half a status line and a reset", b"HTTP/1.1 2", reset),
    _says("a status line alone", b"HTTP/1.1 200 OK\r\n"),
    _says("half a head", b"HTTP/1.1 200 OK\r\nContent-Le"),
    _says("half a head and a reset", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", reset),
    _says("half a head and a half-close", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", half_close),
    _says("a head without its empty line", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"),
    _says("an interim response alone", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    _says("garbage", b"\x00\x01\x02\xff\xfe garbage \r\n\r\n"),
    _says("another protocol", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    _says("a TLS alert", b"\x15\x03\x01\x00\x02\x02\x46"),
    _says("a body without a head", b'{"ok": true}\r\n\r\n'),
    _line("version 0.9 of a response", b"HTTP/0.9 200 OK"),
    _line("version 1.2 of a response", b"HTTP/1.2 200 OK"),
    _line("version 2 of a response", b"HTTP/2 200 OK"),
    _line("version 3.0 of a response", b"HTTP/3.0 200 OK"),
    _line("another protocol's version", b"ICY 200 OK"),
    _line("a status of two digits", b"HTTP/1.1 20 OK"),
    _line("a status of four digits", b"HTTP/1.1 2000 OK"),
    _line("a status that is not a number", b"HTTP/1.1 abc OK"),
    _line("status 99", b"HTTP/1.1 099 OK"),
    _line("status 600", b"HTTP/1.1 600 OK"),
    _line("status 0", b"HTTP/1.1 0 OK"),
    _line("a control character in the reason", b"HTTP/1.1 200 O\x01K"),
    _line("a bare CR in the reason", b"HTTP/1.1 200 O\rK"),
    _line("no space behind the version", b"HTTP/1.1200 OK"),
    _field("a NUL in a value of a response", b"X-A: a\x00b"),
    _field("a control character in a value of a response", b"X-A: a\x01b"),
    _field("a bare CR in a value of a response", b"X-A: a\rb"),
    _field("a folded value of a response", b"X-A: a\r\n b"),
    _field("a space before a colon of a response", b"X-A : b"),
    _field("a name of a response with a space", b"X A: b"),
    _field("an empty name of a response", b": b"),
    _field("a field of a response without a colon", b"nonsense"),
    _framing("the same length twice in a response", b"Content-Length: 2\r\nContent-Length: 2"),
    _framing("two lengths in a response", b"Content-Length: 2\r\nContent-Length: 3"),
    _framing("two lengths in one field of a response", b"Content-Length: 2, 2"),
    _framing("a length that is not a number", b"Content-Length: abc"),
    _framing("a length with a plus", b"Content-Length: +2"),
    _framing("a negative length", b"Content-Length: -2"),
    _framing("a length and a coding", b"Content-Length: 12\r\nTransfer-Encoding: chunked", _CHUNKS),
    _framing("a coding and a length", b"Transfer-Encoding: chunked\r\nContent-Length: 12", _CHUNKS),
    _framing("an unknown coding of a response", b"Transfer-Encoding: gzip"),
    _framing("gzip before chunked in a response", b"Transfer-Encoding: gzip, chunked", _CHUNKS),
    _framing("chunked before gzip in a response", b"Transfer-Encoding: chunked, gzip", _CHUNKS),
    _framing("chunked twice in a response", b"Transfer-Encoding: chunked, chunked", _CHUNKS),
    _framing("chunked in two fields of a response", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", _CHUNKS),
    _framing("identity in a response", b"Transfer-Encoding: identity"),
    _says("a head of 5 MB", b"HTTP/1.1 200 OK\r\n" + (b"X-A: " + b"b" * 1000 + b"\r\n") * 5000 + b"Content-Length: 2\r\n\r\nok"),
    _says("one field of 5 MB", b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 5_000_000 + b"\r\nContent-Length: 2\r\n\r\nok"),
    _says("a reason of 5 MB", b"HTTP/1.1 200 " + b"b" * 5_000_000 + b"\r\nContent-Length: 2\r\n\r\nok"),
)  # fmt: skip

_SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
_EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"

CUTS = (
    Cut("sized, closed before the body", _SIZED, b"", (close,)),
    Cut("sized, closed", _SIZED, b"half", (close,)),
    Cut("sized, reset", _SIZED, b"half", (reset,)),
    Cut("sized, half closed", _SIZED, b"half", (half_close,)),
    Cut("chunked, closed before a chunk", CHUNKED, b"", (close,)),
    Cut("chunked, closed in a size", CHUNKED, b"4", (close,)),
    Cut("chunked, closed in a chunk", CHUNKED, b"a\r\nhalf", (close,)),
    Cut("chunked, closed behind a chunk", CHUNKED, b"4\r\nhalf\r\n", (close,)),
    Cut("chunked, reset behind a chunk", CHUNKED, b"4\r\nhalf\r\n", (reset,)),
    Cut("chunked, half closed behind a chunk", CHUNKED, b"4\r\nhalf\r\n", (half_close,)),
    Cut("chunked, closed before the last line", CHUNKED, b"4\r\nhalf\r\n0\r\n", (close,)),
    Cut("lines of JSON, closed behind a chunk", _EVENTS, b"4\r\nhalf\r\n", (close,)),
    Cut("chunked, then a size that is not a number", CHUNKED, b"4\r\nhalf\r\nxyz\r\n", (close,)),
    Cut("chunked, then a negative size", CHUNKED, b"4\r\nhalf\r\n-4\r\nhalf\r\n0\r\n\r\n", (close,)),
    Cut("chunked, then a chunk longer than its size", CHUNKED, b"4\r\nhalfmore\r\n0\r\n\r\n", (close,)),
    Cut(
        "chunked, with a size of 17 digits",
        CHUNKED,
        b"10000000000000004\r\nhalf\r\n0\r\n\r\n",
        (close,),
        b"half\r\n0\r\n\r\n",
    ),
    Cut("without a length, reset", b"HTTP/1.1 200 OK\r\n\r\n", b"half", (reset,)),
)
