"""How a request was decided, for its record. The record is made after the last byte.

Nothing here holds a body or the run of the plugins: only numbers, names, and the states of limits.
"""

from collections.abc import Callable, Mapping
from typing import Any

from mitmproxy.connection import Server

from mitm_addons.flows import FlowState
from shared.core.empty import EMPTY
from shared.pipeline.plugin import Reject
from shared.pipeline.run import Run
from shared.pipeline.trace import StepResult, Trace
from shared.records.line import AccessLine
from shared.secrets.redaction import redact

#: Takes a request that is over: its time, its line of the access log, and its decision.
PutRecord = Callable[[float, AccessLine, dict[str, Any]], None]

#: The plugin that notes the states of limits.
LIMITER = "rate_limiter"


def decision_of(state: FlowState, server: Server) -> dict[str, Any]:
    """How a request that is over was decided. Times are in seconds of one monotonic clock.

    `connected` alone is of the time of day: when the connection to the upstream began, and when it was open.
    """
    run, call, pooled = state.run, state.call, state.pooled
    decision: dict[str, Any] = {
        "started": state.started,
        "length": state.announced,
        "arrived": state.arrived,
        "forwarded": call.forwarded,
        "connected": (server.timestamp_start, server.timestamp_tcp_setup),
        "head": call.head,
        "first": state.sent.first,
        "ended": call.ended,
    }
    if pooled is not None and (attempts := pooled.attempts) is not None:
        decision["began"] = [one.began for one in attempts.trace]
        if attempts.why_not:
            decision["not_chosen"] = dict(attempts.why_not)
    if run is None:
        return decision
    trace = run.trace
    if trace is not None:
        decision["steps"], decision["traced"] = _traced(trace), True
    elif run.rejection is not None or run.responded is not None or run.faults:
        decision["steps"] = _acted(run)
    if LIMITER in run.notes:
        notes: Any = run.notes[LIMITER]
        limits = notes["limits"]
        decision["limits"] = [*limits, *notes["budgets"]] if "budgets" in notes else limits
        if run.rejection is not None:
            details = run.rejection.details
            decision["reached"] = details.get("rate_limit") or details.get("budget")
    return decision


def _acted(run: Run) -> list[Mapping[str, object]]:
    """The steps that did more than continue, as far as they are known without a trace."""
    steps: list[Mapping[str, object]] = [{"plugin": name, "verdict": "fault"} for name in run.faults]
    if run.responded is not None:
        steps.append({"plugin": run.responder, "verdict": "respond"})
    if run.rejection is not None:
        plugin = run.rejection.source.removeprefix("plugin:")
        steps.append({"plugin": plugin, "verdict": "reject", "code": run.rejection.code})
    return steps


def _traced(trace: Trace) -> list[Mapping[str, object]]:
    """All steps of a run that was traced, in their order."""
    return [
        _step(result)
        for group in trace.groups
        for step in group.group.steps
        if (result := trace.of(step)) is not None
    ]


def _step(result: StepResult) -> Mapping[str, object]:
    verdict, fault = result.verdict, result.fault
    name = "fault" if fault else "cancelled" if verdict is None else type(verdict).__name__.lower()
    return {
        "stage": result.stage.value,
        "plugin": result.step.plugin.name,
        "verdict": name,
        "started": result.started,
        "seconds": result.seconds,
        **({"code": verdict.code} if isinstance(verdict, Reject) else EMPTY),
        **({"fault": redact(fault)} if fault else EMPTY),
    }
