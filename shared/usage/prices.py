"""The cost of a call: the shipped table of prices, the overrides of providers and the platform, and the sum.

Prices are USD per million tokens as decimal text, as providers publish them. Sums are integers of nano-USD
(1e-9 USD), so that they are exact: the cheapest price of a token is about 10 of them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Self

from shared.core.durations import HOUR_SECONDS
from shared.core.memo import BoundedDict
from shared.model.amounts import MAX_AMOUNT
from shared.providers.shipped.model_table import ModelTable
from shared.usage.row import Source, Usage

#: Units with a price per million tokens, or characters.
TOKEN_UNITS: Final = (
    "input",
    "input_cached",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "audio_in",
    "audio_out",
    "characters",
)
#: Units with a price per piece, in USD: a picture, a search, a call, an hour of sound.
PIECE_UNITS: Final = ("per_image", "per_search", "per_request", "per_hour")
UNITS: Final = (*TOKEN_UNITS, *PIECE_UNITS)

#: The most that one call costs, and the most digits after the point of a price.
MAX_COST: Final = MAX_AMOUNT
_MAX_DIGITS: Final = 6
# Prices are kept in 1e-12 USD per token: a million tokens at 0.000001 USD is the cheapest.
_PICO_PER_PIECE: Final = 10**12
_PICO_PER_TOKEN: Final = 10**6
_MAX_PRICE: Final = Decimal(1_000_000)
#: Models whose rates are kept: clients choose their names.
MAX_KEPT: Final = 4_096
# Python takes more for a number: 1_0, +1, 1e3. Another reader of a price must read the same.
_PRICE: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def parse_price(text: str) -> Decimal:
    """A price in USD, from 0 to a million, with at most 6 digits after the point. Raises ValueError."""
    value = Decimal(text) if _PRICE.fullmatch(text) else Decimal(-1)
    if not 0 <= value <= _MAX_PRICE:
        raise ValueError("A price must be a decimal number in USD, such as 0.25, from 0 to 1000000.")
    if value != round(value, _MAX_DIGITS):
        raise ValueError(f"A price has at most {_MAX_DIGITS} digits after the point.")
    return value


@dataclass(frozen=True, slots=True)
class _Prices:
    """The prices of all `UNITS`, in their order."""

    input: int
    input_cached: int
    cache_write_5m: int
    cache_write_1h: int
    output: int
    audio_in: int
    audio_out: int
    character: int
    image: int
    search: int
    request: int
    hour: int


@dataclass(frozen=True, slots=True)
class _Tier:
    """The prices of calls with more input than `most`: as they are written, and all of them."""

    most: int
    units: Mapping[str, int]
    prices: _Prices


@dataclass(frozen=True, slots=True)
class Rates:
    """Prices in 1e-12 USD, per token or piece. A unit that is not in `units` costs what `_BASES` says.

    Attributes:
        above: the rates for calls with more input than a number of tokens, the largest number first. They
            apply to the whole call.
    """

    units: Mapping[str, int]
    above: Sequence[tuple[int, Mapping[str, int]]] = ()
    _tiers: Sequence[_Tier] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        written = [(most, {**self.units, **dearer}) for most, dearer in self.above] + [(-1, self.units)]
        tiers = tuple(
            _Tier(most, units, _Prices(*[_rate(units, unit) for unit in UNITS])) for most, units in written
        )
        object.__setattr__(self, "_tiers", tiers)

    @classmethod
    def of(cls, prices: Mapping[str, Any]) -> Self:
        """Prices as they are written. Raises ValueError."""
        above = sorted(prices.get("above", ()), key=lambda one: -int(one["input_tokens"]))
        return cls(_compiled(prices), tuple((int(one["input_tokens"]), _compiled(one)) for one in above))

    def with_own(self, prices: Mapping[str, str]) -> Self:
        """These rates with other prices for some units; those of longer calls then do not apply to them."""
        own = _compiled(prices)
        return type(self)(
            {**self.units, **own}, tuple((most, {**units, **own}) for most, units in self.above)
        )

    def for_call(self, usage: Usage) -> Mapping[str, int]:
        """The prices that apply to a call, which may be those for long ones."""
        return self._tier(usage.input).units if self.above else self.units

    def _tier(self, tokens: int) -> _Tier:
        return next(tier for tier in self._tiers if tokens > tier.most)

    def cost(self, usage: Usage) -> int:
        """The cost in nano-USD, rounded up, and at most `MAX_COST`."""
        prices = (self._tier(usage.input) if self.above else self._tiers[0]).prices
        rest, output, pico = usage.input, usage.output, usage.requests * prices.request
        # Most calls have none of these.
        if (cached := usage.input_cached) or usage.cache_write_5m or usage.cache_write_1h:
            rest = max(rest - cached - usage.cache_write_5m - usage.cache_write_1h, 0)
            pico += cached * prices.input_cached + usage.cache_write_5m * prices.cache_write_5m
            pico += usage.cache_write_1h * prices.cache_write_1h
        if usage.audio_in or usage.audio_out:
            # Sound that was read from the cache is paid as such, and not once more as sound.
            heard = min(usage.audio_in, rest)
            rest, output = rest - heard, max(output - usage.audio_out, 0)
            pico += heard * prices.audio_in + usage.audio_out * prices.audio_out
        if usage.images or usage.searches or usage.characters or usage.seconds:
            pico += usage.images * prices.image + usage.searches * prices.search
            pico += usage.characters * prices.character
            pico -= -usage.seconds * prices.hour // HOUR_SECONDS
        nano = -(-(pico + rest * prices.input + output * prices.output) // 1000)
        return nano if nano < MAX_COST else MAX_COST

    def cover(self, usage: Usage) -> bool:
        """Whether what they are for is known of a call with sound; else its cost is not known."""
        if "per_hour" in self.units:
            return usage.seconds > 0
        return "characters" in self.units or not usage.characters or usage.source is Source.REPORTED


# The price of a unit without one of its own.
_BASES: Final = {
    "input_cached": "input",
    "cache_write_5m": "input",
    "cache_write_1h": "cache_write_5m",
    "audio_in": "input",
    "audio_out": "output",
}


def _rate(units: Mapping[str, int], unit: str) -> int:
    while unit not in units and unit in _BASES:
        unit = _BASES[unit]
    return units.get(unit, 0)


def _compiled(prices: Mapping[str, Any]) -> dict[str, int]:
    return {
        unit: int(parse_price(prices[unit]) * (_PICO_PER_TOKEN if unit in TOKEN_UNITS else _PICO_PER_PIECE))
        for unit in UNITS
        if unit in prices
    }


def in_any_case[T](values: Mapping[str, T], name: str) -> T | None:
    """The value of a name, else of the first one that differs in case alone."""
    if name in values:
        return values[name]
    folded = name.casefold()
    return next((value for other, value in values.items() if other.casefold() == folded), None)


@dataclass(frozen=True, slots=True)
class PriceTable:
    """The prices of all models.

    Attributes:
        shipped: the table of the release.
        platform: prices of the platform, by ``<kind>/<model>``; they replace shipped ones unit by unit.
    """

    shipped: ModelTable
    platform: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    _kept: BoundedDict[tuple[str, str, str, str], Rates | None] = field(
        default_factory=lambda: BoundedDict(MAX_KEPT), init=False, repr=False, compare=False
    )

    def rates(self, kind: str, model: str, *, day: str, tier: str = "") -> Rates | None:
        """The prices of a model on a day (``2026-12-01``); None when they are not known.

        Those of its name in another case are taken where it has none. `tier` is the service tier that the
        response names, such as ``priority``.
        """
        name = (kind, model, day, tier)
        if name in self._kept:
            return self._kept[name]
        return self._kept.keep(name, self._rates(*name))

    def _rates(self, kind: str, model: str, day: str, tier: str) -> Rates | None:
        shipped = self.shipped.prices(kind, model, day=day, tier=tier)
        own = in_any_case(self.platform, f"{kind}/{model}")
        if shipped is None:
            return None if own is None else Rates.of(own)
        rates = Rates.of(shipped)
        return rates if own is None else rates.with_own(own)
