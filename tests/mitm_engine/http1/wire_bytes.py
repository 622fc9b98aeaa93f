"""Hypothesis strategies: requests and responses as bytes, valid and malformed."""

from dataclasses import dataclass

from hypothesis import strategies as st

from shared.core.http_tokens import HOP_BY_HOP

TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_!~", min_size=1, max_size=12).map(str.encode)
#: Values as they are read: without white space at their ends.
VALUE = st.binary(max_size=20).map(
    lambda raw: bytes(byte for byte in raw if byte == 9 or 32 <= byte < 127 or byte > 127).strip(b" \t")
)
_TAKEN = {b"host", b"content-length", b"expect", *(name.encode() for name in HOP_BY_HOP)}
FIELDS = st.lists(st.tuples(TOKEN, VALUE).filter(lambda field: field[0].lower() not in _TAKEN), max_size=4)
TARGET = st.text("abc/%20?=&.;~", max_size=20).map(lambda text: b"/" + text.encode())
PIECES = st.lists(st.binary(min_size=1, max_size=40), max_size=4)


@dataclass(frozen=True)
class Sent:
    """A request: what was meant, and the bytes that say it."""

    method: bytes
    target: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes
    raw: bytes


def chunked(pieces: list[bytes], trailers: bytes = b"") -> bytes:
    return b"".join(b"%X\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailers + b"\r\n"


def head(line: bytes, fields: list[tuple[bytes, bytes]]) -> bytes:
    return b"\r\n".join([line, *[b"%s: %s" % field for field in fields], b"", b""])


@st.composite
def requests(draw: st.DrawFn) -> Sent:
    """A sound request, some of them with a body, some that ask for an upgrade."""
    method = draw(st.sampled_from([b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"HEAD", b"PATCH"]))
    target, fields, pieces = draw(TARGET), [(b"Host", b"a.example.com"), *draw(FIELDS)], draw(PIECES)
    body = b"".join(pieces)
    if draw(st.booleans()):
        fields += [(b"Connection", b"Upgrade"), (b"Upgrade", b"h2c")]
    if draw(st.booleans()):
        fields.append((b"Content-Length", b"%d" % len(body)))
        rest = body
    elif draw(st.booleans()):
        fields.append((b"Transfer-Encoding", b"chunked"))
        rest = chunked(pieces, draw(st.sampled_from([b"", b"X-Sum: 1\r\n"])))
    else:
        body = rest = b""
    kept = [field for field in fields if field[0] != b"Upgrade"]
    return Sent(method, target, kept, body, head(b"%s %s HTTP/1.1" % (method, target), fields) + rest)


@st.composite
def cuts(draw: st.DrawFn, raw: bytes) -> list[bytes]:
    """The bytes in any number of pieces."""
    places = sorted(draw(st.sets(st.integers(0, len(raw)), max_size=8)))
    ends = [*places, len(raw)]
    return [raw[start:end] for start, end in zip([0, *places], ends, strict=True) if end > start]


@st.composite
def broken(draw: st.DrawFn, sound: bytes) -> bytes:
    """Sound bytes in which something was put, left out or changed."""
    raw = bytearray(sound)
    for _ in range(draw(st.integers(1, 3))):
        where = draw(st.integers(0, len(raw)))
        what = draw(
            st.sampled_from([b"\r", b"\n", b"\0", b" ", b":", b"\r\n", b"0", b";", b"\xff", b"\r\n\r\n", b""])
            | st.binary(max_size=3)
        )
        raw[where : where + draw(st.integers(0, 2))] = what
    return bytes(raw)
