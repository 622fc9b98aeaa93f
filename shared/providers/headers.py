"""Headers of the providers: the rate limits that they send, and the hints that their SDKs read.

API keys: OpenAI reads ``Authorization``, Anthropic ``X-Api-Key`` (see `shared.core.http_tokens.KEY_HEADERS`).

How long an upstream wants to be left alone (`wait_of`):

| header | value |
|---|---|
| ``retry-after-ms`` | milliseconds |
| ``Retry-After`` | seconds, or a date (RFC 9110, 10.2.3) |
| ``anthropic-ratelimit-*-reset`` | a time (RFC 3339) |
| ``x-ratelimit-reset-*``, ``x-ratelimit-reset`` | a duration such as ``6m0s``, ``20ms`` or ``1.5``; a time |
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from shared.core.durations import UNITS
from shared.core.memo import Memo
from shared.http.forwarding import is_private
from shared.model.messages import Headers

#: What OpenAI calls the state of a limit on requests.
OPENAI_LIMIT = "x-ratelimit-limit-requests"
OPENAI_REMAINING = "x-ratelimit-remaining-requests"
OPENAI_RESET = "x-ratelimit-reset-requests"
#: Hints beside ``Retry-After``, for the SDKs of OpenAI and of Anthropic: ``false`` stops all retries.
SHOULD_RETRY = "x-should-retry"
RETRY_AFTER_MS = "retry-after-ms"

#: What happens to the rate limits of an upstream: by default the client does not get them, because they are
#: those of the operator's credential.
UPSTREAM_HEADERS = (DROP, PASS, PREFIX) = ("drop", "pass", "prefix")
#: No longer wait is believed, in seconds.
MAX_WAIT_SECONDS = 86_400.0

_LIMITS = re.compile(r"(?:x-|anthropic-)?rate-?limit(?:-|$)")
_PREFIX = b"X-Upstream-"
_RESET = re.compile(r"(?:x|anthropic)-ratelimit-(?:.+-)?reset(?:-.+)?")
_AMOUNT = r"[0-9]{1,15}(?:\.[0-9]{1,15})?"
_NUMBER = re.compile(_AMOUNT)
# As Go writes durations, also below a millisecond.
_DURATION = re.compile(rf"(?:{_AMOUNT}(?:ms|us|µs|ns|[wdhms]))+")
_PART = re.compile(rf"({_AMOUNT})(ms|us|µs|ns|[wdhms])")
_SECONDS = {**{unit: ms / 1000 for unit, ms in UNITS.items()}, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
# Larger numbers are seconds, or milliseconds, since the Unix epoch.
_FIRST_EPOCH, _FIRST_EPOCH_MS = 1e9, 1e12
# Headers with the upstream's id of a request: OpenAI's, Anthropic's, AWS's, Azure's.
_REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id", "x-ms-request-id")


def _is_limit(name: bytes) -> bool:
    return _LIMITS.match(name.decode("latin-1").lower()) is not None


_IS_LIMIT: Memo[bytes, bool] = Memo(_is_limit)
_PASSING: Memo[bytes, bool] = Memo(lambda name: is_private(name.decode("latin-1")))
#: By the choice for the rate limits: True for the name of a header that a client does not get.
HIDDEN: Mapping[str, Memo[bytes, bool]] = {
    DROP: Memo(lambda name: _PASSING[name] or _IS_LIMIT[name]),
    PASS: _PASSING,
    PREFIX: _PASSING,
}
#: True for a header with the upstream's id of a request.
IS_REQUEST_ID: Memo[bytes, bool] = Memo(lambda name: name.decode("latin-1").lower() in _REQUEST_IDS)


def with_prefix(headers: Headers) -> Headers:
    """The same head, with another name for each rate limit of the upstream."""
    return Headers.of(
        tuple([(_PREFIX + name if _IS_LIMIT[name] else name, value) for name, value in headers.fields])
    )


def wait_of(headers: Headers, now: float) -> float | None:
    """The longest wait that the headers name, in seconds; None when they name none.

    `now` is the time of day, in seconds since the Unix epoch. A time that has passed is a wait of 0.
    """
    found = [
        wait
        for name, values in headers.by_name().items()
        if name in _PARSERS or "ratelimit" in name
        for value in values
        if (wait := _wait(name, value.strip(), now)) is not None
    ]
    return min(max(found), MAX_WAIT_SECONDS) if found else None


def _wait(name: str, value: str, now: float) -> float | None:
    parse = _PARSERS.get(name) or (_reset if _RESET.fullmatch(name) else None)
    wait = parse(value, now) if parse is not None else None
    return None if wait is None else max(wait, 0.0)


def _milliseconds(value: str, now: float) -> float | None:
    return float(value) / 1000 if _NUMBER.fullmatch(value) else None


def _retry_after(value: str, now: float) -> float | None:
    if _NUMBER.fullmatch(value):
        return float(value)
    try:
        return _until(parsedate_to_datetime(value), now)
    except ValueError:
        return None


def _reset(value: str, now: float) -> float | None:
    if _NUMBER.fullmatch(value):
        number = float(value)
        if number >= _FIRST_EPOCH_MS:
            return number / 1000 - now
        return number - now if number >= _FIRST_EPOCH else number
    if _DURATION.fullmatch(value):
        return sum([float(amount) * _SECONDS[unit] for amount, unit in _PART.findall(value)])
    try:
        return _until(datetime.fromisoformat(value), now)
    except ValueError:
        return None


def _until(moment: datetime, now: float) -> float:
    """The seconds until a moment. One without a time zone is in UTC, which dates of HTTP always are."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now


_PARSERS = {RETRY_AFTER_MS: _milliseconds, "retry-after": _retry_after}
