"""Limits as clients see them: headers on every response, and the body of a 429."""

from collections.abc import Collection, Mapping, Sequence
from math import inf

from shared.core.durations import format_duration
from shared.core.empty import EMPTY
from shared.core.memo import BoundedDict
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
    rows = [
        (
            remaining if remaining >= (1 if limit.kind == CONCURRENT else limit.cost) else 0,
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
    for left, _, _, limit, wait in rows:
        if limit.kind == WINDOW:
            if "openai" in families:
                _add_openai(headers, left, limit, wait)
            if "legacy" in families:
                _add_legacy(headers, left, limit, wait)
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


def limit_members(limit: Limit) -> dict[str, object]:
    """The limit as members of a JSON document. `window` is null for a concurrent limit."""
    return {
        "scope": limit.scope,
        "name": limit.name,
        "unit": limit.unit,
        "limit": limit.quota.limit,
        "window": limit.window or None,
        "cost": limit.units,
    }


def reset_after_ms(state: LimitState) -> int | None:
    """The milliseconds until a limit has room; None for a concurrent one, and where no wait helps."""
    is_timed = state.limit.kind == WINDOW and state.reset_after_ms != NEVER
    return state.reset_after_ms if is_timed else None


def _left(state: LimitState) -> int:
    return state.remaining if state.has_room else 0


# What is left of a limit, the negative of its wait, its place, the limit, its wait.
_Row = tuple[int, float, int, Limit, int]


def _add_ietf(headers: dict[str, str], rows: Sequence[_Row], allowed: bool) -> None:
    # A rejected client waits for the spent limits only, so only these have a time.
    timed = [
        limit.kind == WINDOW and wait != NEVER and (allowed or not left) for left, _, _, limit, wait in rows
    ]
    texts = [
        _TEXTS[(limit.label, limit.scope, limit.name, limit.quota.limit, limit.quota.window_ms, limit.kind)]
        for _, _, _, limit, _ in rows
    ]
    headers["RateLimit-Policy"] = ", ".join([policy for _, policy in texts])
    headers["RateLimit"] = ", ".join(
        [
            f"{label};r={left};t={-(-wait // 1000)}" if is_timed else f"{label};r={left}"
            for (label, _), is_timed, (left, _, _, _, wait) in zip(texts, timed, rows, strict=True)
        ]
    )


class _Texts(BoundedDict[tuple[str, str, str, int, int, str], tuple[str, str]]):
    """The label and the policy of limits, by all that they are made of. They do not change."""

    def __missing__(self, key: tuple[str, str, str, int, int, str]) -> tuple[str, str]:
        label, scope, name, number, window_ms, kind = key
        label = f'"{label or label_of(scope, name)}"'
        span = 'qu="concurrent-requests"' if kind == CONCURRENT else f"w={_seconds(window_ms)}"
        return self.keep(key, (label, f"{label};q={number};{span}"))


_TEXTS = _Texts(4096)


def _add_openai(headers: dict[str, str], left: int, limit: Limit, wait: int) -> None:
    headers[OPENAI_LIMIT] = str(limit.quota.limit)
    headers[OPENAI_REMAINING] = str(left)
    if wait != NEVER:
        headers[OPENAI_RESET] = _wait(wait)


def _add_legacy(headers: dict[str, str], left: int, limit: Limit, wait: int) -> None:
    headers["X-RateLimit-Limit"] = str(limit.quota.limit)
    headers["X-RateLimit-Remaining"] = str(left)
    if wait != NEVER:
        headers["X-RateLimit-Reset"] = str(-(-wait // 1000))


def _seconds(milliseconds: int) -> int:
    """Whole seconds, rounded up, so that the wait is long enough."""
    return -(-milliseconds // 1000)


def _wait(milliseconds: int) -> str:
    """Tenths of a second up to a minute, then whole seconds; rounded up."""
    tenths = -(-milliseconds // 100)
    return f"{tenths / 10:g}s" if tenths <= 600 else format_duration(_seconds(milliseconds) * 1000)
