"""A text that a reader sees as one, and the strings of a document that it is made of, so it can be masked.

A reader may join several strings to one text, such as the events of a stream or the parts of a message. A
match may begin in one string and end in another. `MaskableText` knows the place of each character that was
read, and masks it in its string.
"""

from bisect import bisect_right
from itertools import islice
from typing import Any, NamedTuple

from shared.bodies.json.strings import JsonStringReader, Run

#: Replaces each masked character.
MASK = "*"


class Part:
    """A string in a document, at `holder[key]`, and the masks that are to be written into it."""

    __slots__ = ("_holder", "_marks", "key")

    def __init__(self, holder: Any, key: Any) -> None:
        self._holder: dict[Any, str] | list[str] = holder
        self.key = key
        self._marks: dict[int, tuple[int, str]] = {}

    @property
    def text(self) -> str:
        return self._holder[self.key]

    def mark(self, start: int, end: int, mask: str) -> None:
        """Let `write` replace the characters from `start` up to `end` by `mask`."""
        if self._marks.get(start, (start, ""))[0] <= end:
            self._marks[start] = (end, mask)

    def write(self) -> bool:
        """Write the masked string into the document. False when nothing is masked."""
        if not self._marks:
            return False
        text, at = self.text, 0
        written: list[str] = []
        for start, (end, mask) in sorted(self._marks.items()):
            if end > at:
                # The matches of two patterns may overlap.
                written += (text[at:start], mask[max(at - start, 0) :])
                at = end
        self._holder[self.key] = "".join((*written, text[at:]))
        return bool(written)


class SubPart(Part):
    """The characters from `start` up to `end` of another part, which is the one to be written."""

    __slots__ = ("_start", "_whole")

    def __init__(self, whole: Part, start: int, end: int) -> None:
        super().__init__([whole.text[start:end]], 0)
        self._whole, self._start = whole, start

    def mark(self, start: int, end: int, mask: str) -> None:
        self._whole.mark(self._start + start, self._start + end, mask)


class _Span(NamedTuple):
    """The written characters from `start` up to `end` are those of `part`; None for ones without a mask."""

    start: int
    end: int
    part: Part | None


class MaskableText:
    """A text made of parts. It is read without escapes when it `is_json`. `length` characters were read.

    Without `can_mask` it keeps no places: it can only be read.
    """

    __slots__ = ("_can_mask", "_json", "_runs", "_spans", "_written", "length")

    def __init__(self, *, is_json: bool = False, can_mask: bool) -> None:
        self._json = JsonStringReader(marks_values=can_mask) if is_json else None
        self._can_mask = can_mask
        self._written = 0
        self._spans: list[_Span] = []
        self._runs: list[tuple[int, Run]] = []  # each with the number of characters read before it
        self.length = 0

    @property
    def reach(self) -> int:
        """The length of the text once the last piece is read to its end, with an escape that it begins."""
        return self.length + (1 if self._json and self._json.held else 0)

    def add(self, text: str, part: Part | None) -> str:
        """Add the text of a part. Return the characters that its reader sees now."""
        start, self._written = self._written, self._written + len(text)
        if self._can_mask:
            self._spans.append(_Span(start, self._written, part))
        if self._json is None:
            self.length = self._written
            return text
        if not self._can_mask:
            read = self._json.text(text)
            self.length += len(read)
            return read
        return "".join([self._read(run) for run in self._json.read(text)])

    def end(self) -> str:
        """Return the last characters that the reader sees: the text is complete."""
        return "".join([self._read(run) for run in self._json.end()]) if self._json else ""

    def _read(self, run: Run) -> str:
        if self._can_mask:
            self._runs.append((self.length, run))
        self.length += len(run.text)
        return run.text

    def forget(self, before: int) -> None:
        """Forget the places of the characters before that one: they will not be masked."""
        gone = bisect_right(self._runs, before, key=lambda run: run[0] + len(run[1].text))
        del self._runs[:gone]
        if self._json is not None:
            before = self._runs[0][1].start if self._runs else self._written - len(self._json.held)
        del self._spans[: bisect_right(self._spans, before, key=lambda span: span.end)]

    def mask(self, start: int, end: int) -> bool:
        """Mask the characters from `start` up to `end`. False when one of them must not change."""
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
        """Mask written characters. An escape is one character: the last of its parts gets the mask."""
        first = bisect_right(self._spans, start, key=lambda span: span.end)
        for span in islice(self._spans, first, None):
            if span.start >= end:
                break
            if span.part is None:
                return False
            low, high = max(start, span.start), min(end, span.end)
            mask = MASK * (high - low)
            if is_escape:
                mask = MASK if high == end else ""
            span.part.mark(low - span.start, high - span.start, mask)
        return True
