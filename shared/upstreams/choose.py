"""The choice of a target: the first level of priority with a candidate, and in it the policy's strategy.

A candidate has not been tried for this request, can serve it, has a free place, and its breaker admits a
call. Then, in this order:

1. with an affinity key, the first target of its rendezvous order that is not too busy (`Affinity.spill`);
2. a target whose breaker is half-open: this call is its trial;
3. the strategy of the policy.

A request that goes on with what a provider has stored is `pinned`: the other targets do not exist for it.

When no level has a candidate, breakers are ignored in a level where they took out more than half of the
targets: a call that may fail is better than none (Envoy's panic threshold). A pool belongs to one worker.
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from shared.model.pools import PoolPolicy, Strategy
from shared.upstreams.attempt import PlannedCall
from shared.upstreams.draw import Rendezvous
from shared.upstreams.strategies import Member, least_busy, lower_latency, take_turn
from shared.upstreams.target import Target, TargetState

#: Reasons why a target is not chosen, besides those of `Fits`.
TRIED, BUSY, OPEN, PINNED = "tried", "max_concurrent", "open", "pinned"
#: Returns why a target cannot serve a request, such as ``has no vision``; empty if it can.
Fits = Callable[[Target], str]

# A target with fewer calls is not busy, whatever the mean: a conversation with a few calls at a time stays.
_FEW = 4


class Choice(NamedTuple):
    """The chosen target, or why there is none.

    Attributes:
        target, state: the chosen target; None if no target is a candidate.
        why_not: the reason for each target that is not a candidate, by its id. Targets of a lower priority
            than the chosen one are not looked at, and have none.
        wait: without a target, the seconds until the first trial of one that is open; None if none is.
    """

    target: Target | None
    state: TargetState | None
    why_not: Mapping[str, str]
    wait: float | None = None


class Pool:
    """The targets of one model or rule. `states` returns the state of each.

    `secret` is the deployment's, so that tenants cannot compute who shares their target. `worker` is the
    number of this worker: each begins its turns at another target.

    Attributes:
        policy: how to choose.
        only: the call of a pool that has a single one, as most have; None if there may be a choice.
    """

    __slots__ = ("_hash", "_levels", "_members", "only", "policy")

    def __init__(
        self,
        targets: Sequence[Target],
        policy: PoolPolicy,
        states: Callable[[Target], TargetState],
        *,
        secret: bytes,
        worker: int = 0,
    ) -> None:
        self.policy = policy
        self._members = {target.id: Member(target, states(target)) for target in targets}
        by_priority = sorted(self._members.values(), key=lambda member: member.target.priority)
        self._levels = [
            list(level) for _, level in itertools.groupby(by_priority, lambda member: member.target.priority)
        ]
        first = by_priority[0]
        self.only = PlannedCall.only(first.target, first.state) if len(by_priority) == 1 else None
        self._hash = Rendezvous(secret, [(target.id, target.weight) for target in targets])
        for member in self._members.values():
            if member.state.breaker.settings != policy.breaker:
                member.state.breaker.configure(policy.breaker)
        for level in self._levels:
            for _ in range(worker % sum([member.target.weight for member in level])):
                take_turn(level)

    @property
    def targets(self) -> Iterable[Target]:
        return [member.target for member in self._members.values()]

    def choose(
        self,
        now: float,
        random: Callable[[], float],
        *,
        affinity: bytes | None = None,
        pinned: Collection[str] | None = None,
        tried: Collection[str] = (),
        fits: Fits | None = None,
    ) -> Choice:
        """The target for a call, not one of `tried`. `affinity` is the request's key (`affinity.py`).

        `pinned` has the ids of the only targets that may be chosen; None: all.
        """
        why_not: dict[str, str] = {}
        levels = self._levels
        if pinned is not None:
            why_not = {id: PINNED for id in self._members if id not in pinned}
            levels = [[member for member in level if member.target.id in pinned] for level in levels]
        for level in levels:
            candidates = []
            for member in level:
                reason = _barred(member, now, tried, fits)
                if reason:
                    why_not[member.target.id] = reason
                else:
                    candidates.append(member)
            if candidates:
                return self._choice(candidates, now, random, affinity, why_not)
        return self._panic(levels, now, random, affinity, why_not)

    def _panic(
        self,
        levels: Sequence[list[Member]],
        now: float,
        random: Callable[[], float],
        affinity: bytes | None,
        why_not: dict[str, str],
    ) -> Choice:
        """Choose among the targets that only their breakers bar, or say how long to wait for one."""
        trials = []
        for level in levels:
            opened = [member for member in level if why_not[member.target.id] == OPEN]
            if opened and 2 * sum([not member.state.breaker.admits(now) for member in level]) > len(level):
                for member in opened:
                    del why_not[member.target.id]
                return self._choice(opened, now, random, affinity, why_not)
            trials += [(member.state.breaker.until or now) - now for member in opened]
        return Choice(None, None, why_not, max(min(trials), 0.0) if trials else None)

    def _choice(
        self,
        candidates: list[Member],
        now: float,
        random: Callable[[], float],
        affinity: bytes | None,
        why_not: dict[str, str],
    ) -> Choice:
        member = candidates[0]
        if len(candidates) > 1:
            if affinity is not None and self.policy.affinity is not None:
                member = self._by_affinity(candidates, affinity, self.policy.affinity.spill)
            else:
                member = _by_strategy(self.policy.strategy, candidates, now, random)
        return Choice(member.target, member.state, why_not)

    def _by_affinity(self, candidates: list[Member], key: bytes, spill: float) -> Member:
        """The first target of the key's order that is not too busy.

        The least busy target never is, because `spill` is at least 1.
        """
        score = self._hash.score
        order = sorted(candidates, key=lambda member: score(member.target.id, key), reverse=True)
        calls = 1 + sum([member.state.in_flight for member in order])
        share = spill * calls / sum([member.target.weight for member in order])
        for member in order:
            if member.state.in_flight < _FEW or member.state.in_flight <= share * member.target.weight:
                return member
        return order[0]


def _by_strategy(
    strategy: Strategy, candidates: list[Member], now: float, random: Callable[[], float]
) -> Member:
    for member in candidates:
        if member.state.breaker.until is not None and member.state.breaker.admits(now):
            return member
    if strategy is Strategy.WEIGHTED:
        return take_turn(candidates)
    if strategy is Strategy.LATENCY:
        return lower_latency(candidates, now, random)
    if strategy is Strategy.LEAST_BUSY:
        return least_busy(candidates, random)
    return candidates[0]


def _barred(member: Member, now: float, tried: Collection[str], fits: Fits | None) -> str:
    """The reason why a target is not a candidate; empty if it is one. OPEN only if nothing else bars it."""
    target, state = member.target, member.state
    if target.id in tried:
        return TRIED
    if target.max_concurrent is not None and target.load.calls >= target.max_concurrent:
        return BUSY
    if fits is not None and (reason := fits(target)):
        return reason
    return "" if state.breaker.until is None or state.breaker.admits(now) else OPEN
