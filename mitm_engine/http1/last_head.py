"""The last head of a connection: a client that repeats its head is not parsed again.

Most clients, and all SDKs, send the same head on a connection time after time, but for the length of the body
and the ids of a request. Such a head is compared by its bytes. The values that vary are left out of the
comparison, and each is matched by the grammar of its header. Heads of upstreams are always parsed: those of
most providers have an id of their own.
"""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from shared.core.http_tokens import Fields

if TYPE_CHECKING:
    from mitm_engine.http1.heads import Head

#: Matches a value of a header; returns None for any other.
Matcher = Callable[[bytes], object]
#: The longest value that may vary, in bytes.
MAX_VARYING = 128
# Without leading zeros, and at most the 18 digits that a head may have.
_LENGTH: Matcher = re.compile(rb"0|[1-9][0-9]{0,17}").fullmatch
# Heads with one of these are parsed each time.
_UNKEPT = frozenset((b"transfer-encoding", b"upgrade", b"expect"))
_END = b"\r\n\r\n"
# After so many different heads in a row, a connection does not compare any more.
_MISSES = 8


class _Gap(NamedTuple):
    """A value that may vary.

    Attributes:
        place: that of its field.
        match: its grammar.
        following: the bytes up to the next gap, or to the end of the head.
        size: their number.
    """

    place: int
    match: Matcher
    following: bytes
    size: int


class LastHead:
    """A head that was parsed and checked, and what the addons have read in it.

    Attributes:
        line: its first line: method, target and version.
        fields: its fields, with the newest values. A field that has not changed is the same object as before.
        length: the newest Content-Length; 0 if there is none.
        note: what the addons have read in this head, a plain value. It depends neither on the values that
            vary nor on anything that may change between two requests.
        sent: the head that was sent on for it.
    """

    __slots__ = ("_beginning", "_gaps", "_newest", "_size", "fields", "length", "line", "note", "sent")

    def __init__(
        self, line: tuple[bytes, bytes, bytes], fields: Fields, varying: Mapping[bytes, Matcher]
    ) -> None:
        self.line = line
        self.fields = fields
        self.length = 0
        self.note: object | None = None
        self.sent: Head | None = None
        gaps: list[tuple[int, Matcher]] = []
        parts = [b"%s %s %s" % line]
        for place, (name, value) in enumerate(fields):
            lower = name.lower()
            parts[-1] += b"\r\n%s: " % name
            if lower == b"content-length":
                self.length = int(value)
            if (match := _LENGTH if lower == b"content-length" else varying.get(lower)) is None:
                parts[-1] += value
            else:
                gaps.append((place, match))
                parts.append(b"")
        parts[-1] += _END
        self._beginning = parts[0]
        self._newest, self._size = _END, 0  # the bytes of the last match; no head begins with its end
        self._gaps = tuple([_Gap(*gap, part, len(part)) for gap, part in zip(gaps, parts[1:], strict=True)])

    def match(self, data: bytes) -> int:
        """Return where this head ends in `data`, and take its varying values; 0 for another head."""
        if data.startswith(self._newest):  # then nothing varies
            return self._size
        if not data.startswith(self._beginning):
            return 0
        end, fields, changed = len(self._beginning), self.fields, []
        for place, match, following, size in self._gaps:
            stop = data.find(b"\r", end, end + MAX_VARYING + 1)
            if stop < 0 or not data.startswith(following, stop):
                return 0
            value = data[end:stop]
            if value != fields[place][1]:
                if not match(value):
                    return 0
                changed.append((place, value))
            end = stop + size
        if changed:
            self._change(changed)
        self._newest, self._size = data[:end], end
        return end

    def _change(self, values: list[tuple[int, bytes]]) -> None:
        fields = list(self.fields)
        for place, value in values:
            name = fields[place][0]
            fields[place] = (name, value)
            if name.lower() == b"content-length":
                self.length = int(value)
        self.fields = tuple(fields)


class HeadMemory:
    """Remembers the last head of one connection."""

    __slots__ = ("_last", "_limit", "_misses", "_seen", "_varying")

    def __init__(self, varying: Mapping[bytes, Matcher], limit: int) -> None:
        """`varying` are headers, in lower case, whose values may vary; `limit` is the longest head."""
        self._varying = varying
        self._limit = limit
        self._misses = 0
        self._last: LastHead | None = None
        # A head becomes a `LastHead` when the next one comes: many connections have one request.
        self._seen: tuple[bytes, tuple[bytes, bytes, bytes], Fields] | None = None

    @property
    def is_useless(self) -> bool:
        """Whether the client sends a different head each time."""
        return self._misses >= _MISSES

    def find(self, data: bytes) -> tuple[LastHead, int] | None:
        """Return the last head and where it ends, if `data` begins with it."""
        if self._seen is not None:
            (sent, line, fields), self._seen = self._seen, None
            last = LastHead(line, fields, self._varying)
            # Only what was parsed exactly as it would be written leaves no doubt about where it ends.
            fits = len(sent) + MAX_VARYING * len(fields) <= self._limit
            self._last = last if fits and last.match(sent) == len(sent) else None
        if self._last is not None and (end := self._last.match(data)):
            self._misses = 0
            return self._last, end
        self._misses += 1
        return None

    def see(self, data: bytes, line: tuple[bytes, bytes, bytes], fields: Fields) -> None:
        """Remember the head that `data` begins with, parsed and checked: no other head is compared."""
        end = data.find(_END)
        self._last = self._seen = None
        if end > 0 and not [1 for name, _ in fields if name.lower() in _UNKEPT]:
            self._seen = data[: end + len(_END)], line, fields

    def forget(self) -> None:
        self._last = self._seen = None
