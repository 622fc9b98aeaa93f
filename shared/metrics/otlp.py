"""Sends spans to an OTLP collector. They are made of values that are known by now, so there is no tracer."""

import gzip
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import requests

from shared.core.clock import Clock
from shared.core.errors import describe_error
from shared.metrics.otlp_encoding import SpanEncoder
from shared.metrics.span_queue import SpanQueue

_TIMEOUT_SECONDS: Final = 10.0  # for a call, with its repetitions
_PAUSES: Final = (0.0, 1.0, 2.0, 4.0, math.inf)  # seconds after each call that failed
# By these the collector asks for a repetition.
_TRANSIENT: Final = frozenset({429, 502, 503, 504})
# More takes several times as long, and saves little: most bytes of spans repeat.
_GZIP_LEVEL: Final = 1


class Collector:
    """The collector at a URL. `trust` are the certificates that verify it."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], trust: Path, clock: Clock) -> None:
        self._clock = clock
        self._url = f"{endpoint}/v1/traces"
        self._session = requests.Session()
        self._session.trust_env = False  # HTTP_PROXY and .netrc are not meant for the collector
        self._session.verify = str(trust)
        self._session.headers.update(
            {**headers, "Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
        )

    def send(self, request: bytes) -> str:
        """Send the message `ExportTraceServiceRequest`. Return why that failed; empty if it did not."""
        body = gzip.compress(request, _GZIP_LEVEL)
        deadline = self._clock.monotonic() + _TIMEOUT_SECONDS
        why = ""
        for pause in _PAUSES:
            wait = pause
            try:
                left = max(deadline - self._clock.monotonic(), 0.001)
                response = self._session.post(self._url, body, timeout=left, allow_redirects=False)
            except requests.ConnectionError as error:  # also one that the collector has closed meanwhile
                why = describe_error(error)
            except requests.RequestException as error:
                return describe_error(error)
            else:
                if response.status_code // 100 == 2:
                    return ""
                why = f"The collector responds with status {response.status_code}."
                if response.status_code not in _TRANSIENT:
                    return why
                wait = max(pause, _asked(response))
            if self._clock.monotonic() + wait > deadline:
                break
            time.sleep(wait)
        return why


def _asked(response: requests.Response) -> float:
    """The seconds that the collector asks to wait for; 1 if it names none."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else 1.0


def open_export(
    endpoint: str, headers: Mapping[str, str], *, trust: Path, resource: Mapping[str, str], clock: Clock
) -> SpanQueue:
    """A queue to the collector at `endpoint`, started. `trust` are the certificates that verify it."""
    encoder, collector = SpanEncoder(resource, "ai-gateway"), Collector(endpoint, headers, trust, clock)

    def send(spans: Sequence[bytes]) -> str:
        return collector.send(encoder.request(spans))

    queue = SpanQueue(send, encoder.span)
    queue.start()
    return queue
