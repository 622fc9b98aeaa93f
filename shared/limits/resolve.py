"""The counters that one request is charged to."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from shared.core.memo import BoundedDict
from shared.limits.compiled import EVERYTHING, CompiledLimit
from shared.limits.distinct_values import DistinctValueTracker
from shared.limits.headers import FAMILIES, RateHeaders
from shared.limits.values import WINDOW, Decision, Limit, LimitState
from shared.model.budgets import METERED
from shared.model.messages import Exchange, Metered

# Seconds per millisecond of a window: its counter lives for 65 buckets of a 64th each.
_LIFETIME = 65 / 64 / 1000
#: The counter that all further values share. It differs from every hash.
SHARED_COUNTER = "other"


@dataclass(frozen=True, slots=True)
class Charge:
    """A limit with the counter of a request. `value` names the counter."""

    compiled: CompiledLimit
    value: str
    limit: Limit


class Charges:
    """The charges of one request, and the values that follow from them before they are made.

    Attributes:
        each: the charges, in order.
        limits: their limits.
        headers: their headers, but for what is left.
    """

    __slots__ = ("each", "headers", "limits")

    def __init__(self, each: Sequence[Charge], families: tuple[str, ...]) -> None:
        self.each = each
        self.limits = tuple([charge.limit for charge in each])
        self.headers = RateHeaders(self.limits, families)


class PriceNotKnown(Exception):
    """A limit in money counts the request, and the price of a target that may serve it is not known."""


class LimitResolver:
    """Resolves limits to the counters of a request. Those that several requests are charged to are kept.

    `families` are those of the headers that are sent. `fixed` is what every request is charged to; None if
    that depends on the request.
    """

    def __init__(
        self, compiled_limits: Sequence[CompiledLimit], families: tuple[str, ...] = FAMILIES
    ) -> None:
        self._families = families
        self._prepared = [_Prepared.of(compiled) for compiled in compiled_limits]
        # Limits of models with different globs can have the same counter.
        self._may_meet = len({one.key_prefix for one in compiled_limits}) < len(compiled_limits)
        same = [one.charge for one in self._prepared if one.charge]
        is_same = len(same) == len(compiled_limits) and not self._may_meet
        self.fixed = Charges(same, families) if is_same else None
        # Others have a lease, or a cost, of each request.
        self._keeps = all(one.spec.kind == WINDOW and not one.spec.is_metered for one in compiled_limits)

    def of(
        self, exchange: Exchange, models: Sequence[str], lease: str, has_counter: Callable[[str, str], bool]
    ) -> Charges:
        """The limits that count this request, in order. Limits with the same counter are merged.

        `models` are the names of its model, at least one; each limit counts by the first that it holds for.
        `has_counter` takes a `key_prefix` and a value that the client chose. It returns True when the value
        has a counter of its own. Raises `PriceNotKnown`.
        """
        if self.fixed is not None:
            return self.fixed
        values = [
            EVERYTHING if one.charge is not None else one.value(exchange, models, has_counter)
            for one in self._prepared
        ]
        if not self._keeps:
            return self._charges(values, lease, exchange)
        key = (self, *values)
        kept = _KEPT.get(key)
        return _KEPT.keep(key, self._charges(values, lease, exchange)) if kept is None else kept

    def _charges(self, values: Iterable[str | None], lease: str, exchange: Exchange) -> Charges:
        found: list[Charge] = []
        for (compiled, _, _, is_metered, charge), value in zip(self._prepared, values, strict=True):
            if charge is not None:
                found.append(charge)
            elif value is not None:
                cost = _metered_cost(compiled, exchange) if is_metered else None
                if cost != 0:
                    found.append(_charge(compiled, value, lease, cost))
        return Charges(_one_a_counter(found, lease, exchange) if self._may_meet else found, self._families)


# The newest charges of all resolvers, by their values: clients send more than one request.
_KEPT: BoundedDict[tuple[object, ...], Charges] = BoundedDict(4096)


class _Prepared(NamedTuple):
    """A limit before the first request; with its `charge` when that is equal for all requests."""

    compiled: CompiledLimit
    is_client_chosen: bool
    always: bool
    is_metered: bool
    charge: Charge | None

    def value(
        self, exchange: Exchange, models: Sequence[str], has_counter: Callable[[str, str], bool]
    ) -> str | None:
        """The value of a request, which names its counter; None if the limit does not count it."""
        compiled, is_client_chosen, always, _, _ = self
        model = models[0] if always else compiled.first_model(models)
        if model is None or not (always or compiled.counts(exchange, model)):
            return None
        value = compiled.value(exchange, model)
        if is_client_chosen and not has_counter(compiled.key_prefix, value):
            return SHARED_COUNTER
        return value

    @classmethod
    def of(cls, compiled: CompiledLimit) -> Self:
        charge = _charge(compiled, EVERYTHING, "") if compiled.is_plain else None
        spec = compiled.spec
        return cls(compiled, spec.is_client_chosen, compiled.is_unconditional, spec.is_metered, charge)


def _charge(compiled: CompiledLimit, value: str, lease: str, cost: int | None = None) -> Charge:
    return Charge(compiled, value, compiled.limit(value, lease, cost))


def _metered_cost(compiled: CompiledLimit, exchange: Exchange) -> int:
    """The cost of a request before it is sent; 0: it uses nothing of the unit. Raises `PriceNotKnown`.

    It is what the request is expected to use. As far as that is a guess, it is never more than the limit:
    otherwise the request could never be admitted.
    """
    if exchange.metered is None:
        return 0
    expected = exchange.metered.expected(compiled.spec.unit)
    if expected is None:
        raise PriceNotKnown
    return max(min(expected.usual, compiled.spec.quota.limit), expected.least)


def _one_a_counter(charges: Iterable[Charge], lease: str, exchange: Exchange) -> Sequence[Charge]:
    found: dict[str, Charge] = {}
    for charge in charges:
        other = found.get(charge.limit.key)
        if other is not None:
            strictest = other.compiled.strictest(charge.compiled)
            cost = _metered_cost(strictest, exchange) if strictest.spec.is_metered else None
            charge = _charge(strictest, charge.value, lease, cost)
        found[charge.limit.key] = charge
    return list(found.values())


def denied_header(compiled_limits: Iterable[CompiledLimit], exchange: Exchange) -> str | None:
    """The first header that the request lacks and a limit demands; None when there is none."""
    missing = (
        one.missing(exchange) for one in demanding(compiled_limits) if one.match.takes(exchange.request)
    )
    return next(filter(None, missing), None)


def demanding(compiled_limits: Iterable[CompiledLimit]) -> Sequence[CompiledLimit]:
    """The limits that reject requests without the header that they count by."""
    return [compiled for compiled in compiled_limits if compiled.spec.on_missing == "deny"]


def track_values(charged: Sequence[Charge], tracker: DistinctValueTracker, now: float) -> None:
    """Note the values of an admitted request that clients chose. A rejected one has created no counter."""
    for compiled, value in ((charge.compiled, charge.value) for charge in charged):
        if compiled.spec.is_client_chosen and value != SHARED_COUNTER:
            tracker.add(compiled.key_prefix, value, compiled.spec.quota.window_ms * _LIFETIME, now)


def corrections(
    states: Iterable[LimitState], metered: Metered | None
) -> tuple[Sequence[Limit], Sequence[int]]:
    """The charged limits of which a request used more or less than was expected, and how much more.

    What is not known stays as it was charged.
    """
    limits, deltas = [], []
    for limit in (state.limit for state in states if state.limit.unit in METERED):
        used = metered.used(limit.unit) if metered is not None and limit.kind == WINDOW else None
        if used is not None and used != limit.cost:
            limits.append(limit)
            deltas.append(used - limit.cost)
    return limits, deltas


def longest_wait_ms(decision: Decision, charged: Sequence[Charge]) -> int:
    """The computed wait of a rejection, or the longest minimum in the settings of its spent limits."""
    spent = {state.limit.key for state in decision.states if not state.has_room}
    floors = [charge.compiled.floor_ms for charge in charged if charge.limit.key in spent]
    return max(decision.retry_after_ms, *floors)
