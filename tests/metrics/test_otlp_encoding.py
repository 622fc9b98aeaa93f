"""Spans as bytes are what OpenTelemetry's own messages read."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from shared.metrics.otlp_encoding import SpanEncoder
from shared.metrics.spans import CLIENT, INTERNAL, SERVER, Span
from tests.support.collector import values

_KINDS = {
    SERVER: Message.SPAN_KIND_SERVER,
    CLIENT: Message.SPAN_KIND_CLIENT,
    INTERNAL: Message.SPAN_KIND_INTERNAL,
}
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
_VALUES = st.one_of(
    _TEXT,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.lists(_TEXT, max_size=3).map(tuple),
)
_IDS = st.integers(0, 2**64 - 1)
_TIMES = st.floats(0, 4e9)
_SPANS = st.builds(
    Span,
    name=_TEXT,
    kind=st.sampled_from([SERVER, CLIENT, INTERNAL]),
    trace_id=st.binary(min_size=16, max_size=16).map(bytes.hex),
    id=_IDS,
    parent=st.none() | _IDS,
    started=_TIMES,
    ended=_TIMES,
    attributes=st.dictionaries(_TEXT, _VALUES, max_size=5),
    events=st.lists(st.tuples(_TEXT, _TIMES), max_size=2),
    is_error=st.booleans(),
)


def read(*spans: Span, encoder: SpanEncoder | None = None) -> list[Message]:
    """The spans as OpenTelemetry reads them."""
    encoder = encoder or SpanEncoder({"service.name": "ai-gateway"}, "scope")
    request = ExportTraceServiceRequest.FromString(encoder.request(map(encoder.span, spans)))
    [resource] = request.resource_spans
    [scope] = resource.scope_spans
    assert (values(resource.resource.attributes), scope.scope.name) == (
        {"service.name": "ai-gateway"},
        "scope",
    )
    return list(scope.spans)


def typed(attributes: dict[str, Any]) -> dict[str, tuple[type, Any]]:
    """Attributes with their types: 1, 1.0 and True are alike otherwise."""
    return {name: (type(value), value) for name, value in attributes.items()}


@given(st.lists(_SPANS, max_size=4))
def test_any_spans_are_read_as_they_are(spans: list[Span]) -> None:
    found = read(*spans)
    assert len(found) == len(spans)
    for one, span in zip(found, spans, strict=True):
        assert (one.name, one.kind, one.trace_id.hex()) == (span.name, _KINDS[span.kind], span.trace_id)
        assert int.from_bytes(one.span_id) == span.id
        assert one.parent_span_id == (b"" if span.parent is None else span.parent.to_bytes(8))
        assert abs(one.start_time_unix_nano - span.started * 1e9) <= 512
        assert abs(one.end_time_unix_nano - span.ended * 1e9) <= 512
        expected = {n: list(v) if isinstance(v, tuple) else v for n, v in span.attributes.items()}
        assert typed(values(one.attributes)) == typed(expected)
        assert [event.name for event in one.events] == [name for name, _ in span.events]
        assert one.status.code == (2 if span.is_error else 0)
        assert one.flags == (0x300 if span.kind == SERVER and span.parent is not None else 0x100)


def span(**attributes: Any) -> Span:
    return Span("n", SERVER, "0" * 32, 1, None, 1.0, 2.0, attributes)


def test_attributes_that_repeat_keep_their_values_and_types() -> None:
    encoder = SpanEncoder({"service.name": "ai-gateway"}, "scope")
    sent: list[dict[str, Any]] = [{"a": 1}, {"a": True}, {"a": 1.0}, {"b": 1}, {"a": "1"}, {"a": 1}]
    found = read(*[span(**one) for one in sent], encoder=encoder)
    assert [typed(values(one.attributes)) for one in found] == [typed(one) for one in sent]


def test_text_that_is_not_utf8_is_sent_all_the_same() -> None:
    [found] = read(span(path="/\ud800"))
    assert values(found.attributes) == {"path": "/?"}


def test_attributes_of_many_requests_are_kept_within_a_bound() -> None:
    encoder = SpanEncoder({"service.name": "ai-gateway"}, "scope")
    for number in range(10_000):
        encoder.span(span(id=f"request-{number}", long="x" * 1_000 + str(number)))
    assert len(encoder._kept) <= 4_096
