"""The output that a stream may still bring: what was reserved, what was seen, and when to ask for more.

    reserved >= seen + next --> the next events pass
    3/4 of it are seen      --> more is asked for, while the stream goes on
    it is not granted       --> the stream ends where the reservation does, or goes on without one

All numbers are tokens of output, as far as they can be told from the text that passes.
"""

import math
from typing import Final

#: More is asked for when this share of the reservation is seen: at least so many tokens, or that share of it.
ASK_AT: Final = 0.75
LEAST_MORE: Final = 256
MORE_SHARE: Final = 0.25


class Allowance:
    """The output that one stream may bring.

    Attributes:
        reserved: the tokens of output that are reserved.
        seen: those that passed.
        is_asking: more was asked for, and the reply has not come.
        is_last: no more will be granted, so the stream ends where the reservation does.
        is_free: nothing ends the stream; what is above the reservation becomes a debt.
    """

    __slots__ = ("is_asking", "is_free", "is_last", "reserved", "seen")

    def __init__(self, reserved: int) -> None:
        self.reserved: float = reserved
        self.seen = 0.0
        self.is_asking = self.is_last = self.is_free = False

    def fits(self, tokens: float) -> bool:
        """Whether so many tokens may pass now. Events without tokens, such as the last one, always may."""
        return not tokens or self.is_free or self.seen + tokens <= self.reserved

    def more(self, needed: float = 0.0) -> int:
        """The tokens to ask for now, so that `needed` ones may pass; 0: none. They are asked for then."""
        if self.is_asking or self.is_last or self.is_free:
            return 0
        if self.fits(needed) and self.seen < ASK_AT * self.reserved:
            return 0
        self.is_asking = True
        missing = math.ceil(self.seen + needed - self.reserved)
        return max(LEAST_MORE, math.ceil(MORE_SHARE * self.reserved), missing)

    def grant(self, tokens: int) -> None:
        """The budgets have set so many more aside."""
        self.is_asking = False
        self.reserved += tokens

    def deny(self, *, goes_on: bool) -> None:
        """A budget has no more. `goes_on`: it lets the stream go on, with a debt."""
        self.is_asking = False
        self.is_last, self.is_free = not goes_on, goes_on
