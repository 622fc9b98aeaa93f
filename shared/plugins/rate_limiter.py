"""Limits how many requests pass in a time."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self, cast

from marshmallow import fields, validate

from shared.core.errors import Invalid, Problem
from shared.core.limit_answer import (
    FAMILIES,
    rate_headers,
    refusal_details,
    refusal_message,
    retry_headers,
)
from shared.core.limit_settings import (
    MAX_LIMIT,
    ActionsSchema,
    LevelSchema,
    LimitsSchema,
    Named,
    limit_field,
    refuse_later,
    window_field,
)
from shared.core.limit_template import LimitTemplate, limit_template, merged
from shared.core.limits import NEVER, Decision, Quota
from shared.core.model import EMPTY
from shared.core.plugin import Continue, Entry, Exchange, Plugin, Reject, Tools, Verdict, setting
from shared.core.ports import Limiter


class RateLimiter(Plugin):
    """Answers 429 to requests above a limit, and tells every client how much is left.

    On a tenant the limits hold for all its rules together (gateway level), on a rule for that rule (rule
    level). `gateway` and `rule` name the level themselves, wherever they stand. All rate limiters of a
    request are checked in one step; a refused request costs nothing.

    >>> settings = {"limits": {"global": {"limit": 100, "window": "1m"}, "per_ip": {"limit": 5, "window": 1}}}
    >>> RateLimiter.parse(settings).limits
    (('global', Quota(limit=100, window_ms=60000)), ('per_ip', Quota(limit=5, window_ms=1000)))
    """

    reads = frozenset({"headers"})
    combined = True

    limit: int | None = setting(
        limit_field(load_default=None), "How many requests in a window; short for limits.global. 0 blocks."
    )
    window: int | None = setting(
        window_field(load_default=None), "Length of that window: 500ms, 10s, 1h30m, 1d, or seconds."
    )
    limits: Sequence[Named] | None = setting(
        fields.Nested(LimitsSchema, load_default=None),
        "Quotas of the level at which this entry stands, by what they count.",
    )
    gateway: Sequence[Named] | None = setting(
        fields.Nested(LevelSchema, load_default=None),
        "Limits that all rules of the tenant share. On a rule they hold for its requests only.",
    )
    rule: Sequence[Named] | None = setting(
        fields.Nested(LevelSchema, load_default=None),
        "Limits of the rule that a request matched. On a tenant they hold for each of its rules.",
    )
    actions: Mapping[str, Any] = setting(
        fields.Nested(ActionsSchema, load_default=lambda: ActionsSchema().load({})),
        "What happens to a request above a limit.",
    )
    cost: int = setting(
        fields.Integer(strict=True, load_default=1, validate=validate.Range(1, MAX_LIMIT)),
        "How many requests each request counts as.",
    )
    headers: Sequence[str] | None = setting(
        fields.List(fields.String(validate=validate.OneOf(FAMILIES)), load_default=None),
        "Which families of headers to send. Default: all.",
    )
    match: None = setting(
        fields.Raw(load_default=None, validate=refuse_later), "Which requests count. Not available yet."
    )
    precision: None = setting(
        fields.Raw(load_default=None, validate=refuse_later), "How exactly to count. Not available yet."
    )

    _limiter: Limiter
    _templates: Sequence[LimitTemplate]
    _families: Sequence[str]

    def prepare(self) -> None:
        """Refuse half a quota, and settings without any limit."""
        for name, other in (("limit", "window"), ("window", "limit")):
            if getattr(self, name) is None and getattr(self, other) is not None:
                raise Invalid([Problem(f"/{name}", f"Required together with {other}.")])
        forms = (self.limit, self.limits, self.gateway, self.rule)
        if all(form is None for form in forms):
            raise Invalid([Problem("/limit", "Required, with window; or else limits, gateway or rule.")])

    @classmethod
    def combine(cls, entries: Sequence[Entry]) -> Self:
        """One limiter for all `entries`, which are rate limiters."""
        limiters = [(entry, cast(RateLimiter, entry.plugin)) for entry in entries]
        together = cls()
        together._templates = merged(t for entry, each in limiters for t in each._at(entry))
        chosen = [family for _, each in limiters for family in each.headers or ()]
        silent = all(each.headers is None for _, each in limiters)
        together._families = FAMILIES if silent else chosen
        return together

    def connect(self, tools: Tools) -> None:
        self._limiter = tools.limiter

    async def pre_request(self, exchange: Exchange) -> Verdict:
        """Charge the request to all limits, or refuse it."""
        if not self._templates:
            return Continue()
        decision = await self._limiter.acquire([template.limit(exchange) for template in self._templates])
        notes = {"headers": rate_headers(decision, self._families)}
        if decision.violated is None:
            return Continue(notes)
        wait_ms = self._wait_ms(decision)
        return Reject(
            429,
            "rate_limit_exceeded",
            refusal_message(decision.violated, wait_ms),
            retry_headers(wait_ms),
            {"rate_limit": refusal_details(decision, decision.violated, wait_ms)},
            notes,
        )

    def answer_headers(self, exchange: Exchange) -> Mapping[str, str]:
        """The state of the limits, on admitted and refused requests alike."""
        headers = exchange.notes.get("headers")
        return headers if isinstance(headers, Mapping) else EMPTY

    def _wait_ms(self, decision: Decision) -> int:
        """The computed wait, or the longest that the settings of a spent limit ask for."""
        if decision.retry_after_ms == NEVER:
            return NEVER
        pairs = zip(self._templates, decision.states, strict=True)
        floors = [template.floor_ms for template, state in pairs if not state.has_room]
        return max(decision.retry_after_ms, *floors)

    def _at(self, entry: Entry) -> Iterator[LimitTemplate]:
        """The limits of this entry, each at its level."""
        own = list(self.limits or ())
        if self.limit is not None and self.window is not None:
            own.append(("global", Quota(self.limit, self.window)))
        at_rule, at_gateway = list(self.rule or ()), list(self.gateway or ())
        (at_rule if entry.origin == "rule" else at_gateway).extend(own)
        floor_ms = self.actions["retry_after"]
        for level, rule_id in ((at_rule, entry.rule_id), (at_gateway, None)):
            for dimension, quota in level:
                yield limit_template(entry.tenant_id, rule_id, dimension, quota, self.cost, floor_ms)
