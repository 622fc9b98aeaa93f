"""What one request used."""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final, Self


class Source(StrEnum):
    """Where the numbers come from: the provider, an estimate, or both."""

    REPORTED = "reported"
    ESTIMATED = "estimated"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one request used: tokens, except for the last three.

    Attributes:
        input: all input, cached or not; also what was written to the cache.
        input_cached: the part of `input` that was read from the provider's cache.
        cache_write_5m, cache_write_1h: the parts of `input` that were written to the cache for that time.
        output: all output, also reasoning.
        reasoning: the part of `output` that the client does not see.
        audio_in, audio_out: the parts of `input` and `output` that are sound.
        images: pictures that were made.
        searches: searches on the web.
        requests: calls that a provider served.
    """

    input: int = 0
    input_cached: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    audio_in: int = 0
    audio_out: int = 0
    images: int = 0
    searches: int = 0
    requests: int = 1
    source: Source = Source.REPORTED

    def plus(self, other: Self) -> Self:
        """The sum of two, as of two attempts of one request."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in UNITS}
        return type(self)(**sums, source=self.source if self.source is other.source else Source.MIXED)


#: The names of the numbers.
UNITS: Final = tuple(one.name for one in fields(Usage) if one.name != "source")
