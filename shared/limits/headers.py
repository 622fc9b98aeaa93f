"""Limits as clients see them: headers on every response, and the body of a 429."""

from collections.abc import Callable, Collection, Mapping, Sequence
from math import inf
from typing import Any, Final, NamedTuple

from shared.core.durations import format_duration
from shared.core.empty import EMPTY
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


def rate_headers(decision: Decision, families: Collection[str]) -> dict[str, str]:
    """The headers with the state of all limits, the tightest first.

    A limit with less left than one more request costs has 0 left, unless requests differ in what they cost.
    Concurrent limits and limits in money are in the headers of the IETF only: the others have no unit.
    """
    rows = [
        (
            remaining
            if remaining >= (1 if limit.kind == CONCURRENT else limit.cost) or limit.unit in METERED
            else 0,
            -wait if wait != NEVER else -inf,
            at,
            limit,
            wait,
        )
        for at, (limit, remaining, wait) in enumerate(decision.states)
    ]
    if rows[1:]:
        rows.sort()  # the least left first, then the longest wait
    headers: dict[str, str] = {}
    if rows and "ietf" in families:
        _add_ietf(headers, rows, decision.allowed)
    has_requests = has_tokens = False
    for row in rows:
        limit = row[3]
        if limit.kind == WINDOW:
            if limit.unit == REQUESTS and not has_requests:
                has_requests = True
                if "openai" in families:
                    _add(headers, _OPENAI, row)
                if "legacy" in families:
                    _add(headers, _LEGACY, row)
            elif limit.unit in _TOKENS and not has_tokens and "openai" in families:
                has_tokens = True
                _add(headers, _OPENAI_TOKENS, row)
    return headers


def mode_header(decision: Decision) -> Mapping[str, str]:
    """The header about counts without Redis: in this process (``local``), or not at all (``open``)."""
    if not decision.degraded:
        return EMPTY
    is_open = all(state.limit.on_error == OPEN for state in decision.states)
    return {"X-Gateway-RateLimit-Mode": OPEN if is_open else LOCAL}


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
    return f"{reached} Try again in {_wait(retry_after_ms)}."


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


def limit_members(limit: Limit) -> dict[str, object]:
    """The limit as members of a document. `window` is null for a concurrent limit, money is nano-USD."""
    return {
        "scope": limit.scope,
        "name": limit.name,
        "unit": limit.unit,
        "limit": limit.quota.limit,
        "window": limit.window or None,
        "cost": limit.units,
    }


def with_amounts(members: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a limit as JSON shows them: money as decimal text."""
    return {
        name: format_amount(members["unit"], value) if name in _AMOUNTS and value is not None else value
        for name, value in members.items()
    }


_AMOUNTS: Final = frozenset({"limit", "cost", "used", "remaining", "before", "after"})


def reset_after_ms(state: LimitState) -> int | None:
    """The milliseconds until a limit has room; None for a concurrent one, and where no wait helps."""
    is_timed = state.limit.kind == WINDOW and state.reset_after_ms != NEVER
    return state.reset_after_ms if is_timed else None


def _left(state: LimitState) -> int:
    return state.remaining if state.has_room or state.limit.unit in METERED else 0


# The rest of a limit, the negative of its wait, its place, the limit, its wait.
_Row = tuple[int, float, int, Limit, int]


class _Family(NamedTuple):
    """The names of three headers, and the text of a wait in milliseconds."""

    limit: str
    remaining: str
    reset: str
    wait: Callable[[int], str]


def _add_ietf(headers: dict[str, str], rows: Sequence[_Row], allowed: bool) -> None:
    # A rejected client waits for the spent limits only, so only these have a time.
    timed = [
        limit.kind == WINDOW and wait != NEVER and (allowed or left < limit.cost)
        for left, _, _, limit, wait in rows
    ]
    texts = [
        _TEXTS[
            limit.label,
            limit.scope,
            limit.name,
            limit.quota.limit,
            limit.quota.window_ms,
            limit.kind,
            limit.unit,
        ]
        for _, _, _, limit, _ in rows
    ]
    headers["RateLimit-Policy"] = ", ".join([policy for _, policy, _ in texts])
    headers["RateLimit"] = ", ".join(
        [
            f"{label};r={left // divisor};t={-(-wait // 1000)}"
            if is_timed
            else f"{label};r={left // divisor}"
            for (label, _, divisor), is_timed, (left, _, _, _, wait) in zip(texts, timed, rows, strict=True)
        ]
    )


# What makes the texts of a limit: label, scope, name, number, window, kind, unit.
_Shown = tuple[str, str, str, int, int, str, str]


class _Texts(BoundedDict[_Shown, tuple[str, str, int]]):
    """The label and the policy of limits, by all that they are made of. They do not change.

    The last number divides what is left: a header has no place for nano-USD, so money is in millionths.
    """

    def __missing__(self, key: _Shown) -> tuple[str, str, int]:
        label, scope, name, number, window_ms, kind, unit = key
        label = f'"{label or label_of(scope, name)}"'
        span = 'qu="concurrent-requests"' if kind == CONCURRENT else f"w={_seconds(window_ms)}"
        if kind == WINDOW and unit in METERED:
            span = f'qu="{_QUOTA_UNITS[unit]}";{span}'
        divisor = _NANO_PER_MICRO if unit == USD else 1
        return self.keep(key, (label, f"{label};q={number // divisor};{span}", divisor))


# The draft knows requests, bytes and concurrent requests; other units are for a registry.
_QUOTA_UNITS: Final[Mapping[str, str]] = {
    TOKENS: "tokens",
    INPUT_TOKENS: "input-tokens",
    OUTPUT_TOKENS: "output-tokens",
    USD: "micro-usd",
}
_TOKENS: Final = frozenset({TOKENS, INPUT_TOKENS, OUTPUT_TOKENS})
_NANO_PER_MICRO: Final = 1_000


_TEXTS = _Texts(4096)


def _add(headers: dict[str, str], family: _Family, row: _Row) -> None:
    left, _, _, limit, wait = row
    headers[family.limit] = str(limit.quota.limit)
    headers[family.remaining] = str(left)
    if wait != NEVER:
        headers[family.reset] = family.wait(wait)


def _seconds(milliseconds: int) -> int:
    """Whole seconds, rounded up, so that the wait is long enough."""
    return -(-milliseconds // 1000)


def _wait(milliseconds: int) -> str:
    """Tenths of a second up to a minute, then whole seconds; rounded up."""
    tenths = -(-milliseconds // 100)
    return f"{tenths / 10:g}s" if tenths <= 600 else format_duration(_seconds(milliseconds) * 1000)


_OPENAI: Final = _Family(OPENAI_LIMIT, OPENAI_REMAINING, OPENAI_RESET, _wait)
_OPENAI_TOKENS: Final = _Family(OPENAI_LIMIT_TOKENS, OPENAI_REMAINING_TOKENS, OPENAI_RESET_TOKENS, _wait)
_LEGACY: Final = _Family(
    "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", lambda wait: str(_seconds(wait))
)
