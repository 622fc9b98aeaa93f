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
from shared.bodies.text.maskable_text import MaskableText, Part
from shared.bodies.text.patterns import Match
from shared.bodies.text.repeated_event import Around, RepeatedEvent, around_text, repeated_event
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

    def add(self, text: str, part: Part | None) -> int:
        """Add a piece. Return how many characters must be safe before it may be sent."""
        self._read(self._text.add(text, part))
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
    """An event, and the number of characters of each passage that must be safe before it is sent.

    `text` are its texts; None for a repeated event, in which nothing is masked.
    """

    event: Event
    text: EventText | None
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
        self._around: Around | None = None
        self._repeated: RepeatedEvent | None = None
        self._repeated_passages: list[_Passage] = []
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
        if (repeated := self._repeated_text(event)) is not None:
            needs = [(passage, passage.add(repeated, None)) for passage in self._repeated_passages]
        else:
            read = read or EventText(event, bounds=self._bounds)
            needs = self._read(event, read, self._rules)
        if event.data is not None:
            self._newest = event
        if self._missing:
            self._missing -= {number for passage, _ in needs for number in passage.found}
        held = _HeldEvent(event, read, needs)
        if not self._queue and not self._missing and held.is_safe:  # as are most
            return [self._sent(held)]
        self._queue.append(held)
        self._queued += size
        return self._free()

    def _repeated_text(self, event: Event) -> str | None:
        """The only text of an event that repeats all else; None for another event."""
        if self._repeated is None or event.data is None:
            return None
        return self._repeated.text_in(event.data)

    def _read(self, event: Event, read: EventText, rules: TextRules) -> list[tuple[_Passage, int]]:
        """Judge the texts of an event. Return what its pieces need."""
        for text in read.texts:
            self._missing -= rules.judge_text(text)
        needs = [
            ((passage := self._passage(rules, place, piece)), passage.add(piece.text, piece.part))
            for piece in read.pieces
            for place in piece.places
        ]
        for ended in read.ended:
            for (place, _), passage in self._passages.items():
                if place[: len(ended)] == ended:
                    passage.mark_over()
        if not rules.masks:
            self._look_for_repetition(event, read, rules)
        return needs

    def _look_for_repetition(self, event: Event, read: EventText, rules: TextRules) -> None:
        """Note what is around the text of an event. Text that is there twice is in the next ones, too."""
        before, self._around = self._around, around_text(event, read)
        if self._around is None or self._around != before:
            return
        found = repeated_event(event, self._around, self._bounds)
        if found is not None:
            piece = found.piece
            self._repeated = found
            self._repeated_passages = [self._passage(rules, place, piece) for place in piece.places]

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
        text = held.text
        if text is None or self._rules is None or not self._rules.masks or not (held.needs or text.texts):
            return held.event
        return text.masked()
