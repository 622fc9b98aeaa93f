"""Amounts of budgets and rate limits: integers inside.

In JSON a budget has ``{"usd": "2.50"}``, ``{"tokens": 5}`` or ``{"requests": 5}``.

>>> parse_amount({"usd": "250.00"})
Amount(unit='usd', value=250000000000)
>>> format_amount("usd", 1_500_000_000), format_amount("tokens", 5)
('1.5', 5)
>>> amount_text("usd", 1_500_000_000), amount_text("tokens", 50_000), amount_text("requests", 1)
('1.5 USD', '50000 tokens', '1 request')
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from shared.model.budgets import REQUESTS, TOKENS, USD

#: The units of budgets, as JSON names them.
UNITS: Final = (USD, TOKENS, REQUESTS)
#: Nano-USD in a USD, so that sums of money are exact.
NANO: Final = 10**9
#: The largest amount of any unit: 9,000,000 USD in nano-USD. Lua counts exactly up to 2^53.
MAX_AMOUNT: Final = 9_000_000 * NANO
_MAX_DIGITS: Final = 9
# Python takes more for a number: 1_0, +1, 1e3.
_DECIMAL: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]+)?")


class Amount(NamedTuple):
    """How much of what: nano-USD, tokens or requests."""

    unit: str
    value: int


def parse_amount(written: Mapping[str, Any]) -> Amount:
    """An amount with its unit, as JSON has it. Raises ValueError."""
    if len(written) != 1 or (unit := next(iter(written))) not in UNITS:
        raise ValueError('Must have one of usd, tokens and requests, such as {"usd": "250.00"}.')
    value = written[unit]
    return Amount(unit, parse_usd(value) if unit == USD else _count(unit, value))


def parse_usd(text: Any) -> int:
    """Decimal text in USD as nano-USD, from 0 to `MAX_AMOUNT`. Raises ValueError."""
    if not isinstance(text, str) or not _DECIMAL.fullmatch(text):
        raise ValueError('Must be a decimal number in USD as text, such as "250.00".')
    nano = Decimal(text) * NANO
    if nano > MAX_AMOUNT:
        raise ValueError(f"Must be at most {MAX_AMOUNT // NANO} USD.")
    if nano != int(nano):
        raise ValueError(f"An amount in USD has at most {_MAX_DIGITS} digits after the point.")
    return int(nano)


def _count(unit: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_AMOUNT:
        raise ValueError(f"Must be a whole number of {unit} from 0 to {MAX_AMOUNT}.")
    return value


def usd(nano: int) -> str:
    """Nano-USD, not below 0, as decimal USD, without zeros at its end.

    >>> usd(1_250_000_000), usd(10), usd(0)
    ('1.25', '0.00000001', '0')
    """
    if 0 < nano < NANO:  # as most calls cost: a format with a width takes twice as long
        return f"0.{str(nano).zfill(9)}".rstrip("0")
    whole, part = nano // NANO, nano % NANO
    return f"{whole}.{part:09}".rstrip("0") if part else f"{whole}"


def format_amount(unit: str, value: int) -> str | int:
    """An amount, not below 0, as JSON has it: USD as decimal text without zeros at its end."""
    return usd(value) if unit == USD else value


def amount_text(unit: str, value: int) -> str:
    """An amount for a sentence."""
    if unit == USD:
        return f"{usd(value)} USD"
    return f"{value} {(unit.removesuffix('s') if value == 1 else unit).replace('_', ' ')}"
