"""One JSON line per request, after its last byte."""

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from mitm_addons.flows import FlowState, GatewayFlow, method_of
from mitm_addons.observe.records import LIMITER, PutRecord, decision_of
from mitm_addons.observe.traces import finished_of
from mitm_addons.wire_errors import STATUS_SENT, cause_of, code_of, detail_of
from shared.core.empty import EMPTY
from shared.core.memo import Memo
from shared.limits.values import LimitState
from shared.log_lines import ACCESS, FIELD_LIMIT, MODEL_BODY_LIMIT
from shared.logs import PutLine
from shared.metrics.spans import Finished
from shared.model.amounts import usd
from shared.model.budgets import USD
from shared.model.config import ApiKey
from shared.pipeline.run import Run
from shared.records.line import SAME, SHOWN, AccessLine
from shared.routing.ai_exchange import AiExchange
from shared.routing.compile import Route
from shared.routing.pool_exchange import PoolExchange
from shared.routing.router import match_method
from shared.secrets.redaction import redact

_METHOD_LIMIT = 32
# The SDKs of OpenAI and Anthropic send it.
_IS_COUNT = re.compile(r"[0-9]{1,4}").fullmatch
_RETRY_COUNT = "x-stainless-retry-count"

Fields = dict[str, Any]


class AccessLog:
    """Writes the caller, the request, the result and the times; never a body or a key.

    `put` takes the time and the JSON of a line, whose fields `shared.log_lines` declares. Log levels above
    ``info`` turn the log off. `keep` takes the line for the record of the request, with its decision; None:
    no records are kept. `export` takes requests whose spans are exported; None: none are. `shares` are those
    of the lines that are written, by the class of the status, and `random` returns numbers from 0 to 1.
    """

    def __init__(
        self,
        put: PutLine,
        keep: PutRecord | None = None,
        export: Callable[[Finished], None] | None = None,
        *,
        shares: Mapping[str, float] = EMPTY,
        random: Callable[[], float] = float,
    ) -> None:
        self._put = put
        self._keep = keep
        self._export = export
        self._shares = {name: share for name, share in shares.items() if share < 1}
        self._random = random
        self._is_on = logging.getLogger(ACCESS).isEnabledFor(logging.INFO)

    def post_response(self, flow: GatewayFlow) -> None:
        keep, state = self._keep, flow.gateway_state
        if state is None or state.is_health_check:
            return
        export = self._export if state.trace is not None and state.trace.is_exported else None
        if not (self._is_on or keep or export):
            return
        at, line = state.over_at, _line(flow, state)
        if self._is_on and (not self._shares or self._is_written(line.members["status"])):
            self._put(at, line.json)
        if keep is None and export is None:
            return
        decision = decision_of(state, flow.server_conn)
        if export is not None and state.trace is not None:
            export(finished_of(state, state.trace, at, line, decision))
        if keep is not None:
            keep(at, line, decision)

    def _is_written(self, status: int | None) -> bool:
        share = self._shares.get(f"{status // 100}xx" if status else "none")
        return share is None or self._random() < share


def _line(flow: GatewayFlow, state: FlowState) -> AccessLine:
    """The line of a request. It is made for each one, so it makes few calls itself."""
    members, request, response, broken = _begun(flow, state), flow.request.data, flow.response, flow.error
    body, call, ai, started, over = state.sent, state.call, state.ai, state.started, state.over
    if ai is not None and ai.resolution is not None:
        members["model_asked"] = _SHOWN[ai.resolution.asked]  # the body has the provider's own name
    else:
        members["model_asked"] = _model(request.content or state.first_pieces)
    if response is not None:
        members["status"], members["source"] = response.data.status_code, state.source
        members["bytes_out"] = body.size or len(response.data.content or b"")
    else:
        members["status"] = flow.metadata.get(STATUS_SENT)
        members["source"] = "gateway" if broken is not None else state.source
    code = state.code if broken is None or state.code else code_of(broken.msg)
    members["code"], members["stream"] = code, body.is_events
    # Times are in whole microseconds. `round` takes a microsecond itself.
    members["milliseconds"] = ((over - started) * 1e6 + 0.5) // 1 / 1000
    if body.first is not None:
        members["ttft_ms"] = ((body.first - started) * 1e6 + 0.5) // 1 / 1000
    if call.upstream is not None and call.forwarded is not None:
        ended = over if call.ended is None else call.ended
        members["upstream_ms"] = ((ended - call.forwarded) * 1e6 + 0.5) // 1 / 1000
        members["upstream"], members["upstream_status"] = call.upstream.target.authority, call.status
        # A connection that is used again was not made for this request.
        members["attempts"] = 0 if call.cause else call.tried or 1
    if call.id:
        members["upstream_request_id"] = _SHOWN[call.id.decode("latin-1")]
    if broken is not None and code_of(broken.msg) == code:
        members |= _failure(broken.msg, flow, state)
    if state.run is not None:
        _add_plugins(members, state.run, ai, state.plugins_seconds)
    if ai is not None:
        members["ai"] = _ai(ai)
    elif state.pooled is not None:
        members["targets"] = _targets(state.pooled)
    members["bytes_in"], members["bytes_held"] = state.received, body.held_back
    return AccessLine(members)


def _begun(flow: GatewayFlow, state: FlowState) -> Fields:
    """A line with its caller, and what was called. It is kept with a head that is repeated."""
    known, admitted = state.known, state.admitted
    if known is not None and admitted is not None and known.line_of is admitted:
        members = {**known.line}
    else:
        members = {**_BLANK}
        _add_caller(members, flow, state)
        if known is not None and known.admitted is admitted:
            known.line, known.line_of = {**members}, admitted
    # What varies in such a head.
    members["request_id"] = state.request_id
    if state.trace is not None:
        members["trace_id"] = state.trace.trace_id
    if _RETRY_COUNT in (sent := state.headers.by_name()):
        members["retry_count"] = _RETRIES[sent[_RETRY_COUNT][0]]
    return members


def _add_caller(members: Fields, flow: GatewayFlow, state: FlowState) -> None:
    """Add who has called, and what."""
    sent, gateway, admitted = state.headers.by_name(), state.gateway, state.admitted
    route, key = (admitted.route, admitted.key) if admitted else (_route(flow, state), _key(state))
    members["client"] = state.client
    if gateway is not None:
        tenant = gateway.snapshot.tenant
        members["tenant"], members["config_version"] = tenant.id, tenant.version
    if route is not None:
        members["rule"] = route.rule.id
    if key is not None:
        members["key"] = key.id
    request = flow.request.data
    members["method"] = _METHODS[request.method]
    members["path"] = _SHOWN[state.path or request.path.partition(b"?")[0].decode("latin-1")]
    if "user-agent" in sent:
        members["user_agent"] = _SHOWN[sent["user-agent"][0]]
    if "host" in sent:
        members["host"] = _SHOWN[sent["host"][0]]


# A line that says nothing, with all members in their order. Nothing changes the lists.
_BLANK: Fields = {
    **SAME,
    **dict.fromkeys((*SHOWN, "trace_id", "upstream_request_id", "config_version")),
    **dict.fromkeys(("client", "user_agent", "host", "cause", "detail")),
    **{"faults": [], "shadow": [], "limits": [], "budgets": [], "plugins_ms": None},
    **{"upstream": None, "upstream_status": None, "attempts": 0, "targets": None, "ai": None},
    **{"bytes_in": 0, "bytes_held": 0, "bytes_out": 0},
}


def _add_plugins(members: Fields, run: Run, ai: AiExchange | None, seconds: float) -> None:
    """Add what the plugins did, and how long it took."""
    members["faults"] = run.faults
    if run.shadows is not None:
        members["shadow"] = [note for one in run.shadows.results if (note := one.note())]
    if LIMITER in run.notes:
        members["limits"] = _limits(run)
        if ai is not None:
            members["budgets"] = _budgets(run, ai)
    members["plugins_ms"] = (seconds * 1e6 + 0.5) // 1 / 1000


def _limits(run: Run) -> list[Fields]:
    """The limits that the request was charged to, or that were full."""
    states: Any = run.notes[LIMITER]["limits"]
    return [
        {
            "scope": one.limit.scope,
            "name": one.limit.name,
            "unit": one.limit.unit,
            "limit": one.limit.quota.limit,
            "remaining": one.remaining,
        }
        for one in states
    ]


def _budgets(run: Run, ai: AiExchange) -> list[Fields]:
    """The budgets that count the request, what it reserved, and what it used of them in the end."""
    states: Any = run.notes[LIMITER].get("budgets", ())
    counted = {} if ai.reservation is None else ai.reservation.counted_by_key
    return [_budget(one, counted.get(one.limit.key, 0), is_held=bool(counted)) for one in states]


def _budget(state: LimitState, used: int, *, is_held: bool) -> Fields:
    limit = state.limit
    amounts: Any = (limit.quota.limit, state.remaining, limit.cost if is_held else 0, used)
    if limit.unit == USD:
        amounts = [usd(amount) for amount in amounts]
    return {"name": limit.name, "unit": limit.unit, **dict(zip(_AMOUNTS, amounts, strict=True))}


_AMOUNTS = ("limit", "remaining", "reserved", "used")


def _targets(exchange: PoolExchange) -> list[Fields]:
    """The calls of a request to a rule with several targets."""
    trace = exchange.attempts.trace if exchange.attempts else ()
    return [{"target": one.target, "status": one.status, "why": one.why, "ms": one.ms} for one in trace]


def _ai(one: AiExchange) -> Fields:
    """The fields about a request to a model."""
    chosen, usage = one.chosen, one.usage
    target = None if chosen is None else chosen.resolved
    key = one.attempt.key if one.attempt else None
    return {
        "api": one.call.api,
        "translated": None if one.translated is None else _SHOWN[one.translated.report()],
        "model": target and _SHOWN[target.model],
        "provider": target and target.provider.provider.name,
        "provider_key": key and key.id,
        "attempts": [
            {"target": call.target, "key": call.key, "status": call.status, "why": call.why, "ms": call.ms}
            for call in (one.attempts.trace if one.attempts else ())
        ],
        "input": usage and usage.input,
        "input_cached": usage and usage.input_cached,
        "input_cache_write": usage and usage.cache_write_5m + usage.cache_write_1h,
        "output": usage and usage.output,
        "reasoning": usage and usage.reasoning,
        "usage_source": usage and usage.source,
        "finish": (one.meter and one.meter.reported.finish) or None,
        "cost": one.cost_usd,
    }


def _failure(message: str, flow: GatewayFlow, state: FlowState) -> Fields:
    """Why the upstream gave no complete response."""
    detail = detail_of(message, state)
    return {"cause": cause_of(flow, state), "detail": detail and _SHOWN[detail]}


def _key(state: FlowState) -> ApiKey | None:
    """The key of a rejected request, if the tenant has it."""
    gateway, key_hash = state.gateway, state.key_hash
    return gateway.keys.get(key_hash) if gateway and key_hash else None


def _route(flow: GatewayFlow, state: FlowState) -> Route | None:
    """The rule of a rejected request, if one matches it."""
    if state.gateway is None:
        return None
    return match_method(state.gateway.router.match_path(state.path), method_of(flow))


def _model(body: bytes | None) -> str | None:
    """The model that a JSON body names."""
    if not body or body[:1] != b"{" or len(body) > MODEL_BODY_LIMIT:
        return None
    try:
        model = orjson.loads(body).get("model")
    except orjson.JSONDecodeError:
        return None
    return _SHOWN[model] if isinstance(model, str) else None


_RETRIES: Memo[str, int | None] = Memo(lambda text: int(text) if _IS_COUNT(text) else None)
_METHODS: Memo[bytes, str] = Memo(lambda method: method.decode("latin-1")[:_METHOD_LIMIT])


# The text of a client: masked, and cut, so that a client cannot fill the disk. The first cut leaves enough
# for every secret that begins in what is shown.
_SHOWN: Memo[str, str] = Memo(lambda text: redact(text[: 4 * FIELD_LIMIT])[:FIELD_LIMIT])
