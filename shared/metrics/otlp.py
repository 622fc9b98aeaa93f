"""Sends spans to an OTLP collector, with the packages of requirements-otel.txt.

Only a process that exports spans imports this. Spans are made of values that are known by now, so no tracer
and no context of OpenTelemetry is needed.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from requests import Session

from shared.metrics.span_queue import SpanQueue
from shared.metrics.spans import CLIENT, INTERNAL, SERVER, Span

_TIMEOUT_SECONDS: Final = 10.0  # for a call, with its repetitions
_NANOSECONDS: Final = 1_000_000_000  # per second
_KINDS: Final = {SERVER: SpanKind.SERVER, CLIENT: SpanKind.CLIENT, INTERNAL: SpanKind.INTERNAL}
_STATUS: Final = {False: Status(StatusCode.UNSET), True: Status(StatusCode.ERROR)}
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_SCOPE: Final = InstrumentationScope("ai-gateway")


def readable(span: Span, resource: Resource) -> ReadableSpan:
    """A span as OpenTelemetry's exporters read it."""
    trace = int(span.trace_id, 16)
    parent = None
    if span.parent is not None:
        parent = SpanContext(trace, span.parent, is_remote=span.kind == SERVER, trace_flags=_SAMPLED)
    return ReadableSpan(
        _text(span.name),
        SpanContext(trace, span.id, is_remote=False, trace_flags=_SAMPLED),
        parent,
        resource,
        attributes={
            name: _text(value) if isinstance(value, str) else value for name, value in span.attributes.items()
        },
        events=[Event(name, timestamp=_nano(at)) for name, at in span.events],
        kind=_KINDS[span.kind],
        status=_STATUS[span.is_error],
        start_time=_nano(span.started),
        end_time=_nano(span.ended),
        instrumentation_scope=_SCOPE,
    )


def _text(value: str) -> str:
    """The text without halves of surrogate pairs, which are not UTF-8."""
    return value.encode(errors="replace").decode()


def _nano(seconds: float) -> int:
    return round(seconds * _NANOSECONDS)


class _LastMessage(logging.Handler):
    """Keeps the last message of the exporter, which logs its failures and returns no reason."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


def open_export(
    endpoint: str, headers: Mapping[str, str], *, trust: Path, resource: Mapping[str, str]
) -> SpanQueue:
    """A queue to the collector at `endpoint`, started. `trust` are the certificates that verify it."""
    last, library = _LastMessage(), logging.getLogger("opentelemetry")
    library.handlers[:], library.propagate = [last], False
    session = Session()
    session.trust_env = False  # HTTP_PROXY and .netrc are not meant for the collector
    exporter = OTLPSpanExporter(
        endpoint=f"{endpoint}/v1/traces",
        certificate_file=str(trust),
        headers=dict(headers),
        timeout=_TIMEOUT_SECONDS,
        compression=Compression.Gzip,
        session=session,
    )
    attributes = Resource(dict(resource))

    def send(spans: Sequence[Span]) -> str:
        last.text = ""
        is_sent = exporter.export([readable(span, attributes) for span in spans]) is SpanExportResult.SUCCESS
        return "" if is_sent else last.text or "The collector takes none."

    queue = SpanQueue(send)
    queue.start()
    return queue
