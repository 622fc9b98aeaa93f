"""The text of a stream, judged while it passes. No part of a match is sent, wherever the stream is cut.

The pieces of each text (of a choice, a part, a field) are searched as one `_Passage`. An event is sent when
each of its characters is safe: no match can contain it any more. Events keep their order, so one that must be
held back holds back those after it.
"""

from collections import deque
from dataclasses import dataclass
from math import inf

from shared.bodies.json.parse import BOUNDS, JsonBounds
from shared.bodies.text.event_text import EventText, Piece
from shared.bodies.text.maskable_text import MaskableText
from shared.bodies.text.patterns import Match
from shared.bodies.text.rules import MAX_MASKED, TextRules, blocked_text, missing_text
from shared.bodies.text.stream_search import StreamSearch
from shared.http.body_rejected import BodyRejected, body_too_long
from shared.model.event import Event
from shared.providers.apis.events import Place

#: The most bytes of events that are held back behind one with a partial match. Beyond it, that event is sent.
#: If the match is completed after that, the stream ends.
MAX_HELD = 65_536
#: The most texts of a stream: choices, parts and fields.
MAX_TEXTS = 1000


class _Passage:
    """One text of the stream. Its first `released` characters are sent in any case."""

    def __init__(self, rules: TextRules, *, is_json: bool) -> None:
        self._rules = rules
        self._text = MaskableText(is_json=is_json, can_mask=rules.masks)
        self._blocked = StreamSearch(rules.blocked) if rules.blocked else None
        self._required = StreamSearch(rules.required) if rules.required else None
        self._masked: set[tuple[int, int]] = set()  # masked when the stream ended the text
        self._count = 0
        self._released = 0
        self.found: set[int] = set()

    @property
    def safe(self) -> float:
        """The number of characters that may be sent."""
        if self._blocked is None:
            return inf
        settled = self._blocked.settled
        return settled if settled > self._released else self._released

    def add(self, piece: Piece) -> int:
        """Add a piece. Return how many characters must be safe before it may be sent."""
        self._read(self._text.add(piece.text, piece.part))
        return self._text.reach

    def _read(self, text: str) -> None:
        if self._blocked:
            self._blocked.add(text, self._hit)
            if self._rules.masks:
                self._text.forget(self._blocked.settled)
        if self._required:
            self._required.add(text, self._has)

    def release(self) -> None:
        self._released = self._text.reach

    def mark_over(self) -> None:
        """Search for the last matches: the stream ended the text. Text that follows anyway is judged, too."""
        if self._blocked and not self._blocked.reports_early:
            return  # all of it is searched once, at the end
        if self._blocked:
            self._blocked.report_if_over(self._hit_if_over)
        self.release()

    def end(self) -> None:
        self._read(self._text.end())
        if self._blocked:
            self._blocked.end(self._hit)
        if self._required:
            self._required.end(self._has)

    def _has(self, match: Match) -> bool:
        self.found.add(match.number)
        return False

    def _hit_if_over(self, match: Match) -> bool:
        self._hit(match)
        self._masked.add((match.start, match.end))
        return True

    def _hit(self, match: Match) -> bool:
        """Mask a match, or end the stream when a part of it was sent."""
        _, start, end = match
        if self._rules.masks and (start == end or (start, end) in self._masked):
            return True
        self._count += 1
        is_late = start < self._released or self._count > MAX_MASKED
        if not self._rules.masks or is_late or not self._text.mask(start, end):
            raise blocked_text()
        return True


@dataclass(slots=True)
class _HeldEvent:
    """An event, and the number of characters of each passage that must be safe before it is sent."""

    event: Event
    text: EventText
    needs: list[tuple[_Passage, int]]

    @property
    def is_safe(self) -> bool:
        """Whether no match can contain a part of it any more."""
        return not [1 for passage, needed in self.needs if passage.safe < needed]


class TextJudge:
    """Judges the events of one stream. `feed` and `end` return the events that may be sent now.

    Both raise `BodyRejected`, which ends the stream. Without `rules` only the size is judged.
    """

    def __init__(
        self, rules: TextRules | None, *, max_size: int | None = None, bounds: JsonBounds = BOUNDS
    ) -> None:
        self._rules = rules
        self._max_size = max_size
        self._size = 0
        self._bounds = bounds
        self._passages: dict[tuple[Place, bool], _Passage] = {}
        self._queue: deque[_HeldEvent] = deque()
        self._queued = 0
        self._newest: Event | None = None
        self._missing = set(range(len(rules.required))) if rules else set()

    @property
    def found(self) -> set[int]:
        """The indexes of the required patterns that matched so far."""
        return set(range(len(self._rules.required))) - self._missing if self._rules else set()

    def feed(self, event: Event, read: EventText | None = None) -> list[Event]:
        """Judge the next event. `read` are its texts, if they were read before."""
        size = len(event.raw)
        self._size += size
        if self._max_size is not None and self._size > self._max_size:
            raise body_too_long(self._max_size)
        if self._rules is None or (event.data is None and not self._queue):
            return [event]
        read = read or EventText(event, bounds=self._bounds)
        for text in read.texts:
            self._missing -= self._rules.judge_text(text)
        needs = [
            ((passage := self._passage(self._rules, place, piece)), passage.add(piece))
            for piece in read.pieces
            for place in piece.places
        ]
        if event.data is not None:
            self._newest = event
        for ended in read.ended:
            for (place, _), passage in self._passages.items():
                if place[: len(ended)] == ended:
                    passage.mark_over()
        if self._missing:
            self._missing -= {number for passage, _ in needs for number in passage.found}
        held = _HeldEvent(event, read, needs)
        if not self._queue and not self._missing and held.is_safe:  # as are most
            return [self._sent(held)]
        self._queue.append(held)
        self._queued += size
        return self._free()

    def end(self) -> list[Event]:
        sent = self.finish()
        if self._missing:
            raise missing_text()
        return sent

    def finish(self) -> list[Event]:
        """Return the last events, whether or not all required text was `found`."""
        for passage in self._passages.values():
            passage.end()
            self._missing -= passage.found
        return [self._next() for _ in range(len(self._queue))]

    def _passage(self, rules: TextRules, place: Place, piece: Piece) -> _Passage:
        key = (place, piece.is_json)
        if key not in self._passages:
            if len(self._passages) == MAX_TEXTS:
                raise BodyRejected("content_rejected", f"The stream has more than {MAX_TEXTS} texts.")
            self._passages[key] = _Passage(rules, is_json=piece.is_json)
        return self._passages[key]

    def _free(self) -> list[Event]:
        """Remove and return the events that may be sent, up to the first that may not."""
        free = []
        while self._queue:
            first = self._queue[0]
            if self._missing and first.event is self._newest:
                # Keep the last event until all required text was seen: readers may stop after it.
                break
            if not first.is_safe:
                if self._queued - len(first.event.raw) <= MAX_HELD:
                    break
                for passage, _ in first.needs:
                    passage.release()
            free.append(self._next())
        return free

    def _next(self) -> Event:
        first = self._queue.popleft()
        self._queued -= len(first.event.raw)
        return self._sent(first)

    def _sent(self, held: _HeldEvent) -> Event:
        can_mask = self._rules is not None and self._rules.masks and (held.needs or held.text.texts)
        return held.text.masked() if can_mask else held.event
