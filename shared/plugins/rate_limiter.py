"""Limits requests, tokens and money per time window, and concurrent requests."""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, ClassVar, Self, cast

from marshmallow import ValidationError, fields, validate

from shared.bodies.body import model_of
from shared.bodies.json.parse import JsonBounds
from shared.budgets.admission import AGAIN, BudgetAdmission, Judged
from shared.budgets.reservation import Reservation
from shared.core.clock import Clock
from shared.core.empty import EMPTY
from shared.core.errors import STATUS, Invalid, Problem, Rejection
from shared.http.body_rejected import BodyRejected
from shared.limits.compiled import CompiledLimit, compile_limit, merged
from shared.limits.distinct_values import DistinctValueTracker
from shared.limits.headers import (
    FAMILIES,
    mode_header,
    rejection_code,
    rejection_details,
    rejection_message,
    retry_headers,
    unpriced_message,
)
from shared.limits.port import Limiter, LimitUnknown
from shared.limits.quotas import MAX_LIMIT, QuotaLimit, amount_in, unit_field, window_field
from shared.limits.resolve import (
    Charges,
    LimitResolver,
    PriceNotKnown,
    corrections,
    demanding,
    denied_header,
    longest_wait_ms,
    track_values,
)
from shared.limits.retry_queues import RetryQueues
from shared.limits.settings import ActionsSchema, LevelSchema, LimitsSchema, MatchSchema
from shared.limits.values import (
    CLOSED,
    CONCURRENT,
    EVERY,
    LOCAL,
    NEVER,
    OPEN,
    Decision,
    Limit,
    LimitMatch,
    LimitSpec,
    LimitState,
    Quota,
)
from shared.model.budgets import METERED, TOKENS
from shared.model.messages import SetHeaders
from shared.pipeline.plugin import (
    CONTINUE,
    BeginAdmission,
    Continue,
    Exchange,
    Plugin,
    Reject,
    ResolvedEntry,
    Tools,
    Verdict,
    setting,
)

# The largest body to read in place, in bytes: it takes about a millisecond. A larger one is read in a thread.
_READ_IN_PLACE = 16_384
# The same for the estimate of its tokens.
_ESTIMATED_IN_PLACE = 32_768

#: Made once: to make it takes longer than to use it.
_ACTIONS = ActionsSchema()


class RateLimiter(Plugin):
    """Reject requests above a limit with 429, and report what remains in headers.

    The limits of a tenant's entry apply to all its rules together (gateway level), those of a rule's entry
    to that rule (rule level). `gateway` and `rule` name the level explicitly. All rate limiters of a request
    are checked in one step. A rejected request costs nothing.

    >>> limits = {"global": {"limit": 100, "window": "1m"}, "streams": {"limit": 8, "per": ["key"]}}
    >>> plugin = RateLimiter.parse({"limits": limits, "match": {"methods": ["POST"]}})
    >>> [(limit.name, limit.quota.limit, limit.kind) for limit in plugin.limits]
    [('global', 100, 'window'), ('streams', 8, 'concurrent')]
    """

    default_on_error = LOCAL
    on_error_choices = (LOCAL, OPEN, CLOSED)
    reads = frozenset({"headers"})
    own_task = False
    reads_response = False
    merges_entries = True
    example: ClassVar[Mapping[str, Any]] = {
        "limits": {"global": {"limit": 100, "window": "1m"}, "streams": {"limit": 8, "per": ["key"]}}
    }

    limit: int | str | None = setting(
        QuotaLimit("", load_default=None),
        "The most requests in a window; short for limits.global. 0 blocks. Money is text, such as 2.50.",
    )
    window: int | None = setting(
        window_field(load_default=None), "Length of that window: 500ms, 10s, 1h30m, 1d, or seconds."
    )
    unit: str = setting(unit_field(""), "Unit of that limit. Only rules for AI have tokens and money (usd).")
    limits: Sequence[LimitSpec] | None = setting(
        fields.Nested(LimitsSchema, load_default=None),
        "Quotas at the level of this entry, by what they count.",
    )
    gateway: Sequence[LimitSpec] | None = setting(
        fields.Nested(LevelSchema, load_default=None),
        "Limits that all rules of the tenant share. On a rule they apply to its requests only.",
    )
    rule: Sequence[LimitSpec] | None = setting(
        fields.Nested(LevelSchema, load_default=None),
        "Limits of the matched rule. On a tenant they apply to each of its rules.",
    )
    actions: Mapping[str, Any] = setting(
        fields.Nested(ActionsSchema, load_default=lambda: _ACTIONS.load({})),
        "The action for a request above a limit.",
    )
    cost: int = setting(
        fields.Integer(strict=True, load_default=1, validate=validate.Range(1, MAX_LIMIT)),
        "How many requests each request counts as. In a concurrent limit it always counts as one, and in "
        "limits of tokens and money as what it uses.",
    )
    headers: Sequence[str] | None = setting(
        fields.List(fields.String(validate=validate.OneOf(FAMILIES)), load_default=None),
        "The families of headers to send. Default: all.",
    )
    match: LimitMatch = setting(
        fields.Nested(MatchSchema, load_default=lambda: EVERY),
        "The requests that the limits of this entry count. Default: all.",
    )

    compiled_limits: Sequence[CompiledLimit]
    _resolver: LimitResolver
    _fixed: Charges | None
    _demanding: Sequence[CompiledLimit]
    _has_chosen: bool
    _has_slots: bool
    _begin_admission: BeginAdmission | None = None
    _time: Callable[[], float]
    _is_metered: bool
    _limiter: Limiter
    _clock: Clock
    _distinct_values: DistinctValueTracker
    _retry_queues: RetryQueues
    _bounds: JsonBounds
    _leases: Iterator[str]

    def prepare(self) -> None:
        """Reject half a quota, and settings without any limit."""
        for name, other in (("limit", "window"), ("window", "limit")):
            if getattr(self, name) is None and getattr(self, other) is not None:
                raise Invalid([Problem(f"/{name}", f"Required together with {other}.")])
        forms = (self.limit, self.limits, self.gateway, self.rule)
        if all(form is None for form in forms):
            raise Invalid([Problem("/limit", "Required, with window; or else limits, gateway or rule.")])
        if self.limit is not None:
            try:
                self.limit = amount_in(self.unit, self.limit)
            except ValidationError as error:
                raise Invalid([Problem("/limit", str(error.messages[0]))]) from None
        self._read_body_for((*(self.limits or ()), *(self.gateway or ()), *(self.rule or ())))
        if self.unit in METERED:
            self.reads = frozenset({"headers", "body"})

    @staticmethod
    def limits_of(entries: Iterable[ResolvedEntry]) -> tuple[CompiledLimit, ...]:
        """The limits of all `entries`."""
        return merged(
            limit for entry in _own(entries) for limit in cast(RateLimiter, entry.plugin)._at(entry)
        )

    @classmethod
    def merge(cls, entries: Sequence[ResolvedEntry]) -> Self:
        """One rate limiter for all `entries`."""
        compiled = cls.limits_of(entries)
        if not all(entry.serves_models for entry in entries):
            compiled = tuple(limit for limit in compiled if not limit.spec.is_metered)
        specs = [limit.spec for limit in compiled]
        together = cls()
        together.compiled_limits = compiled
        together._read_body_for(specs)
        given = [cast(RateLimiter, entry.plugin).headers for entry in _own(entries)]
        chosen = [name for some in given if some is not None for name in some]
        families = FAMILIES if all(some is None for some in given) else tuple(sorted({*chosen}))
        begins = [begin for entry in entries if (begin := entry.begin_admission) is not None]
        together._resolver = LimitResolver(compiled, families)
        together._fixed = together._resolver.fixed if compiled and not begins else None
        together._demanding = demanding(compiled)
        together._has_chosen = any(spec.is_client_chosen for spec in specs)
        together._is_metered = any(spec.is_metered for spec in specs)
        together._has_slots = any(spec.kind == CONCURRENT for spec in specs)
        if begins:
            together._begin_admission = begins[0]
            together.reads = frozenset({"headers", "body"})
        together.adds_headers = bool(compiled)
        together.has_cleanup = together._has_slots or together._is_metered or bool(begins)
        return together

    def start(self, tools: Tools) -> None:
        self._limiter, self._clock = tools.limiter, tools.clock
        self._retry_queues, self._time = tools.retry_queues, tools.redis_time or tools.clock.now
        self._distinct_values, self._bounds = tools.distinct_values, JsonBounds(parts=tools.json_parts)
        # A lease must be unique; the client may choose the id of an exchange.
        name = secrets.token_hex(8)
        self._leases = (f"{name}:{number}" for number in count())

    async def pre_request(self, exchange: Exchange) -> Verdict:
        """Charge the request to all limits, or reject it."""
        try:
            if self._fixed is not None:  # windows, which have nothing to release
                return self._verdict(await self._limiter.acquire(self._fixed.limits), self._fixed)
            if self._demanding and (missing := denied_header(self._demanding, exchange)):
                message = f"The header {missing} is required, because a limit counts by it. Send it."
                return Reject(STATUS["missing_required_header"], "missing_required_header", message)
            models = exchange.models or (await self._model(exchange) if "body" in self.reads else "",)
            lease = next(self._leases) if self._has_slots else ""
            if self._is_metered or self._begin_admission is not None:
                await _estimate(exchange)
            if self._begin_admission is not None:
                budgets = self._begin_admission(exchange, os.urandom(16).hex(), self._time())
                if budgets is not None:
                    return await self._budgeted(exchange, models, lease, budgets)
            charged = self._charges(exchange, models, lease)
            if isinstance(charged, Reject):
                return charged
            return self._verdict(await self._acquire(charged.limits), charged) if charged.each else CONTINUE
        except BodyRejected as error:
            return Reject(STATUS[error.code], error.code, str(error))
        except LimitUnknown as error:
            return _rejected(error.rejection)

    async def _budgeted(
        self, exchange: Exchange, models: Sequence[str], lease: str, budgets: BudgetAdmission
    ) -> Verdict:
        """Charge the request to all limits and its budgets, or reject it."""
        if (rejection := budgets.prepare()) is not None:
            return _rejected(rejection)
        while True:
            charged = self._charges(exchange, models, lease)
            if isinstance(charged, Reject):
                return charged
            limits = [*charged.limits, *[hold.limit for hold in budgets.holds]]
            decision = await self._acquire(limits) if limits else Decision(True, ())
            if (found := budgets.judge(decision)) is not AGAIN:
                return self._with_budgets(decision, charged, budgets, found) if limits else CONTINUE
            exchange = budgets.changed(exchange)
            models = exchange.models

    def _charges(self, exchange: Exchange, models: Sequence[str], lease: str) -> Charges | Reject:
        """The charges of the request, or the rejection of one whose price is not known."""
        try:
            return self._resolver.of(exchange, models, lease, self._has_counter)
        except PriceNotKnown:
            return Reject(STATUS["unpriced_model"], "unpriced_model", unpriced_message(models[-1]))

    async def _acquire(self, limits: Sequence[Limit]) -> Decision:
        try:
            return await self._limiter.acquire(limits)
        except asyncio.CancelledError:
            # It is unknown whether the leases were acquired before the timeout, so they are given back.
            await self._limiter.release(limits)
            raise

    def _with_budgets(
        self, decision: Decision, charged: Charges, budgets: BudgetAdmission, found: Judged
    ) -> Verdict:
        """The verdict that follows from a decision of the limiter, and from that of the budgets."""
        if isinstance(found, Reservation) and not charged.each:
            return Continue({**_noted((), decision), "budgets": found.states, "held": found.limits})
        # `_replace` would take three times as long.
        own = Decision(decision[0], decision.states[: len(charged.each)], *decision[2:])
        if isinstance(found, Rejection):
            notes = {**_noted(own.states, own), "budgets": budgets.states(decision)}
            return _rejected(found, {"headers": charged.headers.of(own), **notes})
        verdict = self._verdict(own, charged)
        if isinstance(verdict, Reject) or found is None:
            return replace(verdict, notes={**verdict.notes, "budgets": budgets.states(decision)})
        return Continue({**verdict.notes, "budgets": found.states, "held": found.limits})

    def response_headers(self, exchange: Exchange) -> SetHeaders | Mapping[str, str]:
        """The state of the limits, for admitted and rejected requests."""
        headers = exchange.notes.get("headers")
        return headers if isinstance(headers, SetHeaders) else EMPTY

    def cleanup(self, exchange: Exchange) -> Awaitable[None] | None:
        """Release the slots of the exchange, and correct what was charged by what it used."""
        notes: Mapping[str, Any] = exchange.notes
        if "held" in notes:
            self._limiter.end(notes["held"])
        return self._give_back(exchange) if notes.get("slots") or "charged" in notes else None

    async def _give_back(self, exchange: Exchange) -> None:
        slots = exchange.notes.get("slots")
        if slots:
            await self._limiter.release(cast(Sequence[Limit], slots))
        if "charged" in exchange.notes:
            decision = cast(Decision, exchange.notes["charged"])
            limits, deltas = corrections(decision.states, exchange.metered)
            if limits:
                await self._limiter.correct(limits, decision, deltas)

    def _verdict(self, decision: Decision, charged: Charges) -> Continue | Reject:
        if decision.violated is not None:
            decision = self._retry_queues.spread(decision, round(self._clock.monotonic() * 1_000_000))
        elif self._retry_queues.queues:
            self._retry_queues.charge(charged.limits, round(self._clock.monotonic() * 1_000_000))
        if self._has_chosen and decision.violated is None:
            track_values(charged.each, self._distinct_values, self._clock.monotonic())
        headers = charged.headers.of(decision)
        if decision.degraded and charged.each:
            headers = SetHeaders.of((*headers.fields, *mode_header(decision)))
        if decision.violated is None:
            notes: dict[str, object] = {"headers": headers, "limits": decision.states}
            if self._has_slots:
                notes["slots"] = [one for one in charged.limits if one.kind == CONCURRENT]
            if self._is_metered:
                notes["charged"] = decision
            if decision.degraded:
                notes["degraded"] = True
            return Continue(notes)
        wait_ms = decision.retry_after_ms
        if wait_ms != NEVER:
            wait_ms = longest_wait_ms(decision, charged.each)
        return Reject(
            429,
            rejection_code(decision.violated),
            rejection_message(decision.violated, wait_ms),
            retry_headers(wait_ms),
            {"rate_limit": rejection_details(decision, decision.violated, wait_ms)},
            {"headers": headers, **_noted(decision.states, decision)},
        )

    async def _model(self, exchange: Exchange) -> str:
        request = exchange.request
        # An encoded body can be a hundred times longer when decoded.
        if len(request.body or b"") <= _READ_IN_PLACE and "content-encoding" not in request.headers:
            return model_of(request, self._bounds)
        return await asyncio.to_thread(model_of, request, self._bounds)

    def _has_counter(self, limit: str, value: str) -> bool:
        return self._distinct_values.has_counter(limit, value, self._clock.monotonic())

    def _read_body_for(self, specs: Sequence[LimitSpec]) -> None:
        if any("model" in spec.by or spec.is_metered for spec in specs):
            self.reads = frozenset({"headers", "body"})

    def _at(self, entry: ResolvedEntry) -> Iterator[CompiledLimit]:
        """The limits of this entry, each at its level."""
        own = list(self.limits or ())
        if self.limit is not None and self.window is not None:
            own.append(LimitSpec("global", Quota(int(self.limit), self.window), unit=self.unit))
        at_rule, at_gateway = list(self.rule or ()), list(self.gateway or ())
        (at_rule if entry.origin == "rule" else at_gateway).extend(own)
        for level, rule_id in ((at_rule, entry.rule_id), (at_gateway, None)):
            for spec in level:
                yield compile_limit(
                    entry.tenant_id,
                    rule_id,
                    spec,
                    cost=self.cost,
                    floor_ms=self.actions["retry_after"],
                    on_error=entry.on_error,
                    match=self.match,
                )


def _own(entries: Iterable[ResolvedEntry]) -> Iterator[ResolvedEntry]:
    """The entries that have settings: not the one that only asks budgets."""
    return (entry for entry in entries if entry.begin_admission is None)


async def _estimate(exchange: Exchange) -> None:
    """Let a thread estimate the use of a long request: it takes milliseconds, which others would wait."""
    request = exchange.request
    is_long = len(request.body or b"") > _ESTIMATED_IN_PLACE or "content-encoding" in request.headers
    if exchange.metered is not None and is_long:
        await asyncio.to_thread(exchange.metered.expected, TOKENS)


def _rejected(rejection: Rejection, notes: Mapping[str, object] = EMPTY) -> Reject:
    status, code, message = rejection.status, rejection.code, rejection.message
    return Reject(status, code, message, rejection.headers, rejection.details, notes)


def _noted(states: Sequence[LimitState], decision: Decision) -> Mapping[str, object]:
    """The notes of a decision for the log and the metrics."""
    return {"limits": states, **({"degraded": True} if decision.degraded else EMPTY)}
