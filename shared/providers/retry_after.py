"""How long an upstream wants to be left alone, from the headers of its response.

| header | value |
|---|---|
| ``retry-after-ms`` | milliseconds |
| ``Retry-After`` | seconds, or a date (RFC 9110, 10.2.3) |
| ``anthropic-ratelimit-*-reset`` | a time (RFC 3339) |
| ``x-ratelimit-reset-*``, ``x-ratelimit-reset`` | a duration such as ``6m0s``, ``20ms`` or ``1.5``; a time |

Only 429 and 503 are waited for: other responses have these headers, too.
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from shared.core.durations import DAY_SECONDS, UNITS
from shared.model.messages import Headers
from shared.providers.headers import RETRY_AFTER_MS

#: No longer wait is believed, in seconds.
MAX_WAIT_SECONDS = float(DAY_SECONDS)

_RESET = re.compile(r"(?:x|anthropic)-ratelimit-(?:.+-)?reset(?:-.+)?")
_AMOUNT = r"[0-9]{1,15}(?:\.[0-9]{1,15})?"
_NUMBER = re.compile(_AMOUNT)
# As Go writes durations, also below a millisecond.
_DURATION = re.compile(rf"(?:{_AMOUNT}(?:ms|us|µs|ns|[wdhms]))+")
_PART = re.compile(rf"({_AMOUNT})(ms|us|µs|ns|[wdhms])")
_SECONDS = {**{unit: ms / 1000 for unit, ms in UNITS.items()}, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
# Larger numbers are seconds, or milliseconds, since the Unix epoch.
_FIRST_EPOCH, _FIRST_EPOCH_MS = 1e9, 1e12


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
    except (ValueError, OverflowError):
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
    except (ValueError, OverflowError):
        return None


def _until(moment: datetime, now: float) -> float:
    """The seconds until a moment. One without a time zone is in UTC, which dates of HTTP always are."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now


_PARSERS = {RETRY_AFTER_MS: _milliseconds, "retry-after": _retry_after}
