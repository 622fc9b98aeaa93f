"""Media types, from the Content-Type header (RFC 9110, 8.3)."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial

from shared.core.memo import Memo
from shared.http.body_rejected import BodyRejected
from shared.model.messages import Headers

# The types of streams of JSON documents, one per line.
_JSON_LINES = frozenset(
    f"application/{name}"
    for name in (
        *("x-ndjson", "ndjson", "jsonl", "x-jsonl", "jsonlines", "x-jsonlines", "json-lines"),
        *("stream+json", "x-json-stream", "x-ldjson", "ldjson"),
    )
)
_JSON = frozenset({"application/json", "text/json"})
# Binary forms of documents, such as Bedrock's streams, gRPC and Protocol Buffers. A search of their bytes may
# miss the text in them.
_UNREADABLE = re.compile(
    r"application/(?:vnd\.amazon\.eventstream|grpc\b.*|json-seq|connect\+.*"
    r"|(?:x-|vnd\.)?(?:google\.)?(?:protobuf|protobuffer|cbor|msgpack|messagepack|bson|avro|thrift|smile))"
    r"|.*\+(?:proto|protobuf|cbor|msgpack|avro|json-seq)"
)
# One parameter of a media type: its name, and its value with or without quotes.
_PARAMETER = re.compile(r';\s*([^=;"\s]+)\s*=\s*(?:"([^"]*)"|([^;"\s]*))')
_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^\s";]*)', re.IGNORECASE)
_UTF8 = frozenset({"utf-8", "utf8", "us-ascii"})


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type in lower case, without parameters; empty without a header. And its charsets.

    `boundary` separates the parts of a multipart body; empty when the header names none, or two. A type that
    is not `is_readable` is a binary form of documents. `is_media` is one of pictures and sound.
    """

    name: str
    charsets: tuple[str, ...] = ()
    boundary: str = ""
    is_readable: bool = True
    is_json_lines: bool = field(init=False, compare=False)
    is_json: bool = field(init=False, compare=False)
    is_form: bool = field(init=False, compare=False)
    is_event_stream: bool = field(init=False, compare=False)
    is_multipart: bool = field(init=False, compare=False)
    is_media: bool = field(init=False, compare=False)
    is_utf8: bool = field(init=False, compare=False)

    @classmethod
    def of(cls, headers: Headers) -> "MediaType":
        """Read the head of a body. Raises `BodyRejected` on Content-Type headers that differ."""
        index = headers.by_name()
        values = index.get("content-type", ("",))
        if values[1:] and len(set(values)) > 1:
            raise BodyRejected("unsupported_content_type", "The body has more than one content type.")
        return _KNOWN[values[0]]

    @classmethod
    def parse(cls, value: str) -> "MediaType":
        """Read the value of a Content-Type header."""
        return _KNOWN[value]

    def __post_init__(self) -> None:
        # A type is read once and asked often. The class is frozen for all others.
        name, known = self.name, partial(object.__setattr__, self)
        known("is_json_lines", name in _JSON_LINES)
        known("is_json", not self.is_json_lines and (name in _JSON or name.endswith("+json")))
        known("is_form", name == "application/x-www-form-urlencoded")
        known("is_event_stream", name == "text/event-stream")
        known("is_multipart", name.startswith("multipart/"))
        known("is_media", name.startswith(("image/", "audio/", "video/")))
        known("is_utf8", _UTF8.issuperset(self.charsets))

    def is_one_of(self, ranges: Collection[str]) -> bool:
        """True when one of `ranges`, such as ``application/json`` or ``text/*``, includes the type."""
        return self.name in ranges or f"{self.name.partition('/')[0]}/*" in ranges or "*/*" in ranges

    def must_be_readable(self) -> None:
        """Raise `BodyRejected` when the body is in a binary form that cannot be searched for text."""
        if not self.is_readable:
            raise BodyRejected(
                "unsupported_content_type",
                f"The type {self.name[:100]} cannot be checked. Send JSON.",
            )

    def must_be_utf8(self) -> None:
        """Raise `BodyRejected` when the charset is not UTF-8."""
        if not self.is_utf8:
            raise BodyRejected("unsupported_content_type", "The charset of the body must be UTF-8.")


def _read(value: str) -> MediaType:
    parameters = [(name.lower(), quoted or plain) for name, quoted, plain in _PARAMETER.findall(value)]
    boundaries = [given for name, given in parameters if name.startswith("boundary")]
    charsets = tuple(name.lower() for name in _CHARSET.findall(value))
    boundary = boundaries[0] if len(boundaries) == 1 and value.lower().count("boundary=") == 1 else ""
    name = value.partition(";")[0].strip().lower()
    return MediaType(name, charsets, boundary, _UNREADABLE.fullmatch(name) is None)


def _is_stream(content_type: bytes) -> bool:
    kind = MediaType.parse(content_type.decode("latin-1"))
    return kind.is_event_stream or kind.is_json_lines


_KNOWN: Memo[str, MediaType] = Memo(_read)
#: Whether a Content-Type is that of a stream of events or of lines of JSON.
IS_STREAM: Memo[bytes, bool] = Memo(_is_stream)
EVENT_STREAM = MediaType("text/event-stream")
JSON_LINES = MediaType("application/jsonl")
