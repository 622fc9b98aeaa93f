"""The spans of requests: what is kept of a request for them, and the thread that makes and sends them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from mitm_addons.flows import FlowState
from shared.core import VERSION
from shared.core.empty import EMPTY
from shared.core.memo import Memo
from shared.http.trace_context import TraceContext
from shared.metrics.span_queue import SpanQueue
from shared.metrics.spans import Called, Finished
from shared.net.trust import TrustFiles
from shared.providers.resolve import ResolvedTarget
from shared.records.line import AccessLine
from shared.routing.ai_exchange import AiExchange
from shared.secrets.redaction import redact
from shared.services import Services

# A client may have chosen the name of a model.
_SHOWN: Memo[str, str] = Memo(redact)


@contextlib.asynccontextmanager
async def exporting(services: Services) -> AsyncIterator[SpanQueue | None]:
    """Send spans in a thread, if the settings name a collector."""
    otel, security = services.settings.otel, services.settings.security
    if otel.endpoint is None:
        yield None
        return
    from shared.metrics.otlp import open_export  # noqa: PLC0415 -- its packages need not be installed

    queue = open_export(
        otel.endpoint,
        otel.headers or EMPTY,
        trust=TrustFiles(services.settings.data_dir / "trust", security.ca_file)(None),
        clock=services.clock,
        resource={
            "service.name": "ai-gateway",
            "service.version": VERSION,
        },
    )
    try:
        yield queue
    finally:
        await asyncio.to_thread(queue.close)


def finished_of(
    state: FlowState, trace: TraceContext, at: float, line: AccessLine, decision: Mapping[str, Any]
) -> Finished:
    """A request that is over, with its line of the log and its decision. It holds no body."""
    attempts = 0 if state.call.forwarded is None else 1
    if state.pooled is not None and state.pooled.attempts is not None:
        attempts = state.pooled.attempts.number
    return Finished(
        at=at,
        line=line.members,
        decision=decision,
        route="" if state.admitted is None else state.admitted.route.rule.path,
        trace_id=trace.trace_id,
        parent=trace.parent,
        span=trace.span,
        attempts=attempts,
        called={} if state.ai is None else _called(state.ai),
    )


def _called(ai: AiExchange) -> Mapping[str, Called]:
    found: dict[str, Called] = {}
    if ai.pool is not None and ai.attempts is not None:
        targets = ai.pool.targets
        found = {one.target: _one(targets[one.target].resolved) for one in ai.attempts.trace}
    if ai.target is not None:
        found[""] = _one(ai.target)
    return found


def _one(target: ResolvedTarget) -> Called:
    provider = target.provider
    return Called(provider.provider.kind, provider.name, _SHOWN[target.model])
