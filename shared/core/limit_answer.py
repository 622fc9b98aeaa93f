"""What a client is told about its limits: headers on every answer, and the body of a 429."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from shared.core.durations import format_duration
from shared.core.limits import NEVER, Decision, Limit, LimitState

#: The families of headers: the IETF draft (draft-ietf-httpapi-ratelimit-headers), OpenAI's, the older ones.
FAMILIES = ("ietf", "openai", "legacy")

# SDKs sleep as long as they are told. Above this many milliseconds they are told not to.
_LONG_WAIT_MS = 60_000


def rate_headers(decision: Decision, families: Collection[str]) -> dict[str, str]:
    """The state of all limits, the tightest first.

    A limit with less left than one more request costs is said to have nothing left.
    """
    states = sorted(decision.states, key=_tightness)
    if not states:
        return {}
    headers: dict[str, str] = {}
    if "ietf" in families:
        headers |= _ietf(states, decision.allowed)
    if "openai" in families:
        headers |= _openai(states[0])
    if "legacy" in families:
        headers |= _legacy(states[0])
    return headers


def retry_headers(retry_after_ms: int) -> dict[str, str]:
    """When a refused client should come back."""
    if retry_after_ms == NEVER:
        return {"x-should-retry": "false"}
    headers = {"Retry-After": str(max(_seconds(retry_after_ms), 1)), "retry-after-ms": str(retry_after_ms)}
    if retry_after_ms > _LONG_WAIT_MS:
        headers["x-should-retry"] = "false"
    return headers


def refusal_message(violated: Limit, retry_after_ms: int) -> str:
    """The sentence of a 429."""
    quota = f"{violated.quota.limit} requests per {violated.window}"
    reached = f"Rate limit reached for {violated.scope} limit '{violated.name}': {quota}."
    if retry_after_ms == NEVER:
        return f"{reached} This request can never be admitted."
    return f"{reached} Try again in {_wait(retry_after_ms)}."


def refusal_details(decision: Decision, violated: Limit, retry_after_ms: int) -> Mapping[str, object]:
    """The violated limit, as data beside the error. `retry_after_ms` is null when no wait helps."""
    state = next(state for state in decision.states if state.limit is violated)
    return {
        "scope": violated.scope,
        "name": violated.name,
        "limit": violated.quota.limit,
        "window": violated.window,
        "unit": "requests",
        "remaining": _left(state),
        "retry_after_ms": None if retry_after_ms == NEVER else retry_after_ms,
    }


def _tightness(state: LimitState) -> tuple[int, float]:
    """Sorts what has least left first, and of those the one that takes longest."""
    wait = float("inf") if state.reset_after_ms == NEVER else state.reset_after_ms
    return _left(state), -wait


def _left(state: LimitState) -> int:
    return state.remaining if state.has_room else 0


def _ietf(states: Sequence[LimitState], allowed: bool) -> dict[str, str]:
    counts = Counter((state.limit.scope, state.limit.name) for state in states)
    policies, limits = [], []
    for state in states:
        limit = state.limit
        name = f"{'gw' if limit.scope == 'gateway' else limit.scope}-{limit.name}"
        if counts[limit.scope, limit.name] > 1:
            name += f"-{limit.window}"
        policies.append(f'"{name}";q={limit.quota.limit};w={_seconds(limit.quota.window_ms)}')
        # A refused client waits for the spent limits only, so nothing is said to take longer than that.
        told = state.reset_after_ms != NEVER and (allowed or not state.has_room)
        reset = f";t={_seconds(state.reset_after_ms)}" if told else ""
        limits.append(f'"{name}";r={_left(state)}{reset}')
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(limits)}


def _openai(state: LimitState) -> dict[str, str]:
    headers = {
        "x-ratelimit-limit-requests": str(state.limit.quota.limit),
        "x-ratelimit-remaining-requests": str(_left(state)),
    }
    if state.reset_after_ms != NEVER:
        headers["x-ratelimit-reset-requests"] = _wait(state.reset_after_ms)
    return headers


def _legacy(state: LimitState) -> dict[str, str]:
    headers = {
        "X-RateLimit-Limit": str(state.limit.quota.limit),
        "X-RateLimit-Remaining": str(_left(state)),
    }
    if state.reset_after_ms != NEVER:
        headers["X-RateLimit-Reset"] = str(_seconds(state.reset_after_ms))
    return headers


def _seconds(milliseconds: int) -> int:
    """Whole seconds, rounded up: who waits so long waits long enough."""
    return -(-milliseconds // 1000)


def _wait(milliseconds: int) -> str:
    """Tenths of a second up to a minute, then whole seconds; rounded up."""
    tenths = -(-milliseconds // 100)
    return f"{tenths / 10:g}s" if tenths <= 600 else format_duration(_seconds(milliseconds) * 1000)
