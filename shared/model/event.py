"""One event of a streamed answer, as plugins see it."""

import re
from dataclasses import dataclass, replace

_LINE = re.compile(r"([^\r\n]*)(\r\n|\n|\r|\Z)")
_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Event:
    """A server-sent event, or a line of JSON.

    `raw` are its bytes as they travel, with blank lines before it and what ends it. `data` is the text that a
    reader gets of it: the values of its ``data`` fields (joined by newlines), or the line; None when there is
    none to get, as in a comment. `is_line` says that it is a line of JSON.
    """

    raw: bytes
    data: str | None
    is_line: bool = False

    def with_data(self, data: str) -> "Event":
        r"""The same event with other data; all its other lines stay.

        >>> Event(b"id: 1\ndata: secret\n\n", "secret").with_data("******").raw
        b'id: 1\ndata: ******\n\n'

        Raises ValueError when several lines are to be one line of JSON.
        """
        text = self.raw.decode(errors="replace")
        written = _with_line(text, data) if self.is_line else _rewritten(_LINE.findall(text), data)
        return replace(self, raw=written.encode(), data=data)


def _with_line(text: str, data: str) -> str:
    """Blank lines before it, and its end, stay."""
    if _LINE_END.search(data):
        raise ValueError("A line of JSON cannot hold the end of a line.")
    return text[: len(text) - len(text.lstrip("\r\n"))] + data + text[len(text.rstrip("\r\n")) :]


def _rewritten(lines: list[tuple[str, str]], data: str) -> str:
    """The lines of an event with `data` where the first of its ``data`` fields stood."""
    written = []
    fresh: str | None = data
    for line, end in lines:
        if line.removeprefix("\ufeff").partition(":")[0] != "data":
            written.append(line + end)
        elif fresh is not None:
            written.append((end or "\n").join(f"data: {part}" for part in _LINE_END.split(fresh)) + end)
            fresh = None
    return "".join(written)
