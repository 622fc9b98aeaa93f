"""The knowledge that a worker gains from responses: for the demand of later requests, and for streams."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Self

from shared.core.memo import BoundedDict

#: The models of tenants, and of keys, of which a worker remembers what they use.
MAX_LEARNED: Final = 4_096

# Bytes per token before a model has reported any, and the bounds of what is learned. A token of text is
# seldom longer; one that is not shown, such as that of hidden reasoning, has no bytes.
DEFAULT_BYTES: Final = 4.0
_LEAST, _MOST = 1.0, 8.0
_WEIGHT: Final = 0.2
_MAX_MODELS: Final = 4_096


class BytesPerToken:
    """The bytes of a token of each model, as far as its responses have shown.

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


# Estimates and reports are compared: 0.9 of what was known, 0.1 of the new one, within bounds.
_KEPT_SHARE: Final = 0.9
_LEAST_FACTOR, _MOST_FACTOR = 0.5, 3.0
# Outputs that are kept per key and model, and the fewest that say what is usual.
_OUTPUTS: Final = 40
_ENOUGH: Final = 5
_USUAL_SHARE: Final = 0.95


@dataclass(slots=True)
class LearnedDemand:
    """The knowledge of a worker: of each tenant and model, and of each API key and model.

    >>> learned = LearnedDemand.of(100)
    >>> learned.learn_input("t1", "fast", estimate=100, reported=200)
    >>> round(learned.factor("t1", "fast"), 2)
    1.1
    """

    _factors: BoundedDict[tuple[str, str], float] = field(repr=False)
    _outputs: BoundedDict[tuple[str, str], deque[int]] = field(repr=False)
    #: By the tenant and the target.
    text: BytesPerToken = field(default_factory=BytesPerToken, repr=False)

    @classmethod
    def of(cls, most: int) -> Self:
        """Nothing is known yet. At most so many models of tenants, and of keys, are remembered."""
        return cls(BoundedDict(most), BoundedDict(most))

    def factor(self, tenant: str, model: str) -> float:
        """By what the estimated input of a request is multiplied."""
        return self._factors.get((tenant, model), 1.0)

    def learn_input(self, tenant: str, model: str, *, estimate: int, reported: int) -> None:
        """Compare an estimate, before it was multiplied, with the input that the provider reported."""
        if estimate < 1 or reported < 1:
            return
        name = (tenant, model)
        learned = _KEPT_SHARE * self._factors.get(name, 1.0) + (1 - _KEPT_SHARE) * reported / estimate
        self._factors.keep(name, min(max(learned, _LEAST_FACTOR), _MOST_FACTOR))

    def usual_output(self, key: str, model: str) -> int | None:
        """The output that 95 of 100 requests do not exceed; None as long as too few were seen."""
        outputs = self._outputs.get((key, model), ())
        seen = len(outputs)
        return sorted(outputs)[int(_USUAL_SHARE * seen)] if seen >= _ENOUGH else None

    def learn_output(self, key: str, model: str, output: int) -> None:
        """Remember the output of a response that is complete."""
        known = self._outputs.get((key, model))
        if known is None:
            known = self._outputs.keep((key, model), deque(maxlen=_OUTPUTS))
        known.append(output)
