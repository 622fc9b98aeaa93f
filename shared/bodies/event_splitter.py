"""Splits a streamed body into events. Joined again, the events are the same bytes."""

import re
from collections.abc import Callable, Iterator

from shared.bodies.slices import slices
from shared.http.body_rejected import BodyRejected
from shared.http.content_coding import coding_of
from shared.http.media_type import MediaType
from shared.model.event import LINE_END, Event
from shared.model.messages import Headers

#: The most bytes of one event. A whole response of the responses API, or a picture, is one event.
MAX_EVENT = 1024 * 1024
#: Blank lines before an event are part of it, up to so many bytes. So each is not judged by itself. More of
#: them are events of their own.
MAX_BLANK = 1024

# An event ends with a blank line (WHATWG HTML, 9.2.6), that is, with two ends of a line. Only the next byte
# shows if a carriage return is an end by itself. After a line that ended with a carriage return alone, the
# second one counts as alone, so the event is complete without the next byte, which may never come.
_EVENT_END = re.compile(rb"\r\r|(?:\r\n|\n)(?:\r\n|\n|\r(?=[^\n]))")
_LINE_END = re.compile(rb"\r\n|\n|\r(?=[^\n])")
_BLANK = re.compile(rb"[\r\n]{0,%d}" % MAX_BLANK)


class EventSplitter:
    """Takes a body piece by piece and returns its events. The cuts between pieces make no difference."""

    def __init__(self, end: re.Pattern[bytes], make: Callable[[bytes, bool], Event]) -> None:
        self._end = end
        self._make = make
        self._rest = bytearray()
        self._seen = 0  # bytes of the rest that were searched: no event ends in them
        self._is_first = True

    def feed(self, piece: bytes) -> list[Event]:
        """Return the events that are complete now. Raises `BodyRejected` on one over `MAX_EVENT` bytes."""
        self._rest += piece
        events, start = [], 0
        while end := self._end_of_event(start):
            events.append(self._event(bytes(self._rest[start:end])))
            start = self._seen = end
        del self._rest[:start]
        # The longest end has four bytes, and the last of them may be missing.
        self._seen = max(len(self._rest) - 3, 0)
        if len(self._rest) > MAX_EVENT:
            raise _too_long()
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
        if len(raw) > MAX_EVENT:
            raise _too_long()
        event = self._make(raw, self._is_first)
        self._is_first = False
        return event


def event_splitter(kind: MediaType) -> EventSplitter | None:
    """Return a splitter for a body of that type; None when it is not a stream of events."""
    if kind.is_event_stream:
        return EventSplitter(_EVENT_END, _server_sent)
    return EventSplitter(_LINE_END, _line) if kind.is_json_lines else None


def has_events(body: bytes) -> bool:
    """True when a reader of events would find data in a body of another type."""
    begins = body[:8].removeprefix(b"\xef\xbb\xbf").startswith(b"data:")
    return begins or any(b"\ndata:" in piece or b"\rdata:" in piece for piece in slices(body, overlap=5))


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


def splitter_for_response(headers: Headers) -> EventSplitter | None:
    """Return a splitter for a response with that head; None when it is not a stream, or is encoded.

    An encoded stream can only be decoded as a whole. Upstreams are asked for none (`Route.own`).
    """
    try:
        plain = coding_of(headers.all("content-encoding")) == "identity"
        return event_splitter(MediaType.of(headers)) if plain else None
    except BodyRejected:
        return None


def _too_long() -> BodyRejected:
    return BodyRejected("body_too_large", f"An event of the stream is longer than {MAX_EVENT} bytes.")


def _line(raw: bytes, is_first: bool) -> Event:
    line = raw.decode(errors="replace").strip("\r\n")
    return Event(raw, line if line.strip() else None, is_line=True)


def _server_sent(raw: bytes, is_first: bool) -> Event:
    if b"data" not in raw:
        return Event(raw, None)
    text = raw.decode(errors="replace")
    data = list(_data(text.removeprefix("\ufeff") if is_first else text))
    return Event(raw, "\n".join(data) if data else None)


def _data(text: str) -> Iterator[str]:
    for line in LINE_END.split(text):
        name, _, value = line.partition(":")
        if name == "data":
            yield value.removeprefix(" ")
