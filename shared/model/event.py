"""One event of a streamed response, as plugins see it."""

import re
from dataclasses import dataclass, replace

_LINE = re.compile(r"([^\r\n]*)(\r\n|\n|\r|\Z)")
#: An end of a line in a stream of events (WHATWG HTML, 9.2.6).
LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Event:
    """A server-sent event, or a line of JSON.

    `raw` is all of its bytes, with the blank lines before and after it. `data` is the text that a reader
    gets: the values of the ``data`` fields, joined by newlines, or the line. It is None when there is no such
    text, as in a comment. `is_line` is True for a line of JSON.
    """

    raw: bytes
    data: str | None
    is_line: bool = False

    def with_data(self, data: str) -> "Event":
        r"""Return the event with other data. All other lines stay.

        >>> Event(b"id: 1\ndata: secret\n\n", "secret").with_data("******").raw
        b'id: 1\ndata: ******\n\n'

        Raises ValueError when the data of a line of JSON has several lines.
        """
        text = self.raw.decode(errors="replace")
        written = _with_line(text, data) if self.is_line else _rewritten(_LINE.findall(text), data)
        return replace(self, raw=written.encode(), data=data)


def _with_line(text: str, data: str) -> str:
    """Replace the line. Blank lines before it, and its end, stay."""
    if LINE_END.search(data):
        raise ValueError("A line of JSON must not contain the end of a line.")
    return text[: len(text) - len(text.lstrip("\r\n"))] + data + text[len(text.rstrip("\r\n")) :]


def _rewritten(lines: list[tuple[str, str]], data: str) -> str:
    """Replace the first ``data`` field by `data`, and remove the others."""
    written = []
    fresh: str | None = data
    for line, end in lines:
        if line.removeprefix("\ufeff").partition(":")[0] != "data":
            written.append(line + end)
        elif fresh is not None:
            written.append((end or "\n").join(f"data: {part}" for part in LINE_END.split(fresh)) + end)
            fresh = None
    return "".join(written)
