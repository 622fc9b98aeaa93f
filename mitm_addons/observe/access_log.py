"""One JSON line per request, after its last byte."""

import logging
from collections.abc import Mapping
from functools import lru_cache

from mitmproxy import http

from mitm_addons.flows import FlowState, state_of
from mitm_addons.wire_errors import code_of
from shared.core.clock import Clock
from shared.logs import PutLine
from shared.pipeline.run import Run
from shared.secrets.redaction import redact

_LOGGER = "gateway.access"
_FIELD_LIMIT = 1024  # characters; a client must not be able to fill the disk


class AccessLog:
    """Writes the caller, the request, the result and the duration; never a body or a key.

    `put` takes the time and the fields of a line. Log levels above ``info`` turn the log off.
    """

    def __init__(self, clock: Clock, put: PutLine) -> None:
        self._clock = clock
        self._put = put
        self._is_on = logging.getLogger(_LOGGER).isEnabledFor(logging.INFO)

    def post_response(self, flow: http.HTTPFlow) -> None:
        state = state_of(flow)
        if self._is_on and state and not state.is_health_check:
            self._put(self._clock.now(), self._fields(flow, state))

    def _fields(self, flow: http.HTTPFlow, state: FlowState) -> dict[str, object]:
        admitted, response, broken = state.admitted, flow.response, flow.error
        failed = broken is not None
        path = state.path or flow.request.data.path.partition(b"?")[0].decode("latin-1")
        return {
            "level": "info",
            "logger": _LOGGER,
            "request_id": state.request_id,
            "upstream_request_id": state.upstream_id.decode("latin-1") if state.upstream_id else None,
            "tenant": admitted.gateway.snapshot.tenant.id if admitted else None,
            "rule": admitted.route.rule.id if admitted else None,
            "key": admitted.key.id if admitted and admitted.key else None,
            "client": state.client,
            "method": flow.request.data.method.decode("latin-1")[:32],
            "path": _shown(path),
            "status": response.data.status_code if response else None,
            "source": "gateway" if failed and response is None else state.source,
            "code": code_of(broken.msg) if broken and not state.code else state.code,
            "faults": state.run.faults if state.run else [],
            "shadow": _shadowed(state.run),
            "milliseconds": round((self._clock.monotonic() - state.started) * 1000, 3),
            "bytes_in": state.received,
            "bytes_held": state.bytes_held_back,
            "bytes_out": state.sent or len(response.raw_content or b"") if response else 0,
        }


def _shadowed(run: Run | None) -> list[Mapping[str, str]]:
    """Return what entries in shadow mode would have changed."""
    results = run.shadows.results if run and run.shadows else ()
    return [note for result in results if (note := result.note())]


@lru_cache(4096)
def _shown(path: str) -> str:
    return redact(path)[:_FIELD_LIMIT]
