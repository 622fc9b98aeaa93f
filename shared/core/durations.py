"""Durations as text (``500ms``, ``10s``, ``1h30m``, ``1.5h``, ``1w``, or seconds), and the lengths of units.

>>> parse_duration("1h30m"), parse_duration("0.5s"), parse_duration(60), parse_duration("60")
(5400000, 500, 60000, 60000)
>>> format_duration(5_400_000), format_duration(500)
('1h30m', '500ms')
"""

import re
from decimal import Decimal
from typing import Final

HOUR_SECONDS: Final = 3_600
#: A day of UTC, as the Unix epoch counts: without leap seconds.
DAY_SECONDS: Final = 24 * HOUR_SECONDS
#: Unit -> milliseconds, the longest first. Months and years have no fixed length.
UNITS = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}

# With fifteen digits every amount is exact.
_AMOUNT = r"[0-9]{1,15}(?:\.[0-9]{1,15})?"
_PART = re.compile(rf"({_AMOUNT})(ms|[wdhms])")
_SECONDS = re.compile(_AMOUNT)
_ALLOWED = "a duration such as 500ms, 10s, 1m, 1h30m, 1.5h, 1d or 1w, or a number of seconds"


def parse_duration(value: str | int | float) -> int:
    """The duration in milliseconds. A number without a unit, also as text, is in seconds.

    Raises ValueError on anything else, such as unknown or repeated units, signs, or fractions of a
    millisecond.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"Must be {_ALLOWED}.")
    text = value.strip() if isinstance(value, str) else _plain(value)
    milliseconds = _sum(text)
    if milliseconds is None:
        raise ValueError(f"Must be {_ALLOWED}.")
    if milliseconds != int(milliseconds):
        raise ValueError("Must be a whole number of milliseconds.")
    return int(milliseconds)


def format_duration(milliseconds: int) -> str:
    """The shortest text in whole units that `parse_duration` reads as the same duration."""
    parts = []
    rest = milliseconds
    for unit, length in UNITS.items():
        count, rest = divmod(rest, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _plain(number: int | float) -> str:
    """Digits without an exponent, so that 1e3 is read as 1000."""
    return format(Decimal(repr(number) if isinstance(number, float) else number), "f")


def _sum(text: str) -> Decimal | None:
    """The sum of the parts of a text, in milliseconds; None when the text is not a duration."""
    if _SECONDS.fullmatch(text):
        return Decimal(text) * UNITS["s"]
    parts = _PART.findall(text)
    units = [unit for _, unit in parts]
    if not parts or "".join(amount + unit for amount, unit in parts) != text or len({*units}) != len(units):
        return None
    return sum((Decimal(amount) * UNITS[unit] for amount, unit in parts), start=Decimal())
