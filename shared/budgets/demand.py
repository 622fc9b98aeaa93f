"""The demand of a request: its expected use, before it is sent, as the requests before it have taught.

Input is estimated from the request. Output is what was usual of late for the same API key and model (the 95th
percentile), and never more than the request and the model allow. The price is that of the dearest target that
may serve the request, so that a fallback to another target costs no more than what was reserved.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from shared.model.budgets import INPUT_TOKENS, OUTPUT_TOKENS, TOKENS, USD
from shared.model.messages import Expected
from shared.providers.calls import OPENAI_AUDIO, OPENAI_COMPLETIONS, OPENAI_IMAGES, SPEECH, ApiCall
from shared.providers.usage_fields import USAGE_FIELDS
from shared.usage.estimate import BYTES_PER_SECOND, estimate_request
from shared.usage.prices import Rates
from shared.usage.row import Usage

#: The tokens of output that are expected as long as nothing is known.
USUAL_OUTPUT: Final = 4_096
#: The largest number of tokens or pieces that a request is believed to ask for.
MAX_ASKED: Final = 10**8

# How many tokens are priced at a time, so that the price of one is exact.
_PRICED: Final = 1_000_000
# The members with the most tokens of output, by API; the last one is Gemini's.
_MOST_OUTPUT: Final = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_DIGITS: Final = re.compile("[0-9]{1,9}")
# APIs whose responses are not text.
_WITHOUT_TEXT: Final = frozenset({OPENAI_IMAGES, OPENAI_AUDIO})


def amount_of(unit: str, usage: Usage, cost_nano: int | None) -> int | None:
    """The used amount of a unit; None for money if the price is not known.

    >>> [amount_of(unit, Usage(input=5, output=2), 70) for unit in (TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, USD)]
    [7, 5, 2, 70]
    """
    if unit == TOKENS:
        return usage.input + usage.output
    if unit == INPUT_TOKENS:
        return usage.input
    if unit == OUTPUT_TOKENS:
        return usage.output
    return cost_nano if unit == USD else usage.requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """The expected use of a request.

    Attributes:
        usual: what it is expected to use.
        most: what it uses at most, as far as that is known.
        estimate: the estimated input before it was multiplied by what was learned.
        choices: how many responses the request asks for at a time.
        is_bounded: the request itself says how much output it wants at most.
        rates: the prices of all targets that may serve it; None for one whose price is not known. Empty: it
            costs nothing, as with a client's own credential.
    """

    usual: Usage
    most: Usage
    estimate: int = 0
    choices: int = 1
    is_bounded: bool = False
    rates: Sequence[Rates | None] = ()

    def of(self, unit: str) -> int | None:
        """The expected use of a unit; None for money if a price is not known."""
        return self.amount(unit, self.usual)

    def least_of(self, unit: str) -> int | None:
        """The expected use without any guess: if it does not bound its output, its input alone."""
        return self.amount(unit, self.usual if self.is_bounded else replace(self.usual, output=0))

    def expected(self, unit: str) -> Expected | None:
        """The same for rate limits; None for money if a price is not known."""
        usual, least = self.of(unit), self.least_of(unit)
        return None if usual is None or least is None else Expected(usual, least)

    def amount(self, unit: str, usage: Usage) -> int | None:
        """The amount of a unit in some usage, at the highest price; None if a price is not known."""
        return amount_of(unit, usage, self._cost(usage) if unit == USD else None)

    def output_amount(self, unit: str, tokens: int) -> int:
        """The tokens or the money that so many more tokens of output are; 0 if their price is not known."""
        if unit != USD:
            return tokens
        without = replace(self.usual, output=0)  # the input decides about the price of a token
        prices = [self.amount(unit, one) or 0 for one in (without, replace(without, output=tokens))]
        return prices[1] - prices[0]

    def affordable(self, unit: str, amount: int) -> int | None:
        """The tokens of output that an amount of tokens or money buys; None: any number."""
        price = self.output_amount(unit, _PRICED)
        return amount * _PRICED // price if price > 0 else None

    def capped(self, output: int) -> Self:
        """The same with at most so many tokens of output."""
        usual, most = (replace(one, output=min(one.output, output)) for one in (self.usual, self.most))
        return replace(self, usual=usual, most=most, is_bounded=True)

    def _cost(self, usage: Usage) -> int | None:
        known = [None if rates is None else rates.cost(usage) for rates in self.rates]
        return None if None in known else max([cost for cost in known if cost is not None], default=0)


#: The usage of a request that calls no model, such as one for the list of models.
NOTHING: Final = Demand(usual=Usage(requests=1), most=Usage(requests=1))


def demand_of(
    call: ApiCall,
    document: Any,
    size: int,
    *,
    rates: Sequence[Rates | None] = (),
    max_output: int | None = None,
    usual_output: int | None = None,
    factor: float = 1.0,
) -> Demand:
    """The demand of a request with that JSON; `size`: the bytes of its body.

    `max_output`: the most that its targets write; None: not known. `usual_output` and `factor` were learned.
    """
    if call.api not in USAGE_FIELDS or call.id is not None:
        return NOTHING
    members = document if isinstance(document, dict) else {}
    number = choices(call.api, members)
    estimate = estimate_request(document, size, call.api)
    input = round(estimate * factor) or 1
    if call.api in _WITHOUT_TEXT or not USAGE_FIELDS[call.api].texts:
        usage = _of_pieces(Usage(input=input), call, members, size=size, number=number)
        usage = usage if usual_output is None else replace(usage, output=usual_output * number)
        return Demand(
            usual=usage, most=usage, estimate=estimate, choices=number, is_bounded=True, rates=rates
        )
    # A provider may read another one of several than the next provider does.
    numbers = [_positive(members[name]) for name in _MOST_OUTPUT if name in members]
    asked = max([found for found in numbers if found], default=None) if numbers else None
    bounds = [one for one in (asked, max_output) if one is not None]
    most = (min(bounds) if bounds else USUAL_OUTPUT) * number
    usual = min((usual_output or USUAL_OUTPUT) * number, most)
    # `replace` would take ten times as long.
    return Demand(
        usual=Usage(input=input, output=usual),
        most=Usage(input=input, output=most),
        estimate=estimate,
        choices=number,
        is_bounded=asked is not None,
        rates=rates,
    )


def choices(api: str, document: Any) -> int:
    """The number of responses that a request asks for at a time, also those that the provider leaves out.

    >>> choices("openai.completions", {"prompt": ["a", "b"], "n": 2, "best_of": 5})
    10
    """
    if not isinstance(document, dict):
        return 1
    number = _count(document["n"]) if "n" in document else 1
    if api == OPENAI_COMPLETIONS:
        number = max(number, _count(document.get("best_of"))) * _prompts(document.get("prompt"))
    return number if number < MAX_ASKED else MAX_ASKED


def _count(value: Any) -> int:
    """A number of responses, as the most lenient provider reads it: also as text."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    return _positive(value) or 1


def _prompts(value: Any) -> int:
    """The number of prompts: texts, or lists of tokens. A list of numbers is one."""
    if not isinstance(value, list):
        return 1
    return max(sum([isinstance(one, str | list) for one in value]), 1)


def _of_pieces(usage: Usage, call: ApiCall, members: dict[str, Any], *, size: int, number: int) -> Usage:
    """The usage of a request for pictures or sound, which is paid by piece."""
    if call.api == OPENAI_IMAGES:
        return replace(usage, images=number)
    if call.path == SPEECH:
        text = members.get("input")
        return replace(usage, characters=len(text) if isinstance(text, str) else 0)
    return replace(usage, seconds=-(-size // BYTES_PER_SECOND)) if call.api == OPENAI_AUDIO else usage


def _positive(value: Any) -> int | None:
    """A positive whole number. In JSON, 1 and 1.0 are the same."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 1:
        return None
    return int(min(value, MAX_ASKED)) if value == value // 1 else None
