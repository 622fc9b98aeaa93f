"""A streamed body cut into its events: none merged, none altered, and all bytes given back."""

import re
from collections.abc import Callable, Iterator

from shared.http.body_rejected import BodyRejected
from shared.http.content_coding import coding_of
from shared.http.media_type import MediaType
from shared.model.event import Event
from shared.model.messages import Headers

#: Bytes that one event may have. A whole answer of the responses API, or a picture, is one event.
MAX_EVENT = 1024 * 1024
#: Blank lines before an event come with it, up to so many bytes: else each would be judged by itself.
MAX_BLANK = 1024
# Bytes that are looked through at once; meanwhile no other thread runs.
_SLICE = 65_536

# An event ends with a blank line (WHATWG HTML, 9.2.6), so with two ends of a line. Whether a carriage
# return is one by itself says the byte behind it. Where the line before ended with one alone, the second
# is alone too: what is there is an event, with no waiting for a byte that may never come.
_EVENT_END = re.compile(rb"\r\r|(?:\r\n|\n)(?:\r\n|\n|\r(?=[^\n]))")
_LINE_END = re.compile(rb"\r\n|\n|\r(?=[^\n])")
_BLANK = re.compile(rb"[\r\n]{0,%d}" % MAX_BLANK)
_ANY_LINE_END = re.compile(r"\r\n|\n|\r")


class EventSplitter:
    """Takes a body piece by piece and gives its events, the same ones wherever the pieces were cut.

    Blank lines before an event belong to it; where there are too many for that, they are events too.
    """

    def __init__(self, end: re.Pattern[bytes], make: Callable[[bytes, bool], Event]) -> None:
        self._end = end
        self._make = make
        self._rest = bytearray()
        self._seen = 0  # bytes of the rest in which no event ends
        self._is_first = True

    def feed(self, piece: bytes) -> list[Event]:
        """The events that are whole now.

        Raises `BodyRejected` when one is longer than `MAX_EVENT` bytes.
        """
        self._rest += piece
        events, start = [], 0
        while end := self._end_of_event(start):
            events.append(self._event(bytes(self._rest[start:end])))
            start = self._seen = end
        del self._rest[:start]
        # The longest end has four bytes, of which the last may be missing.
        self._seen = max(len(self._rest) - 3, 0)
        if len(self._rest) > MAX_EVENT:
            raise _too_long()
        return events

    def end(self) -> list[Event]:
        """What is left when the body is over: one event that was cut off, or none."""
        rest, self._rest = bytes(self._rest), bytearray()
        return [self._event(rest)] if rest else []

    def _end_of_event(self, start: int) -> int:
        """Where the event ends that begins at `start`; 0 when that is not known yet."""
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
    """One for a body of that type, None when it is no stream of events."""
    if kind.is_event_stream:
        return EventSplitter(_EVENT_END, _server_sent)
    return EventSplitter(_LINE_END, _line) if kind.is_json_lines else None


def has_events(body: bytes) -> bool:
    """Whether a reader of events gets data of a body whose type says something else."""
    if body[:8].removeprefix(b"\xef\xbb\xbf").startswith(b"data:"):
        return True
    slices = (body[start : start + _SLICE + 5] for start in range(0, len(body), _SLICE))
    return any(b"\ndata:" in piece or b"\rdata:" in piece for piece in slices)


def events_of(body: bytes, splitter: EventSplitter, *, most: int) -> Iterator[Event]:
    """The events of a whole body. Raises `BodyRejected` behind the first `most` ones."""
    for count, event in enumerate(_all_events(body, splitter)):
        if count == most:
            raise BodyRejected("body_too_large", f"The body has more than {most} events.")
        yield event


def _all_events(body: bytes, splitter: EventSplitter) -> Iterator[Event]:
    for start in range(0, len(body), _SLICE):
        yield from splitter.feed(body[start : start + _SLICE])
    yield from splitter.end()


def splitter_for_response(headers: Headers) -> EventSplitter | None:
    """One for an answer with that head; None when it is no stream, or cannot be read as it comes.

    An encoded stream cannot: it has to be decoded as a whole. Upstreams are asked for none (`Route.own`).
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
    """The values of the ``data`` fields."""
    for line in _ANY_LINE_END.split(text):
        name, _, value = line.partition(":")
        if name == "data":
            yield value.removeprefix(" ")
