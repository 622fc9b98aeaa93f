"""A text as its reader sees it, and where each of its characters stands, so that it can be masked."""

from bisect import bisect_right
from itertools import islice
from typing import Any, NamedTuple

from shared.bodies.json.strings import JsonStringReader, Run

#: What stands in the place of each masked character.
MASK = "*"


class Part:
    """A text that stands in a document, at `holder[key]`."""

    __slots__ = ("_holder", "_key", "_marks")

    def __init__(self, holder: Any, key: Any) -> None:
        self._holder = holder
        self._key = key
        self._marks: dict[int, tuple[int, str]] = {}

    @property
    def text(self) -> str:
        text: str = self._holder[self._key]
        return text

    def mark(self, start: int, end: int, mask: str) -> None:
        """Let `mask` stand for the characters from `start` up to `end` once it is written."""
        if self._marks.get(start, (start, ""))[0] <= end:
            self._marks[start] = (end, mask)

    def write(self) -> bool:
        """Put the masked text where the text stood. False when nothing is masked."""
        if not self._marks:
            return False
        text, at = self.text, 0
        written: list[str] = []
        for start, (end, mask) in sorted(self._marks.items()):
            if end > at:
                # Two patterns may have met the same characters.
                written += (text[at:start], mask[max(at - start, 0) :])
                at = end
        self._holder[self._key] = "".join((*written, text[at:]))
        return bool(written)


class Inside(Part):
    """The characters from `start` up to `end` of another part's text. They are written when that is."""

    __slots__ = ("_start", "_whole")

    def __init__(self, whole: Part, start: int, end: int) -> None:
        super().__init__([whole.text[start:end]], 0)
        self._whole, self._start = whole, start

    def mark(self, start: int, end: int, mask: str) -> None:
        self._whole.mark(self._start + start, self._start + end, mask)


class _Stretch(NamedTuple):
    """What was written from `start` up to `end` stands in `part`; None where nothing can be masked."""

    start: int
    end: int
    part: Part | None


class MaskableText:
    """A text that is put together from parts. One that `is_json` is read with its escapes undone.

    Without `keeps_places` it is only read, and cannot be masked. `length` characters were read.
    """

    __slots__ = ("_json", "_keeps", "_runs", "_stretches", "_written", "length")

    def __init__(self, *, is_json: bool = False, keeps_places: bool) -> None:
        self._json = JsonStringReader(marks_values=keeps_places) if is_json else None
        self._keeps = keeps_places
        self._written = 0
        self._stretches: list[_Stretch] = []
        self._runs: list[tuple[int, Run]] = []  # with the number of characters that were read before it
        self.length = 0

    @property
    def reach(self) -> int:
        """Characters that must have been read before all is known of what was added last."""
        return self.length + (1 if self._json and self._json.held else 0)

    def add(self, text: str, part: Part | None) -> str:
        """Take a text as it is written, and where it stands: what its reader sees of it by now."""
        start, self._written = self._written, self._written + len(text)
        if self._keeps:
            self._stretches.append(_Stretch(start, self._written, part))
        if self._json is None:
            self.length = self._written
            return text
        return "".join([self._read(run) for run in self._json.read(text)])

    def end(self) -> str:
        """The text is over: what its reader still sees of it."""
        return "".join([self._read(run) for run in self._json.end()]) if self._json else ""

    def _read(self, run: Run) -> str:
        if self._keeps:
            self._runs.append((self.length, run))
        self.length += len(run.text)
        return run.text

    def forget(self, before: int) -> None:
        """Nothing that is read before that place will be masked any more."""
        gone = bisect_right(self._runs, before, key=lambda run: run[0] + len(run[1].text))
        del self._runs[:gone]
        if self._json is not None:
            before = self._runs[0][1].start if self._runs else self._written - len(self._json.held)
        del self._stretches[: bisect_right(self._stretches, before, key=lambda stretch: stretch.end)]

    def mask(self, start: int, end: int) -> bool:
        """Mask what is read from `start` up to `end`. False when something of it must stay as it is."""
        if self._json is None:
            return self._mask_written(start, end)
        first = bisect_right(self._runs, start, key=lambda run: run[0] + len(run[1].text))
        for at, run in islice(self._runs, first, None):
            if at >= end:
                break
            if not self._mask_run(run, max(start - at, 0), min(end - at, len(run.text))):
                return False
        return True

    def _mask_run(self, run: Run, start: int, end: int) -> bool:
        if not all(run.is_value[start:end]):
            return False
        if run.end - run.start > len(run.text):
            return self._mask_written(run.start, run.end, is_escape=True)
        return self._mask_written(run.start + start, run.start + end)

    def _mask_written(self, start: int, end: int, *, is_escape: bool = False) -> bool:
        """An escape is one character; where it goes over several parts, the last one shows it."""
        first = bisect_right(self._stretches, start, key=lambda stretch: stretch.end)
        for stretch in islice(self._stretches, first, None):
            if stretch.start >= end:
                break
            if stretch.part is None:
                return False
            low, high = max(start, stretch.start), min(end, stretch.end)
            mask = MASK * (high - low)
            if is_escape:
                mask = MASK if high == end else ""
            stretch.part.mark(low - stretch.start, high - stretch.start, mask)
        return True
