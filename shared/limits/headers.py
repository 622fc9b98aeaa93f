"""Limits as clients see them: headers on every response, and the body of a 429."""

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Any, Final, NamedTuple

from shared.core.durations import format_duration
from shared.core.http_tokens import Field, Fields
from shared.core.memo import BoundedDict
from shared.limits.values import (
    CONCURRENT,
    LOCAL,
    NEVER,
    OPEN,
    WINDOW,
    Decision,
    Limit,
    LimitState,
    label_of,
)
from shared.model.amounts import amount_text, format_amount
from shared.model.budgets import INPUT_TOKENS, METERED, OUTPUT_TOKENS, REQUESTS, TOKENS, USD
from shared.model.messages import SetHeaders
from shared.providers.headers import (
    OPENAI_LIMIT,
    OPENAI_LIMIT_TOKENS,
    OPENAI_REMAINING,
    OPENAI_REMAINING_TOKENS,
    OPENAI_RESET,
    OPENAI_RESET_TOKENS,
    RETRY_AFTER_MS,
    SHOULD_RETRY,
)

#: The families of headers: the IETF draft (draft-ietf-httpapi-ratelimit-headers), OpenAI's, the older X-.
FAMILIES = ("ietf", "openai", "legacy")

# SDKs wait as long as Retry-After asks. Above this many milliseconds x-should-retry stops them.
_LONG_WAIT_MS = 60_000


def mode_header(decision: Decision) -> Fields:
    """The header about counts without Redis: in this process (``local``), or not at all (``open``)."""
    if not decision.degraded:
        return ()
    is_open = all(state.limit.on_error == OPEN for state in decision.states)
    return ((b"X-Gateway-RateLimit-Mode", (OPEN if is_open else LOCAL).encode()),)


def retry_headers(retry_after_ms: int) -> dict[str, str]:
    """The headers that ask a rejected client to wait."""
    if retry_after_ms == NEVER:
        return {SHOULD_RETRY: "false"}
    headers = {"Retry-After": str(max(_seconds(retry_after_ms), 1)), RETRY_AFTER_MS: str(retry_after_ms)}
    if retry_after_ms > _LONG_WAIT_MS:
        headers[SHOULD_RETRY] = "false"
    return headers


def rejection_code(violated: Limit) -> str:
    """The error code of a 429."""
    return "too_many_concurrent_requests" if violated.kind == CONCURRENT else "rate_limit_exceeded"


def rejection_message(violated: Limit, retry_after_ms: int) -> str:
    """The error message of a 429."""
    number, what = violated.quota.limit, f"{violated.scope} limit '{violated.name}'"
    unit, is_metered = violated.unit, violated.unit in METERED
    if violated.kind == CONCURRENT:
        reached = f"Too many concurrent requests for {what}: {number} at a time."
    elif is_metered:
        reached = f"Rate limit reached for {what}: {amount_text(unit, number)} per {violated.window}."
    else:
        reached = f"Rate limit reached for {what}: {number} requests per {violated.window}."
    if retry_after_ms == NEVER and is_metered:
        return (
            f"{reached} A request of about {amount_text(unit, violated.cost)} can never be admitted: "
            "shorten it, or lower the tokens that it asks for."
        )
    if retry_after_ms == NEVER:
        subject = f"A cost of {violated.cost}" if violated.cost > 1 else "This request"
        return f"{reached} {subject} can never be admitted."
    return f"{reached} Try again in {_wait_text(retry_after_ms)}."


def unpriced_message(model: str) -> str:
    """The error message of a model that a limit in USD cannot count."""
    return (
        f"The price of the model {model} is not known, so a limit in USD cannot count it. Add prices to the "
        "model of its provider, or ask for another model."
    )


def rejection_details(decision: Decision, violated: Limit, retry_after_ms: int) -> Mapping[str, object]:
    """The violated limit as a member of the error body.

    `retry_after_ms` is null when no wait helps, `window` is null for a concurrent limit. The cost is that of
    the request, where requests differ in it. Money is decimal text.
    """
    state = next(state for state in decision.states if state.limit is violated)
    members: dict[str, Any] = {
        "scope": violated.scope,
        "name": violated.name,
        "limit": violated.quota.limit,
        "window": violated.window or None,
        "unit": violated.unit,
        "remaining": _left(state),
        "retry_after_ms": None if retry_after_ms == NEVER else retry_after_ms,
    }
    return with_amounts({**members, "cost": violated.cost}) if violated.unit in METERED else members


def state_members(state: LimitState) -> dict[str, Any]:
    """The limit and its state as members of a document. It is made for each record, so it makes few calls.

    `window` is null for a concurrent limit, and money is in nano-USD. `reset_after_ms` is the time until the
    limit has room: null for a concurrent one, and where no wait helps.
    """
    limit, remaining, wait = state
    return {
        "scope": limit.scope,
        "name": limit.name,
        "unit": limit.unit,
        "limit": limit.quota.limit,
        "window": limit.window or None,
        "cost": limit.units,
        "remaining": remaining,
        "reset_after_ms": wait if limit.kind == WINDOW and wait != NEVER else None,
    }


def with_amounts(members: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a limit as JSON shows them: money as decimal text."""
    return {
        name: format_amount(members["unit"], value) if name in _AMOUNTS and value is not None else value
        for name, value in members.items()
    }


_AMOUNTS: Final = frozenset({"limit", "cost", "used", "remaining", "before", "after"})


def _left(state: LimitState) -> int:
    return state.remaining if state.has_room or state.limit.unit in METERED else 0


class _Family(NamedTuple):
    """The names of three headers, and the place of the text of a wait in `_WAIT_TEXTS`."""

    limit: bytes
    remaining: bytes
    reset: bytes
    wait: int


class _FixedParts(NamedTuple):
    """The parts of the headers of a limit that do not depend on how much of it is left.

    Attributes:
        label: its name.
        policy: its quota.
        divisor: divides what is left: a header has no place for nano-USD, so money is in millionths.
        least: what one more request needs. With less left, 0 is left.
        is_timed: what is used of it is free again after a time.
        unit: ``requests`` or ``tokens``: of those with the same unit, the tightest has headers of its own.
        families: of each of those, the field of the limit, the names of the others, and the place of the text
            of a wait.
    """

    label: bytes
    policy: bytes
    divisor: int
    least: float
    is_timed: bool
    unit: str
    families: Sequence[tuple[Field, bytes, bytes, int]]


class RateHeaders:
    """The headers with the state of these limits, complete but for what is left of each.

    A limit with less left than one more request costs has 0 left, unless requests differ in what they cost.
    Concurrent limits and limits in money are in the headers of the IETF only: the others have no unit.
    """

    __slots__ = ("_has_ietf", "_parts", "_policies")

    def __init__(self, limits: Iterable[Limit], families: tuple[str, ...]) -> None:
        self._parts = [_fixed_parts(limit, families) for limit in limits]
        self._has_ietf = "ietf" in families
        self._policies: BoundedDict[tuple[int, ...], Field] = BoundedDict(_MAX_ORDERS)

    def of(self, decision: Decision) -> SetHeaders:
        """Return the headers of a decision about these limits, the tightest first.

        It is called for each request, so it makes few calls itself.
        """
        allowed, number = decision.allowed, 0
        rows: list[_Row] = []
        for parts, (limit, remaining, wait) in zip(self._parts, decision.states, strict=True):
            label, _, divisor, least, is_timed, _, _ = parts
            left = remaining if remaining >= least else 0
            texts = _WAIT_TEXTS[-(-wait // 100)]
            # A rejected client waits for the spent limits only, so only these have a time.
            if is_timed and wait != NEVER and (allowed or left < limit.cost):
                text = b"%b;r=%d;t=%b" % (label, left // divisor, texts[_WHOLE])
            else:
                text = b"%b;r=%d" % (label, left // divisor)
            rows += ((left, -wait if wait != NEVER else -inf, number, texts, text, parts),)
            number += 1
        if number > 1:
            rows.sort()  # the least left first, then the longest wait
        fields: list[Field] = []
        if number and self._has_ietf:
            order = tuple([row[2] for row in rows])
            fields += (
                self._policies.get(order) or self._policy(order),
                (_LIMITS, b", ".join([row[4] for row in rows])),
            )
        units: tuple[str, ...] = ()
        for left, negative, _, texts, _, parts in rows:
            if parts.is_timed and parts.unit not in units:
                units += (parts.unit,)
                rest = b"%d" % left
                for limit_field, remaining_name, reset_name, place in parts.families:
                    fields += limit_field, (remaining_name, rest)
                    if negative != -inf:
                        fields += ((reset_name, texts[place]),)
        return SetHeaders.of(tuple(fields))

    def _policy(self, order: tuple[int, ...]) -> Field:
        """The field with the quotas in this order of the limits."""
        field = b"RateLimit-Policy", b", ".join([self._parts[place].policy for place in order])
        return self._policies.keep(order, field)


# The rest of a limit, the negative of its wait, its place, the texts of the wait, its own, its fixed parts.
_Row = tuple[int, float, int, tuple[bytes, bytes], bytes, _FixedParts]

_LIMITS: Final = b"RateLimit"
# Orders of limits of which the quotas are kept. Most requests have one or two limits.
_MAX_ORDERS: Final = 32


def _fixed_parts(limit: Limit, families: tuple[str, ...]) -> _FixedParts:
    quota, unit = limit.quota, limit.unit
    least = -inf if unit in METERED else limit.units
    name = limit.label or label_of(limit.scope, limit.name)
    return _FIXED_PARTS[name, quota.limit, quota.window_ms, limit.kind, unit, least, families]


# The key of the texts of a limit: its name, number, window, kind, unit, the least, and the families.
_Key = tuple[str, int, int, str, str, float, tuple[str, ...]]


class _FixedPartsByLimit(BoundedDict[_Key, _FixedParts]):
    """The parts of the headers of limits, by all that they are made of. They do not change."""

    def __missing__(self, key: _Key) -> _FixedParts:
        name, number, window_ms, kind, unit, least, wanted = key
        label, is_timed = f'"{name}"', kind == WINDOW
        span = 'qu="concurrent-requests"' if kind == CONCURRENT else f"w={_seconds(window_ms)}"
        if is_timed and unit in METERED:
            span = f'qu="{_QUOTA_UNITS[unit]}";{span}'
        divisor = _NANO_PER_MICRO if unit == USD else 1
        policy = f"{label};q={number // divisor};{span}"
        counted = TOKENS if unit in _TOKENS else unit
        families = [
            ((names.limit, b"%d" % number), *names[1:])
            for (of, family), names in _FAMILIES.items()
            if is_timed and of == counted and family in wanted
        ]
        parts = _FixedParts(label.encode(), policy.encode(), divisor, least, is_timed, counted, families)
        return self.keep(key, parts)


# The draft knows requests, bytes and concurrent requests; other units are for a registry.
_QUOTA_UNITS: Final[Mapping[str, str]] = {
    TOKENS: "tokens",
    INPUT_TOKENS: "input-tokens",
    OUTPUT_TOKENS: "output-tokens",
    USD: "micro-usd",
}
_TOKENS: Final = frozenset({TOKENS, INPUT_TOKENS, OUTPUT_TOKENS})
_NANO_PER_MICRO: Final = 1_000


_FIXED_PARTS = _FixedPartsByLimit(4096)


def _seconds(milliseconds: int) -> int:
    """Whole seconds, rounded up, so that the wait is long enough."""
    return -(-milliseconds // 1000)


def _wait_text(milliseconds: int) -> str:
    """Tenths of a second up to a minute, then whole seconds; rounded up."""
    tenths = -(-milliseconds // 100)
    if tenths > 600:
        return format_duration(_seconds(milliseconds) * 1000)
    return f"{tenths // 10}.{tenths % 10}s" if tenths % 10 else f"{tenths // 10}s"


class _WaitTexts(BoundedDict[int, tuple[bytes, bytes]]):
    """The texts of a wait by its tenths of a second: in whole seconds, and as `_wait_text`."""

    def __missing__(self, tenths: int) -> tuple[bytes, bytes]:
        milliseconds = 100 * tenths
        return self.keep(tenths, (b"%d" % _seconds(milliseconds), _wait_text(milliseconds).encode()))


# Those of a minute are 600.
_WAIT_TEXTS: Final = _WaitTexts(4096)
_WHOLE, _SHORT = 0, 1


# By unit and family.
_FAMILIES: Final[Mapping[tuple[str, str], _Family]] = {
    (REQUESTS, "openai"): _Family(
        OPENAI_LIMIT.encode(), OPENAI_REMAINING.encode(), OPENAI_RESET.encode(), _SHORT
    ),
    (TOKENS, "openai"): _Family(
        OPENAI_LIMIT_TOKENS.encode(),
        OPENAI_REMAINING_TOKENS.encode(),
        OPENAI_RESET_TOKENS.encode(),
        _SHORT,
    ),
    (REQUESTS, "legacy"): _Family(
        b"X-RateLimit-Limit",
        b"X-RateLimit-Remaining",
        b"X-RateLimit-Reset",
        _WHOLE,
    ),
}
