"""What one request is charged to."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from shared.limits.compiled import EVERYTHING, CompiledLimit
from shared.limits.values import Decision, Limit
from shared.model.messages import Exchange

#: The counter of all values beyond those that have one of their own. No hash looks like it.
SHARED_COUNTER = "other"


@dataclass(frozen=True, slots=True)
class Charge:
    """A limit with the request's counter, and the template that it comes from. `value` names the counter."""

    compiled: CompiledLimit
    value: str
    limit: Limit

    @property
    def is_shared(self) -> bool:
        """True when the value has no counter of its own."""
        return self.value == SHARED_COUNTER


class LimitResolver:
    """What requests are charged to under some limits. What is the same for all is worked out once."""

    def __init__(self, compiled_limits: Sequence[CompiledLimit]) -> None:
        self._known = [_Known.of(compiled) for compiled in compiled_limits]
        # Limits of models: which glob counts is known only when the request is there.
        self._may_meet = len({one.key_prefix for one in compiled_limits}) < len(compiled_limits)
        same = [known.charge for known in self._known if known.charge]
        self._same = same if len(same) == len(compiled_limits) and not self._may_meet else None

    def of(
        self, exchange: Exchange, model: str, lease: str, has_counter: Callable[[str, str], bool]
    ) -> Sequence[Charge]:
        """The limits that hold for this request, in order. Those that come to the same counter are one.

        `has_counter` takes a `key_prefix` and a value that the client chose, and says whether the value has a
        counter of its own.
        """
        if self._same is not None:
            return self._same
        found = []
        for compiled, is_client_chosen, always, charge in self._known:
            if charge is not None:
                found.append(charge)
            elif always or compiled.counts(exchange, model):
                value = compiled.value(exchange, model)
                if is_client_chosen and not has_counter(compiled.key_prefix, value):
                    value = SHARED_COUNTER
                found.append(_charge(compiled, value, lease))
        return _one_a_counter(found, lease) if self._may_meet else found


class _Known(NamedTuple):
    """What is known of a limit before the first request; `charge` where it is the same for all of them."""

    compiled: CompiledLimit
    is_client_chosen: bool
    always: bool
    charge: Charge | None

    @classmethod
    def of(cls, compiled: CompiledLimit) -> Self:
        charge = _charge(compiled, EVERYTHING, "") if compiled.is_plain else None
        return cls(compiled, compiled.spec.is_client_chosen, compiled.is_unconditional, charge)


def _charge(compiled: CompiledLimit, value: str, lease: str) -> Charge:
    return Charge(compiled, value, compiled.limit(value, lease))


def _one_a_counter(charges: Iterable[Charge], lease: str) -> Sequence[Charge]:
    found: dict[str, Charge] = {}
    for charge in charges:
        other = found.get(charge.limit.key)
        if other is not None:
            charge = _charge(other.compiled.strictest(charge.compiled), charge.value, lease)
        found[charge.limit.key] = charge
    return list(found.values())


def denied_header(compiled_limits: Iterable[CompiledLimit], exchange: Exchange) -> str | None:
    """The header without which one of the limits lets no request pass, when this one lacks it."""
    missing = (
        one.missing(exchange) for one in demanding(compiled_limits) if one.match.takes(exchange.request)
    )
    return next(filter(None, missing), None)


def demanding(compiled_limits: Iterable[CompiledLimit]) -> Sequence[CompiledLimit]:
    """The limits that let no request pass without the header that they count by."""
    return [compiled for compiled in compiled_limits if compiled.spec.on_missing == "deny"]


def longest_wait_ms(decision: Decision, charged: Sequence[Charge]) -> int:
    """The computed wait of a refusal, or the longest that the settings of a spent limit ask for."""
    spent = {state.limit.key for state in decision.states if not state.has_room}
    floors = [charge.compiled.floor_ms for charge in charged if charge.limit.key in spent]
    return max(decision.retry_after_ms, *floors)
