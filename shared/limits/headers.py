"""Limits as clients see them: headers on every response, and the body of a 429."""

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

#: The families of headers: the IETF draft (draft-ietf-httpapi-ratelimit-headers), OpenAI's, the older X-.
FAMILIES = ("ietf", "openai", "legacy")

# SDKs wait as long as Retry-After asks. Above this many milliseconds x-should-retry stops them.
_LONG_WAIT_MS = 60_000


def rate_headers(decision: Decision, families: Collection[str]) -> dict[str, str]:
    """The headers with the state of all limits, the tightest first.

    A limit with less left than one more request costs has 0 left. Concurrent limits are in the headers of
    the IETF only: the other families have no unit.
    """
    states = [(_left(state), state) for state in decision.states]
    if len(states) > 1:
        states.sort(key=_tightness)
    headers: dict[str, str] = {}
    if states and "ietf" in families:
        _add_ietf(headers, states, decision.allowed)
    for left, state in states:
        if state.limit.kind == WINDOW:
            if "openai" in families:
                _add_openai(headers, left, state)
            if "legacy" in families:
                _add_legacy(headers, left, state)
            break
    return headers


def mode_header(decision: Decision) -> Mapping[str, str]:
    """How limits were counted while Redis did not respond: ``local``, or not at all (``open``)."""
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
    if violated.kind == CONCURRENT:
        reached = f"Too many concurrent requests for {what}: {number} at a time."
    else:
        reached = f"Rate limit reached for {what}: {number} requests per {violated.window}."
    if retry_after_ms == NEVER:
        subject = f"A cost of {violated.cost}" if violated.cost > 1 else "This request"
        return f"{reached} {subject} can never be admitted."
    return f"{reached} Try again in {_wait(retry_after_ms)}."


def rejection_details(decision: Decision, violated: Limit, retry_after_ms: int) -> Mapping[str, object]:
    """The violated limit as a member of the error body.

    `retry_after_ms` is null when no wait helps, `window` is null for a concurrent limit.
    """
    state = next(state for state in decision.states if state.limit is violated)
    return {
        "scope": violated.scope,
        "name": violated.name,
        "limit": violated.quota.limit,
        "window": violated.window or None,
        "unit": violated.unit,
        "remaining": _left(state),
        "retry_after_ms": None if retry_after_ms == NEVER else retry_after_ms,
    }


def _tightness(state: tuple[int, LimitState]) -> tuple[int, float]:
    """A key that sorts the limit with least left first, then the one with the longest wait."""
    left, (_, _, wait) = state
    return left, -wait if wait != NEVER else float("-inf")


def _left(state: LimitState) -> int:
    return state.remaining if state.has_room else 0


def _add_ietf(headers: dict[str, str], states: Sequence[tuple[int, LimitState]], allowed: bool) -> None:
    policies, limits = [], []
    for left, (limit, remaining, wait) in states:
        label = limit.label or label_of(limit.scope, limit.name)
        policies.append(f'"{label}";q={limit.quota.limit};{_span(limit)}')
        # A rejected client waits for the spent limits only, so only these have a time.
        timed = limit.kind == WINDOW and wait != NEVER and (allowed or remaining < limit.units)
        limits.append(f'"{label}";r={left};t={_seconds(wait)}' if timed else f'"{label}";r={left}')
    headers["RateLimit-Policy"] = ", ".join(policies)
    headers["RateLimit"] = ", ".join(limits)


def _span(limit: Limit) -> str:
    """The unit of a policy: the length of the window, or concurrent requests."""
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
    """Whole seconds, rounded up, so that the wait is long enough."""
    return -(-milliseconds // 1000)


def _wait(milliseconds: int) -> str:
    """Tenths of a second up to a minute, then whole seconds; rounded up."""
    tenths = -(-milliseconds // 100)
    return f"{tenths / 10:g}s" if tenths <= 600 else format_duration(_seconds(milliseconds) * 1000)
