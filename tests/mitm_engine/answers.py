"""A strict reader of answers, written from RFC 9112 and sharing nothing with the engine."""

import re
from dataclasses import dataclass

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ([\t\x20-\x7e\x80-\xff]*)")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t\x20-\x7e\x80-\xff]*)")
_CHUNK = re.compile(rb"([0-9a-f]+)\r\n")


class Malformed(Exception):
    """The bytes are no answer."""


@dataclass(frozen=True)
class Answer:
    """One answer. `framing` says how its body ended: none, length, chunked or close."""

    status: int
    reason: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes
    framing: str

    def all(self, name: str) -> list[str]:
        return [value.decode("latin-1") for key, value in self.fields if key.lower() == name.encode()]

    def get(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)

    @property
    def closes(self) -> bool:
        return self.get("connection") == "close"


def take_response(data: bytes, method: str = "GET", *, ended: bool = False) -> tuple[Answer, bytes] | None:
    """The first answer in `data` and what follows it; None when more is needed.

    `ended` says that nothing more will come. Raises `Malformed`.
    """
    head, found, rest = data.partition(b"\r\n\r\n")
    if not found:
        return None
    line, *lines = head.split(b"\r\n")
    first = _STATUS_LINE.fullmatch(line)
    fields = [_field(one) for one in lines]
    if first is None:
        raise Malformed(line)
    status = int(first[1])
    framed = _body(status, method, fields, rest, ended=ended)
    if framed is None:
        return None
    body, rest, framing = framed
    return Answer(status, first[2], fields, body, framing), rest


def _field(line: bytes) -> tuple[bytes, bytes]:
    found = _FIELD.fullmatch(line)
    if found is None:
        raise Malformed(line)
    return found[1], found[2].strip()


def _body(
    status: int, method: str, fields: list[tuple[bytes, bytes]], rest: bytes, *, ended: bool
) -> tuple[bytes, bytes, str] | None:
    lengths = [value for name, value in fields if name.lower() == b"content-length"]
    codings = [value for name, value in fields if name.lower() == b"transfer-encoding"]
    if len(lengths) > 1 or (lengths and codings) or codings not in ([], [b"chunked"]):
        raise Malformed("framed in more than one way")
    if status < 200 or status == 204:
        if lengths or codings:
            raise Malformed("framing where there is no body")
        return b"", rest, "none"
    if method == "HEAD" or status == 304:
        return b"", rest, "none"
    if codings:
        return _chunks(rest)
    if lengths:
        length = int(lengths[0])
        return (rest[:length], rest[length:], "length") if len(rest) >= length else None
    return (rest, b"", "close") if ended else None


def _chunks(data: bytes) -> tuple[bytes, bytes, str] | None:
    body = b""
    while True:
        size = _CHUNK.match(data)
        if size is None:
            if re.fullmatch(rb"[0-9a-f]*\r?", data[:20]):
                return None
            raise Malformed(data[:20])
        length, start = int(size[1], 16), size.end()
        if len(data) < start + length + 2:
            return None
        if data[start + length : start + length + 2] != b"\r\n":
            raise Malformed("a chunk does not end where it says")
        body += data[start : start + length]
        data = data[start + length + 2 :]
        if length == 0:
            return body, data, "chunked"
