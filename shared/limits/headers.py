"""What a client is told about its limits: headers on every answer, and the body of a 429."""

from collections.abc import Collection, Mapping, Sequence

from shared.core.durations import format_duration
from shared.core.empty import EMPTY
from shared.limits.values import CONCURRENT, LOCAL, NEVER, OPEN, WINDOW, Decision, Limit, LimitState, label_of
from shared.providers.headers import (
    OPENAI_LIMIT,
    OPENAI_REMAINING,
    OPENAI_RESET,
    RETRY_AFTER_MS,
    SHOULD_RETRY,
)

#: The families of headers: the IETF draft (draft-ietf-httpapi-ratelimit-headers), OpenAI's, the older ones.
FAMILIES = ("ietf", "openai", "legacy")

# SDKs sleep as long as they are told. Above this many milliseconds they are told not to.
_LONG_WAIT_MS = 60_000


def rate_headers(decision: Decision, families: Collection[str]) -> dict[str, str]:
    """The state of all limits, the tightest first.

    A limit with less left than one more request costs is said to have nothing left. Places of concurrent
    limits stand in the IETF's headers only: the others have no unit, and their readers think in time.
    """
    told = [(_left(state), state) for state in decision.states]
    if len(told) > 1:
        told.sort(key=_tightness)
    headers: dict[str, str] = {}
    if told and "ietf" in families:
        _add_ietf(headers, told, decision.allowed)
    for left, state in told:
        if state.limit.kind == WINDOW:
            if "openai" in families:
                _add_openai(headers, left, state)
            if "legacy" in families:
                _add_legacy(headers, left, state)
            break
    return headers


def mode_header(decision: Decision) -> Mapping[str, str]:
    """How the decision was made, when the store did not answer: ``local`` counts, or none (``open``)."""
    if not decision.degraded:
        return EMPTY
    is_open = all(state.limit.on_error == OPEN for state in decision.states)
    return {"X-Gateway-RateLimit-Mode": OPEN if is_open else LOCAL}


def retry_headers(retry_after_ms: int) -> dict[str, str]:
    """When a refused client should come back."""
    if retry_after_ms == NEVER:
        return {SHOULD_RETRY: "false"}
    headers = {"Retry-After": str(max(_seconds(retry_after_ms), 1)), RETRY_AFTER_MS: str(retry_after_ms)}
    if retry_after_ms > _LONG_WAIT_MS:
        headers[SHOULD_RETRY] = "false"
    return headers


def refusal_code(violated: Limit) -> str:
    """The error code of a 429."""
    return "too_many_concurrent_requests" if violated.kind == CONCURRENT else "rate_limit_exceeded"


def refusal_message(violated: Limit, retry_after_ms: int) -> str:
    """The sentence of a 429."""
    number, what = violated.quota.limit, f"{violated.scope} limit '{violated.name}'"
    if violated.kind == CONCURRENT:
        reached = f"Too many requests at a time for {what}: {number} at a time."
    else:
        reached = f"Rate limit reached for {what}: {number} requests per {violated.window}."
    if retry_after_ms == NEVER:
        costly = f"It counts as {violated.cost} requests, so it" if violated.cost > 1 else "This request"
        return f"{reached} {costly} can never be admitted."
    return f"{reached} Try again in {_wait(retry_after_ms)}."


def refusal_details(decision: Decision, violated: Limit, retry_after_ms: int) -> Mapping[str, object]:
    """The violated limit, as data beside the error.

    `retry_after_ms` is null when no wait helps, `window` when the limit is on requests at a time.
    """
    state = next(state for state in decision.states if state.limit is violated)
    return {
        "scope": violated.scope,
        "name": violated.name,
        "limit": violated.quota.limit,
        "window": violated.window or None,
        "unit": "concurrent" if violated.kind == CONCURRENT else "requests",
        "remaining": _left(state),
        "retry_after_ms": None if retry_after_ms == NEVER else retry_after_ms,
    }


def _tightness(told: tuple[int, LimitState]) -> tuple[int, float]:
    """Sorts what has least left first, and of those the one that takes longest."""
    left, (_, _, wait) = told
    return left, -wait if wait != NEVER else float("-inf")


def _left(state: LimitState) -> int:
    return state.remaining if state.has_room else 0


def _add_ietf(headers: dict[str, str], told: Sequence[tuple[int, LimitState]], allowed: bool) -> None:
    policies, limits = [], []
    for left, (limit, remaining, wait) in told:
        label = limit.label or label_of(limit.scope, limit.name)
        policies.append(f'"{label}";q={limit.quota.limit};{_span(limit)}')
        # A refused client waits for the spent limits only, so nothing is said to take longer than that.
        timed = limit.kind == WINDOW and wait != NEVER
        told_time = timed and (allowed or remaining < limit.units)
        limits.append(f'"{label}";r={left};t={_seconds(wait)}' if told_time else f'"{label}";r={left}')
    headers["RateLimit-Policy"] = ", ".join(policies)
    headers["RateLimit"] = ", ".join(limits)


def _span(limit: Limit) -> str:
    """What the quota of a policy is of: so many in a window, or at a time."""
    return 'qu="concurrent-requests"' if limit.kind == CONCURRENT else f"w={_seconds(limit.quota.window_ms)}"


def _add_openai(headers: dict[str, str], left: int, state: LimitState) -> None:
    headers[OPENAI_LIMIT] = str(state.limit.quota.limit)
    headers[OPENAI_REMAINING] = str(left)
    if state.reset_after_ms != NEVER:
        headers[OPENAI_RESET] = _wait(state.reset_after_ms)


def _add_legacy(headers: dict[str, str], left: int, state: LimitState) -> None:
    headers["X-RateLimit-Limit"] = str(state.limit.quota.limit)
    headers["X-RateLimit-Remaining"] = str(left)
    if state.reset_after_ms != NEVER:
        headers["X-RateLimit-Reset"] = str(_seconds(state.reset_after_ms))


def _seconds(milliseconds: int) -> int:
    """Whole seconds, rounded up: who waits so long waits long enough."""
    return -(-milliseconds // 1000)


def _wait(milliseconds: int) -> str:
    """Tenths of a second up to a minute, then whole seconds; rounded up."""
    tenths = -(-milliseconds // 100)
    return f"{tenths / 10:g}s" if tenths <= 600 else format_duration(_seconds(milliseconds) * 1000)
