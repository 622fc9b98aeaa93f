"""How much output a stream may still bring: what was reserved, what was seen, and when to ask for more.

    reserved >= seen + next --> the next events pass
    3/4 of it are seen      --> more is asked for, while the stream goes on
    it is not granted       --> the stream ends where the reservation does, or goes on without one

All numbers are tokens of output, as far as they can be told from the text that passes.
"""

import math
import re
from typing import Final, NamedTuple

from shared.core.memo import BoundedDict, Memo
from shared.providers.usage_fields import USAGE_FIELDS

#: More is asked for when this share of the reservation is seen: at least so many tokens, or that share of it.
ASK_AT: Final = 0.75
LEAST_MORE: Final = 256
MORE_SHARE: Final = 0.25


class Allowance:
    """The output that one stream may bring.

    Attributes:
        reserved: the tokens that the budgets have set aside for its output.
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
        """Whether so many tokens may pass now. What has none, such as the end of a response, always may."""
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


# Bytes per token before a model has reported any, and the bounds of what is learned. A token of text is
# seldom longer; one that is not shown, such as that of hidden reasoning, has no bytes.
DEFAULT_BYTES: Final = 4.0
_LEAST, _MOST = 1.0, 8.0
_WEIGHT: Final = 0.2
_MAX_MODELS: Final = 4_096


class BytesPerToken:
    """How many bytes a token of each model has, as far as its responses have shown.

    >>> learned = BytesPerToken()
    >>> learned.learn("openai/gpt-6", size=3_000, output=1_000, reasoning=0)
    >>> round(learned.of("openai/gpt-6"), 2), learned.of("other/model")
    (3.8, 4.0)
    """

    def __init__(self) -> None:
        self._known = BoundedDict[str, float](_MAX_MODELS)

    def of(self, model: str) -> float:
        return self._known.get(model, DEFAULT_BYTES)

    def learn(self, model: str, *, size: int, output: int, reasoning: int) -> None:
        """A response had so many bytes of text, and its model has reported so many tokens.

        Some providers show the reasoning, which is a part of the output, and others do not.
        """
        if not size or output <= 0:
            return
        found = size / output
        if found < _LEAST and output > reasoning:
            found = size / (output - reasoning)
        found = min(max(found, _LEAST), _MOST)
        self._known.keep(model, (1 - _WEIGHT) * self.of(model) + _WEIGHT * found)


class Text(NamedTuple):
    """How much generated text there is in some events: its pieces that are not empty, and their bytes."""

    pieces: int
    size: int

    def tokens(self, bytes_per_token: float) -> float:
        """Its estimated tokens: a piece has at least one."""
        return max(self.pieces, self.size / bytes_per_token)


def text_in(api: str, events: bytes) -> Text:
    r"""The generated text in events of an API: of all choices, arguments of tools, and reasoning.

    >>> text_in("openai.chat", b'data: {"choices":[{"delta":{"content":"Hi \\"you\\""}}]}\n\n')
    Text(pieces=1, size=10)
    """
    found = [text for text in _PATTERNS[api].findall(events) if text]
    return Text(len(found), sum(map(len, found)))


def _pattern(api: str) -> re.Pattern[bytes]:
    """The strings that are the value of a member with generated text."""
    names = "|".join(map(re.escape, USAGE_FIELDS[api].texts)) if api in USAGE_FIELDS else ""
    return re.compile(rb'"(?:%s)": ?"((?:[^"\\]|\\.)++)' % names.encode(), re.DOTALL)


_PATTERNS: Final = Memo(_pattern)
