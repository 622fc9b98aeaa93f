"""Cuts a stream between two events, where its allowance ends.

A piece that fits passes as it came. Where one does not, the stream is looked at event by event: those that
fit pass, and the others wait until more is granted, or never pass. So the stream ends between two events.
"""

import math
import re
from typing import Final, NamedTuple

from shared.budgets.allowance import Allowance
from shared.core.memo import Memo
from shared.providers.usage_fields import USAGE_FIELDS

# The end of a server-sent event, and that of a line of JSON.
_EVENT_END: Final = re.compile(rb"\n\r?\n|\r\r")
_LINE_END: Final = re.compile(rb"\n")
_ENDS: Final = (b"\n\n", b"\n\r\n", b"\r\r")
# The most bytes of an open event that are kept. Those of a longer one count as text.
_MAX_OPEN: Final = 1024 * 1024


class Text(NamedTuple):
    """The generated text in some events: its pieces that are not empty, and their bytes."""

    pieces: int
    size: int

    def tokens(self, bytes_per_token: float) -> float:
        """Its estimated tokens: a piece has at least one."""
        return max(self.pieces, self.size / bytes_per_token)


def text_in(api: str, events: bytes) -> Text:
    r"""The generated text in events of an API: of all choices, arguments of tools, and reasoning.

    >>> text_in("openai.chat", b'data: {"choices":[{"delta":{"content":"Hi \\"you\\""}}]}\n\n')
    Text(pieces=1, size=10)
    """
    found = [text for text in _PATTERNS[api].findall(events) if text]
    return Text(len(found), sum(map(len, found)))


def _pattern(api: str) -> re.Pattern[bytes]:
    """The strings that are the value of a member with generated text."""
    names = "|".join(map(re.escape, USAGE_FIELDS[api].texts)) if api in USAGE_FIELDS else ""
    return re.compile(rb'"(?:%s)": ?"((?:[^"\\]|\\.)++)' % names.encode(), re.DOTALL)


_PATTERNS: Final = Memo(_pattern)


class StreamCutter:
    """Cuts one stream: `feed` it the pieces, and after each decision about more call `release`.

    Attributes:
        allowance: how much may pass.
        size: the bytes of text that passed.
        is_over: the stream has ended here: nothing passes any more.
    """

    __slots__ = (
        *("_api", "_bytes_per_token", "_end", "_is_lines", "_kept", "_passed"),
        *("allowance", "is_over", "size"),
    )

    def __init__(
        self, allowance: Allowance, api: str, bytes_per_token: float, *, is_lines: bool = False
    ) -> None:
        """`is_lines`: the stream has a JSON document per line instead of server-sent events."""
        self.allowance = allowance
        self.is_over = False
        self.size = 0
        self._api, self._bytes_per_token = api, bytes_per_token
        self._end, self._is_lines = _LINE_END if is_lines else _EVENT_END, is_lines
        # The events that are not counted yet. The first `_passed` bytes of them have passed.
        self._kept = bytearray()
        self._passed = 0

    @property
    def is_waiting(self) -> bool:
        """Whether events wait until more is granted."""
        return not self.is_over and len(self._kept) > self._passed

    @property
    def missing(self) -> float:
        """The tokens of what waits, as far as it has come. All of an event that is open may be text."""
        if not self.is_waiting:
            return 0.0
        events = bytes(self._kept)
        end = self._last_end(events)
        return self._tokens(text_in(self._api, events[:end])) + (len(events) - end) / self._bytes_per_token

    @property
    def received(self) -> int:
        """The tokens that passed, and those of the event that did not, or not yet as a whole.

        The provider bills that event: without it, a client could ask for it again and again.
        """
        found = self._end.search(self._kept)
        first = bytes(self._kept if found is None else self._kept[: found.end()])
        return math.ceil(self.allowance.seen + self._tokens(text_in(self._api, first)))

    def feed(self, piece: bytes) -> bytes:
        """The bytes that may pass now: all of the piece, unless it does not fit."""
        if self.is_over:
            return b""
        was_waiting = self.is_waiting
        self._kept += piece
        if was_waiting:
            return self.release()
        events = bytes(self._kept)
        end = self._last_end(events)
        text = text_in(self._api, events[:end])
        # The event that is still open is counted when it is whole. Until then all of it may be text.
        if not self.allowance.fits(self._tokens(text) + (len(events) - end) / self._bytes_per_token):
            return self.release()
        self._count(text)
        del self._kept[:end]
        self._passed = len(self._kept)
        if self._passed > _MAX_OPEN:
            self._count(Text(0, self._passed))
            self._kept.clear()
            self._passed = 0
        return piece

    def release(self) -> bytes:
        """The bytes of what waits that may pass now."""
        passed = bytearray()
        while (found := self._end.search(self._kept)) is not None:
            text = text_in(self._api, bytes(self._kept[: found.end()]))
            # The end of an event has to follow its beginning.
            if not self._passed and not self.allowance.fits(self._tokens(text)):
                self.is_over = self.allowance.is_last
                return bytes(passed)
            self._count(text)
            passed += self._kept[self._passed : found.end()]
            del self._kept[: found.end()]
            self._passed = 0
        if self.allowance.fits(len(self._kept) / self._bytes_per_token):
            passed += self._kept[self._passed :]
            self._passed = len(self._kept)
        elif self.allowance.is_last and not self._passed and len(self._kept) > _MAX_OPEN:
            self.is_over = True
        return bytes(passed)

    def end(self) -> bytes:
        """The rest at the end of the stream: all of it passes, unless the stream has ended before."""
        if self.is_over:
            return b""
        rest = bytes(self._kept)
        self._count(text_in(self._api, rest))
        passed, self._passed = rest[self._passed :], 0
        self._kept.clear()
        return passed

    def _count(self, text: Text) -> None:
        self.size += text.size
        self.allowance.seen += self._tokens(text)

    def _tokens(self, text: Text) -> float:
        return text.tokens(self._bytes_per_token)

    def _last_end(self, events: bytes) -> int:
        """The end of the last event that is whole; 0 if none is."""
        if self._is_lines:
            return events.rfind(b"\n") + 1
        ends = [at + len(mark) for mark in _ENDS if (at := events.rfind(mark)) >= 0]
        return max(ends, default=0)
