"""An HTTP/1.1 answer, read strictly: what is not well-formed raises, what is cut says so."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

# RFC 9112, sections 4 and 5. Nothing of the gateway's may use the leniencies.
_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-9][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,16}")


class NotHTTP(Exception):
    """The bytes are no answer that a strict client would take."""


class Ended(Exception):
    """The connection ended: `how` is ``closed`` or ``reset``."""

    def __init__(self, how: str) -> None:
        self.how = how
        super().__init__(f"The connection was {how}.")


@dataclass(frozen=True)
class Answer:
    """`framing` is none, sized, chunked or closed. `cut` says how a body ended that is not whole.

    `interim` holds the 1xx answers that came before; `pieces` the chunks, or the reads of other bodies.
    """

    status: int
    reason: str
    headers: list[tuple[str, str]]
    framing: str
    body: bytes = b""
    cut: str | None = None
    pieces: list[bytes] = field(default_factory=list)
    trailers: list[tuple[str, str]] = field(default_factory=list)
    interim: list["Answer"] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [value for other, value in self.headers if other.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)


@dataclass
class Reading:
    """Reads answers from a source of bytes. `more` waits for some; it raises `Ended` at the end."""

    more: Callable[[], bytes]
    buffer: bytes = b""

    def exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            self.buffer += self.more()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def line(self) -> bytes:
        while b"\n" not in self.buffer:
            self.buffer += self.more()
        line, _, self.buffer = self.buffer.partition(b"\n")
        if not line.endswith(b"\r") or b"\r" in line[:-1]:
            raise NotHTTP(f"A line does not end with CRLF: {line!r}")
        return line[:-1]

    def response(self, method: str) -> Answer:
        """The answer to a request of this method, whole or cut. Raises `Ended` before a whole head."""
        interim: list[Answer] = []
        while (head := self._head(method)).status < 200:
            interim.append(head)
        pieces: list[bytes] = []
        cut, trailers = self._body(head, pieces)
        return Answer(
            head.status,
            head.reason,
            head.headers,
            head.framing,
            b"".join(pieces),
            cut,
            pieces,
            trailers,
            interim,
        )

    def head(self, method: str = "GET") -> Answer:
        """The head alone; its body is left to be read."""
        return self._head(method)

    def _head(self, method: str) -> Answer:
        line = self.line()
        match = _STATUS_LINE.fullmatch(line)
        if match is None:
            raise NotHTTP(f"Not a status line: {line!r}")
        headers = self._fields()
        status = int(match[1])
        return Answer(status, match[2].decode("latin-1"), headers, _framing(status, method, headers))

    def _fields(self) -> list[tuple[str, str]]:
        fields = []
        while line := self.line():
            match = _FIELD.fullmatch(line)
            if match is None:
                raise NotHTTP(f"Not a header field: {line!r}")
            fields.append((match[1].decode(), match[2].decode("latin-1")))
        return fields

    def _body(self, head: Answer, pieces: list[bytes]) -> tuple[str | None, list[tuple[str, str]]]:
        """Fill `pieces`; how the body was cut, or None, and the trailers."""
        try:
            if head.framing == "sized":
                self._sized(int(head.get("content-length") or 0), pieces)
            elif head.framing == "chunked":
                while piece := self.chunk():
                    pieces.append(piece)
                return None, self._fields()
            elif head.framing == "closed":
                self._to_the_end(pieces)
        except Ended as end:
            return end.how, []
        return None, []

    def _sized(self, length: int, pieces: list[bytes]) -> None:
        while length:
            if not self.buffer:
                self.buffer = self.more()
            pieces.append(self.buffer[:length])
            self.buffer = self.buffer[length:]
            length -= len(pieces[-1])

    def chunk(self) -> bytes:
        """The next chunk; empty at the last one."""
        size = self.line()
        if not _CHUNK_SIZE.fullmatch(size):
            raise NotHTTP(f"Not a plain chunk size: {size!r}")
        if length := int(size, 16):
            data = self.exactly(length + 2)
            if not data.endswith(b"\r\n"):
                raise NotHTTP(f"A chunk does not end with CRLF: {data[-2:]!r}")
            return data[:-2]
        return b""

    def _to_the_end(self, pieces: list[bytes]) -> None:
        try:
            while True:
                if self.buffer:
                    pieces.append(self.buffer)
                self.buffer = self.more()
        except Ended as end:
            if end.how != "closed":
                raise


def _framing(status: int, method: str, headers: list[tuple[str, str]]) -> str:
    """How the body ends (RFC 9112, section 6.3); what could be read in two ways raises."""
    lengths = [value for name, value in headers if name.lower() == "content-length"]
    codings = [value for name, value in headers if name.lower() == "transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise NotHTTP(f"More than one framing: {lengths} {codings}")
    if codings and codings != ["chunked"]:
        raise NotHTTP(f"An unknown transfer coding: {codings}")
    if lengths and not re.fullmatch("[0-9]+", lengths[0]):
        raise NotHTTP(f"Not a plain Content-Length: {lengths}")
    if method == "HEAD" or status < 200 or status in (204, 304):
        return "none"
    return "chunked" if codings else "sized" if lengths else "closed"
