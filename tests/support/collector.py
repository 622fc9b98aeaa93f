"""An OTLP collector on a free port, which reads what it gets with OpenTelemetry's own messages."""

import gzip
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.wait import until


@dataclass
class ReceivedSpan:
    """A span with its attributes as Python's values, and the resource that it is of."""

    span: Span
    resource: dict[str, Any]
    attributes: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.attributes = values(self.span.attributes)

    @property
    def trace_id(self) -> str:
        return self.span.trace_id.hex()

    @property
    def kind(self) -> str:
        return str(Span.SpanKind.Name(self.span.kind)).removeprefix("SPAN_KIND_")

    @property
    def milliseconds(self) -> float:
        return float(self.span.end_time_unix_nano - self.span.start_time_unix_nano) / 1e6


def values(attributes: Any) -> dict[str, Any]:
    found = {}
    for one in attributes:
        kind = one.value.WhichOneof("value")
        value = getattr(one.value, kind)
        found[one.key] = [inner.string_value for inner in value.values] if kind == "array_value" else value
    return found


class _Handler(BaseHTTPRequestHandler):
    server: "Collector"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.take(self.path, dict(self.headers), body)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Write nothing."""


class Collector(ThreadingHTTPServer):
    """Keeps all that it gets. `status` is that of its responses."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.spans: list[ReceivedSpan] = []
        self.calls: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.calls.append((path, headers, body))
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            of = values(resource.resource.attributes)
            self.spans += [ReceivedSpan(span, of) for scope in resource.scope_spans for span in scope.spans]

    def trace(self, trace_id: str, count: int = 1) -> list[ReceivedSpan]:
        """The spans of a trace in the order in which they were sent, once there are so many."""
        for _ in until(10.0):
            found = [one for one in self.spans if one.trace_id == trace_id]
            if len(found) >= count:
                return found
        raise AssertionError(f"only {[one.span.name for one in found]}")

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


if __name__ == "__main__":  # a process of its own, which can be stopped
    with Collector() as alone:
        print(alone.url, flush=True)
        threading.Event().wait()
