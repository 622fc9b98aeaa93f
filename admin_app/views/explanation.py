"""The result of a dry run as a document without secrets."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from shared.core.empty import EMPTY
from shared.core.http_tokens import MASK
from shared.explain import ExplainResult
from shared.http.cors import with_cors
from shared.limits.headers import state_members, with_amounts
from shared.limits.values import BUDGET, Decision, LimitState
from shared.model.amounts import format_amount
from shared.model.config import ENFORCE, SHADOW, Stage
from shared.model.messages import Headers
from shared.pipeline.plan import Group, Plan, Step
from shared.pipeline.plugin import Reject
from shared.pipeline.trace import StepResult
from shared.routing.ai_exchange import AiExchange
from shared.routing.router import why_not
from shared.secrets.context import PLATFORM
from shared.secrets.redaction import SECRET_HEADERS, redact


def explanation(explained: ExplainResult, method: str) -> dict[str, Any]:
    """The document for a request with `method`."""
    tenant, admitted = explained.gateway.snapshot.tenant, explained.admitted
    shown = {"id": tenant.id, "subdomain": tenant.subdomain, "version": tenant.version}
    return {
        "outcome": _outcome(explained),
        "tenant": shown if explained.is_tenants else None,
        "key_id": admitted.key.id if admitted and admitted.key else None,
        "rule_id": admitted.route.rule.id if admitted else None,
        "rules": _rules(explained, method),
        "plan": _plan(explained, admitted.route.plan) if admitted else [],
        "limits": [
            *(limit for decision in explained.decisions for limit in _limits(decision)),
            *_budgets(explained),
        ],
        "ai": None if explained.ai is None else _ai(explained.ai),
        "upstream": _upstream(explained),
        "response": _response(explained),
    }


def _outcome(explained: ExplainResult) -> str:
    if explained.rejection:
        return "rejected"
    if explained.responded:
        return "responded"
    return "forwarded" if explained.outgoing else "unfinished"


def _rules(explained: ExplainResult, method: str) -> list[dict[str, Any]]:
    gateway = explained.gateway
    rules = gateway.snapshot.rules if explained.is_tenants and explained.path else ()
    reasons = why_not(rules, gateway.router, explained.path, method)
    faults = {route.rule.id: route.fault for route in gateway.router.routes()}
    return [
        {
            "id": rule.id,
            "path": rule.path,
            "methods": rule.methods,
            "matches": reason is None,
            "why_not": reason,
            "fault": redact(fault) if (fault := faults.get(rule.id)) else None,
        }
        for rule, reason in zip(rules, reasons, strict=True)
    ]


def _plan(explained: ExplainResult, plan: Plan) -> list[dict[str, Any]]:
    stages = {stage: plan.stages.get(stage, ()) for stage in Stage}
    stages[Stage.PRE_REQUEST] = (*plan.head, *stages[Stage.PRE_REQUEST])
    return [
        {"stage": stage, "groups": [_group(explained, group) for group in groups]}
        for stage, groups in stages.items()
        if groups
    ]


def _group(explained: ExplainResult, group: Group) -> dict[str, Any]:
    trace = explained.run.trace if explained.run else None
    seconds = next((one.seconds for one in trace.groups if one.group is group), None) if trace else None
    return {
        "needs_body": group.uses_body,
        "milliseconds": _milliseconds(seconds),
        "plugins": [
            *(_plugin(step, ENFORCE, _result(explained, step, ENFORCE)) for step in group.steps),
            *(_plugin(step, SHADOW, _result(explained, step, SHADOW)) for step in group.shadows),
        ],
    }


def _plugin(step: Step, mode: str, result: StepResult | None) -> dict[str, Any]:
    verdict, detail = _verdict(result)
    return {
        "name": step.plugin.name,
        "mode": mode,
        "entries": [
            {"origin": entry.origin, "priority": entry.priority, "parallel": entry.parallel}
            for entry in step.entries
        ],
        "on_error": step.on_error,
        "timeout": step.timeout,
        "verdict": verdict,
        "detail": redact(detail) if detail else None,
        "milliseconds": _milliseconds(result.seconds if result else None),
    }


def _result(explained: ExplainResult, step: Step, mode: str) -> StepResult | None:
    run = explained.run
    if run is None:
        return None
    if mode == ENFORCE:
        return run.trace.of(step) if run.trace else None
    return next((one for one in (run.shadows.results if run.shadows else ()) if one.step is step), None)


def _verdict(result: StepResult | None) -> tuple[str, str | None]:
    """The name of what the step did, and its detail."""
    if result is None:
        return "not_run", None
    if result.fault is not None:
        return "fault", result.fault
    if result.not_called is not None:
        return "not_called", result.not_called
    if result.verdict is None:
        return "cancelled", None
    detail = result.verdict.message if isinstance(result.verdict, Reject) else None
    return type(result.verdict).__name__.lower(), detail


def _limits(decision: Decision) -> Iterator[dict[str, Any]]:
    for state in decision.states:
        if state.limit.kind != BUDGET:
            left = state.remaining - (state.limit.units if decision.allowed else 0)
            yield _limit(state, state.remaining, left, allows=state.has_room)


def _budgets(explained: ExplainResult) -> Iterator[dict[str, Any]]:
    """The budgets that count the request, with what it would reserve."""
    noted: Any = explained.run.notes.get("rate_limiter", EMPTY) if explained.run else EMPTY
    is_admitted = explained.ai is not None and explained.ai.reservation is not None
    for state in noted.get("budgets", ()):
        before = state.remaining + (state.limit.cost if is_admitted else 0)
        yield _limit(state, before, state.remaining, allows=is_admitted or state.has_room)


def _limit(state: LimitState, before: int, after: int, *, allows: bool) -> dict[str, Any]:
    members, unit = state_members(state), state.limit.unit
    reset = members.pop("reset_after_ms")
    del members["remaining"]
    return {
        **with_amounts(members),
        "allows": allows,
        "before": {"remaining": format_amount(unit, before), "reset_after_ms": reset},
        "after": {"remaining": format_amount(unit, after)},
    }


def _ai(one: AiExchange) -> dict[str, Any]:
    """The model that was asked for, and the targets that may serve it."""
    resolution, attempt = one.resolution, one.attempt
    reasons = one.attempts.why_not if one.attempts else {}
    return {
        "api": one.call.api,
        "asked": resolution and resolution.asked,
        "model": resolution and resolution.model,
        "key_id": attempt.key.id if attempt and attempt.key else None,
        "stored_id": one.pin.id or None if one.pin else None,
        "targets": [
            {
                "provider": target.provider.name,
                "model": target.model,
                "weight": target.weight,
                "priority": target.priority,
                "is_chosen": attempt is not None and attempt.target.id == target.id,
                **_translation(one, target.id),
                "why_not": reasons.get(target.id),
            }
            for target in (resolution.targets if resolution else ())
        ],
    }


def _translation(one: AiExchange, target_id: str) -> dict[str, Any]:
    """The API by which a target is called, and what the translation of the request loses."""
    translations = one.translations
    call = None if translations is None else translations.call(target_id)
    if translations is None or call is None:
        return {"api": one.call.api, "dropped": None, "changed": None}
    lost: dict[str, Any] = {"dropped": None, "changed": None}
    if translations.error(target_id) is None:
        notes = translations.of(call).notes
        lost = {"dropped": notes.dropped, "changed": notes.changed}
    return {"api": call.call.api, **lost}


def _upstream(explained: ExplainResult) -> dict[str, Any] | None:
    outgoing, upstream = explained.outgoing, explained.upstream
    if outgoing is None or upstream is None:
        return None
    body = outgoing.body or b""
    target = explained.ai.target if explained.ai else None
    # Tenants see neither the address nor the headers of a provider that they share.
    is_shown = target is None or target.provider.owner != PLATFORM
    return {
        "method": outgoing.method,
        "url": _url(outgoing.url, upstream.secrets) if is_shown else None,
        "headers": _headers(Headers.of(outgoing.fields), upstream.secrets) if is_shown else [],
        "body": _text(body),
        "body_bytes": len(body),
    }


def _url(url: str, secrets: Collection[str]) -> str:
    """The URL with secrets masked; also the values of the parameters named in `secrets`."""
    path, mark, query = url.partition("?")
    parts = [part.partition("=") for part in query.split("&")]
    shown = "&".join(
        f"{name}={MASK}" if unquote(name) in secrets else f"{name}{equals}{value}"
        for name, equals, value in parts
    )
    return redact(f"{path}{mark}{shown}")


def _response(explained: ExplainResult) -> dict[str, Any] | None:
    if explained.rejection:
        rejection = explained.rejection
        return {
            "status": rejection.status,
            "source": rejection.source,
            "code": rejection.code,
            "message": redact(rejection.message),
            "details": dict(rejection.details),
            "headers": _headers(
                _readable(explained, Headers({**rejection.headers, **explained.response_headers}.items()))
            ),
            "body": None,
        }
    given, run = explained.response, explained.run
    if given is None:
        return None
    responder = f"plugin:{run.responder}" if run else "gateway"
    return {
        "status": given.status,
        "source": responder if explained.responded else "upstream",
        "code": None,
        "message": None,
        "details": {},
        "headers": _headers(_readable(explained, given.headers)),
        "body": _text(given.body or b""),
    }


def _readable(explained: ExplainResult, headers: Headers) -> Headers:
    """The head with what lets a web page read the response."""
    if explained.cors is None:
        return headers
    return Headers.of(with_cors(headers.fields, explained.cors, explained.sent))


def _headers(headers: Headers, own: Mapping[str, str] | Sequence[str] = ()) -> list[dict[str, str]]:
    """The headers with secrets masked; also those named in `own`, the headers of the rule."""
    secret: Collection[str] = SECRET_HEADERS | {name.lower() for name in own}
    return [
        {"name": name, "value": MASK if name.lower() in secret else redact(value)} for name, value in headers
    ]


def _text(body: bytes) -> str | None:
    try:
        return redact(body.decode())
    except UnicodeDecodeError:
        return None


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
