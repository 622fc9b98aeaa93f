"""Splits a streamed body into events. Joined again, the events are the same bytes."""

import re
from collections.abc import Callable, Iterator

from shared.bodies.json.parse import looks_like_json
from shared.bodies.slices import slices
from shared.http.body_rejected import BodyRejected
from shared.http.content_coding import coding_of
from shared.http.media_type import MediaType
from shared.model.event import Event
from shared.model.messages import Headers

#: Blank lines before an event are part of it, up to so many bytes. So each is not judged by itself. More of
#: them are events of their own.
MAX_BLANK = 1024

# An event ends with a blank line (WHATWG HTML, 9.2.6), that is, with two ends of a line. Only the next byte
# shows if a carriage return is an end by itself. After a line that ended with a carriage return alone, the
# second one counts as alone, so the event is complete without the next byte, which may never come.
_EVENT_END = re.compile(rb"\r\r|(?:\r\n|\n)(?:\r\n|\n|\r(?=[^\n]))")
_LINE_END = re.compile(rb"\r\n|\n|\r(?=[^\n])")
# The most lines that `has_lines` looks at.
_LOOKED_AT = 1000
_BOM = b"\xef\xbb\xbf"
_DATA, _LF = b"data: ", 10
_BEFORE_DATA = len(_DATA)
_BLANK = re.compile(rb"[\r\n]{0,%d}" % MAX_BLANK)


# The longest end has four bytes, and the last of them may be missing.
_REACH = 3


def _has_line_end(piece: bytes | bytearray) -> bool:
    return b"\n" in piece or b"\r" in piece


class EventSplitter:
    """Takes a body piece by piece and returns its events. The cuts between pieces make no difference.

    `longest` is the most bytes of one event. A whole response, or a picture, may be one event.
    """

    def __init__(self, end: re.Pattern[bytes], make: Callable[[bytes, bool], Event], longest: int) -> None:
        self._end = end
        self._make = make
        self._longest = longest
        self._rest = bytearray()
        self._seen = 0  # bytes of the rest that were searched: no event ends in them
        self._is_first = True

    def feed(self, piece: bytes) -> list[Event]:
        """Return the events that are complete now. Raises `BodyRejected` on one that is too long."""
        if not self._rest and self._end is _EVENT_END and _is_one_event(piece):
            if len(piece) > self._longest:
                raise self._too_long()
            self._is_first = False
            return [_plain_event(piece)]
        may_end = _has_line_end(piece) or _has_line_end(self._rest[-_REACH:])
        self._rest += piece
        events, start = [], 0
        while may_end and (end := self._end_of_event(start)):
            events.append(self._event(bytes(self._rest[start:end])))
            start = self._seen = end
        del self._rest[:start]
        self._seen = max(len(self._rest) - _REACH, 0)
        if len(self._rest) > self._longest:
            raise self._too_long()
        return events

    def end(self) -> list[Event]:
        """Return the rest at the end of the body: one event that was cut off, or none."""
        rest, self._rest = bytes(self._rest), bytearray()
        return [self._event(rest)] if rest else []

    def _end_of_event(self, start: int) -> int:
        """The end of the event that begins at `start`; 0 when it is not known yet."""
        blank = _BLANK.match(self._rest, start)
        begin = blank.end() if blank else start
        if begin - start == MAX_BLANK:
            return begin
        found = self._end.search(self._rest, max(begin, self._seen))
        return found.end() if found else 0

    def _event(self, raw: bytes) -> Event:
        if len(raw) > self._longest:
            raise self._too_long()
        event = self._make(raw, self._is_first)
        self._is_first = False
        return event

    def _too_long(self) -> BodyRejected:
        return BodyRejected(
            "body_too_large",
            f"An event of the stream is longer than {self._longest} bytes (limits.response_body).",
        )


def _is_one_event(raw: bytes) -> bool:
    """Whether these bytes are the data of one event on one line, as most events of models are."""
    return raw.startswith(_DATA) and raw.find(b"\n") == len(raw) - 2 and raw[-1] == _LF and b"\r" not in raw


def _plain_event(raw: bytes) -> Event:
    return Event(raw, raw[_BEFORE_DATA:-2].decode(errors="replace"))


def event_splitter(kind: MediaType, longest: int) -> EventSplitter | None:
    """Return a splitter for a body of that type; None when it is not a stream of events.

    `longest` is the most bytes of one event.
    """
    if kind.is_event_stream:
        return EventSplitter(_EVENT_END, _server_sent, longest)
    return EventSplitter(_LINE_END, _line, longest) if kind.is_json_lines else None


def has_lines(body: bytes) -> bool:
    """True for several lines of JSON, whatever the type says: each looks like an object or array.

    Only the first is parsed, and only some of the others are looked at: the reader of each line is strict.
    """
    body = body.strip()
    if b"\n" not in body:
        return False  # one line, so nothing needs to be parsed
    count, at = 0, 0
    while at < len(body) and count < _LOOKED_AT:
        end = body.find(b"\n", at)
        end = len(body) if end < 0 else end
        line = body[at:end].strip()
        if line and (line[:1] + line[-1:] not in (b"{}", b"[]") or not (count or looks_like_json(line))):
            return False
        count += bool(line)
        at = end + 1
    return count > 1


def has_events(body: bytes) -> bool:
    """True when a reader of events would find data in a body of another type."""
    begins = body[:8].removeprefix(_BOM).startswith(b"data:")
    if begins:
        return True
    # To look for one byte is far faster than to look for several, and JSON has few line ends.
    ends = ((piece, end) for piece in slices(body, overlap=5) for end in (b"\n", b"\r") if end in piece)
    return any(end + b"data:" in piece for piece, end in ends)


def events_of(body: bytes, splitter: EventSplitter, *, most: int) -> Iterator[Event]:
    """Yield the events of a whole body. Raises `BodyRejected` after the first `most`."""
    for count, event in enumerate(_all_events(body, splitter)):
        if count == most:
            raise BodyRejected("body_too_large", f"The body has more than {most} events.")
        yield event


def _all_events(body: bytes, splitter: EventSplitter) -> Iterator[Event]:
    for piece in slices(body):
        yield from splitter.feed(piece)
    yield from splitter.end()


def splitter_for_response(headers: Headers, longest: int) -> EventSplitter | None:
    """Return a splitter for a response with that head; None when it is not a stream, or is encoded.

    An encoded stream can only be decoded as a whole. Upstreams are asked for none (`Route.own`).
    """
    try:
        plain = coding_of(headers.all("content-encoding")) == "identity"
        return event_splitter(MediaType.of(headers), longest) if plain else None
    except BodyRejected:
        return None


def _line(raw: bytes, is_first: bool) -> Event:
    line = raw.decode(errors="replace").strip("\r\n")
    return Event(raw, line if line.strip() else None, is_line=True)


def _server_sent(raw: bytes, is_first: bool) -> Event:
    if _is_one_event(raw):
        return _plain_event(raw)
    if b"data" not in raw:
        return Event(raw, None)
    data = list(_data(raw.removeprefix(_BOM) if is_first else raw))
    return Event(raw, "\n".join(data) if data else None)


def _data(raw: bytes) -> Iterator[str]:
    # Calls of C only: an event may hold a picture of megabytes.
    for line in raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"data":
            yield value.removeprefix(b" ").decode(errors="replace")
