"""The strategies of a pool: which of several candidates a call without an affinity takes.

All take candidates that may be called now. `random` returns a number from 0 up to but not including 1.
"""

from collections.abc import Callable, Sequence

from shared.upstreams.draw import draw
from shared.upstreams.target import Target, TargetState

#: The expected time to the first content while no target of the pool has a sample, in seconds.
DEFAULT_LATENCY_SECONDS = 1.0


class Member:
    """A target in a pool. `turns` is what smooth weighted round robin owes it."""

    __slots__ = ("state", "target", "turns")

    def __init__(self, target: Target, state: TargetState) -> None:
        self.target = target
        self.state = state
        self.turns = 0


def take_turn(candidates: Sequence[Member]) -> Member:
    """Smooth weighted round robin, as in nginx: the shares are exact, and the turns of a target are spread.

    >>> from shared.model.pools import Breaker
    >>> targets = Target(id="a", weight=3), Target(id="b", weight=1)
    >>> members = [Member(target, TargetState(Breaker())) for target in targets]
    >>> "".join(take_turn(members).target.id for _ in range(8))
    'aabaaaba'
    """
    total, best = 0, candidates[0]
    for member in candidates:
        member.turns += member.target.weight
        total += member.target.weight
        if member.turns > best.turns:
            best = member
    best.turns -= total
    return best


def least_busy(candidates: Sequence[Member], random: Callable[[], float]) -> Member:
    """The target with the fewest calls under way for its weight. Ties are drawn."""
    loads = [(member.state.in_flight + 1) / member.target.weight for member in candidates]
    least = min(loads)
    ties = [member for member, load in zip(candidates, loads, strict=True) if load == least]
    return ties[int(random() * len(ties))]


def lower_latency(candidates: Sequence[Member], now: float, random: Callable[[], float]) -> Member:
    """Of two targets that are drawn by weight, the one with the lower cost: latency times calls under way.

    The best of two random ones spreads the load almost as well as the best of all, and does not send all
    calls to the same target (Mitzenmacher, "The power of two choices").
    """
    one = _drawn(candidates, random)
    other = _drawn([member for member in candidates if member is not one], random)
    expected, others = one.state.latency.estimate(now), other.state.latency.estimate(now)
    if expected is None or others is None:
        unknown = _lowest_latency(candidates, now)
        expected, others = (unknown if each is None else each for each in (expected, others))
    costs = expected * (one.state.in_flight + 1), others * (other.state.in_flight + 1)
    return one if costs[0] <= costs[1] else other


def _drawn(candidates: Sequence[Member], random: Callable[[], float]) -> Member:
    return draw(candidates, [member.target.weight for member in candidates], random)


def _lowest_latency(candidates: Sequence[Member], now: float) -> float:
    known = [found for one in candidates if (found := one.state.latency.estimate(now)) is not None]
    return min(known, default=DEFAULT_LATENCY_SECONDS)
