"""Spans in the binary form of OTLP: the protobuf message `ExportTraceServiceRequest`.

https://github.com/open-telemetry/opentelemetry-proto has the messages; the numbers of their fields are
stable. Spans have few of them, so they are written as bytes at once.
"""

import struct
from collections.abc import Iterable, Mapping
from typing import Final

from shared.core.memo import BoundedDict, Memo
from shared.metrics.spans import CLIENT, INTERNAL, SERVER, Span, Value

_NANOSECONDS: Final = 1_000_000_000  # per second
_KINDS: Final = {INTERNAL: b"\x30\x01", SERVER: b"\x30\x02", CLIENT: b"\x30\x03"}
_ERROR: Final = b"\x7a\x02\x18\x02"
# Whether the parent is a span of another program: it is known not to be, and to be.
_OWN, _REMOTE = b"\x85\x01\x00\x01\x00\x00", b"\x85\x01\x00\x03\x00\x00"
_TIMES: Final = struct.Struct("<BQBQ").pack
_EVENT: Final = struct.Struct("<BQ").pack
_DOUBLE: Final = struct.Struct("<Bd").pack
_MAX_KEPT: Final = 4_096
_MAX_KEPT_LENGTH: Final = 128


def _varint(number: int) -> bytes:
    """A number of variable length; a negative one as its 64 bits."""
    number &= 0xFFFF_FFFF_FFFF_FFFF
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


def _part(tag: bytes, data: bytes) -> bytes:
    """A field with a length."""
    size = len(data)
    return tag + (_SIZES[size] if size < 1_024 else _varint(size)) + data


_SIZES: Final = tuple(map(_varint, range(1_024)))


def _text(text: str) -> bytes:
    """Text as UTF-8, which has no halves of surrogate pairs."""
    return text.encode(errors="replace")


def _value(value: Value) -> bytes:
    """The message `AnyValue`."""
    match value:
        case bool():
            return b"\x10\x01" if value else b"\x10\x00"
        case int():
            return b"\x18" + _varint(value)
        case float():
            return _DOUBLE(0x21, value)
        case str():
            return _part(b"\x0a", _text(value))
    return _part(b"\x2a", b"".join([_part(b"\x0a", _value(one)) for one in value]))


def _attribute(name: str, value: Value) -> bytes:
    """The message `KeyValue`, as the content of a field."""
    return _part(b"\x0a", _text(name)) + _part(b"\x12", _value(value))


class SpanEncoder:
    """Encodes spans of one resource. Most attributes repeat, so they are kept."""

    def __init__(self, resource: Mapping[str, str], scope: str) -> None:
        attributes = [_part(b"\x0a", _attribute(name, value)) for name, value in resource.items()]
        self._resource = _part(b"\x0a", b"".join(attributes))
        self._scope = _part(b"\x0a", _part(b"\x0a", _text(scope)))
        self._kept: BoundedDict[tuple[str, type, Value], bytes] = BoundedDict(_MAX_KEPT)
        self._names: Memo[str, bytes] = Memo(lambda name: _part(b"\x2a", _text(name)))

    def request(self, spans: Iterable[bytes]) -> bytes:
        """The whole message, of spans that are encoded."""
        found = self._scope + b"".join([_part(b"\x12", span) for span in spans])
        return _part(b"\x0a", self._resource + _part(b"\x12", found))

    def span(self, span: Span) -> bytes:
        """The message `Span`. It is called for each, so it makes few calls itself."""
        parent, kept = span.parent, self._kept
        parts = [
            b"\x0a\x10",
            bytes.fromhex(span.trace_id),
            b"\x12\x08",
            span.id.to_bytes(8),
            b"" if parent is None else b"\x22\x08" + parent.to_bytes(8),
            self._names[span.name],
            _KINDS[span.kind],
            _TIMES(0x39, int(span.started * _NANOSECONDS + 0.5), 0x41, int(span.ended * _NANOSECONDS + 0.5)),
        ]
        for name, value in span.attributes.items():
            try:
                parts += (kept[name, value.__class__, value],)
            except KeyError:
                parts += (self._keep(name, value),)
        for name, at in span.events:
            event = _EVENT(0x09, int(at * _NANOSECONDS + 0.5)) + _part(b"\x12", _text(name))
            parts += (_part(b"\x5a", event),)
        parts += (
            _ERROR if span.is_error else b"",
            _REMOTE if parent is not None and span.kind == SERVER else _OWN,
        )
        return b"".join(parts)

    def _keep(self, name: str, value: Value) -> bytes:
        """An attribute as a field of a span. Values that seldom repeat are not kept."""
        found = _part(b"\x4a", _attribute(name, value))
        if isinstance(value, float) or len(found) > _MAX_KEPT_LENGTH:
            return found
        return self._kept.keep((name, value.__class__, value), found)
