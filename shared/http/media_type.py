"""Media types, from the Content-Type header (RFC 9110, 8.3)."""

import re
from dataclasses import dataclass

from shared.core.memo import Memo
from shared.http.body_rejected import BodyRejected
from shared.model.messages import Headers

_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^\s";]*)', re.IGNORECASE)
_UTF8 = frozenset({"utf-8", "utf8", "us-ascii"})


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type in lower case, without parameters; empty without a header. And its charsets."""

    name: str
    charsets: tuple[str, ...] = ()

    @classmethod
    def of(cls, headers: Headers) -> "MediaType":
        """Read the head of a body. Raises `BodyRejected` on Content-Type headers that differ."""
        values = headers.all("content-type")
        if len(values) > 1 and len(set(values)) > 1:
            raise BodyRejected("unsupported_content_type", "The body has more than one content type.")
        return _KNOWN[values[0] if values else ""]

    @property
    def is_json(self) -> bool:
        return self.name in ("application/json", "text/json") or self.name.endswith("+json")

    @property
    def is_form(self) -> bool:
        return self.name == "application/x-www-form-urlencoded"

    @property
    def is_event_stream(self) -> bool:
        return self.name == "text/event-stream"

    @property
    def is_json_lines(self) -> bool:
        return self.name in ("application/x-ndjson", "application/ndjson", "application/jsonl")

    def must_be_utf8(self) -> None:
        """Raise `BodyRejected` when the charset is not UTF-8."""
        if not _UTF8.issuperset(self.charsets):
            raise BodyRejected("unsupported_content_type", "The charset of the body must be UTF-8.")


def _read(value: str) -> MediaType:
    charsets = tuple(name.lower() for name in _CHARSET.findall(value))
    return MediaType(value.partition(";")[0].strip().lower(), charsets)


_KNOWN: Memo[str, MediaType] = Memo(_read)
EVENT_STREAM = MediaType("text/event-stream")
