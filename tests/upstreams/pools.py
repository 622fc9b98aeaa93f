"""Pools, keys and a simulated world for the tests of this folder."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random

from shared.model.pools import Breaker, PoolPolicy, Strategy
from shared.model.providers import ProviderKey
from shared.upstreams.choose import Pool
from shared.upstreams.keys import KeyRing, KeyState
from shared.upstreams.outcome import Outcome
from shared.upstreams.target import Call, States, Target, TargetState

SECRET = b"the name of the deployment"


def never() -> float:
    raise AssertionError("No random number is needed here.")


@dataclass
class World:
    """Target and key states of one worker, and the pools made of them."""

    worker: int = 0
    targets: States[tuple[str, ...], TargetState] = field(default_factory=States)
    keys: dict[str, KeyState] = field(default_factory=dict)

    def pool(self, targets: Sequence[Target], policy: PoolPolicy | None = None) -> Pool:
        return Pool(targets, policy or PoolPolicy(), self.state, secret=SECRET, worker=self.worker)

    def state(self, target: Target | str) -> TargetState:
        name = target if isinstance(target, str) else target.id
        return self.targets.of((name,), lambda: TargetState(Breaker()))

    def key_state(self, key: str) -> KeyState:
        return self.keys.setdefault(key, KeyState(key))

    def ring(self, *keys: ProviderKey | str) -> KeyRing:
        known = [ProviderKey(id=key, name=key) if isinstance(key, str) else key for key in keys]
        return KeyRing(known, self.key_state, secret=SECRET)


def targets(*names: str, weights: Sequence[int] = (), **more: object) -> list[Target]:
    """Targets with those names."""
    each = weights or [1] * len(names)
    return [Target(id=name, weight=weight, **more) for name, weight in zip(names, each, strict=True)]  # type: ignore[arg-type]


#: When a call that begins at a time is over, and how it ended; None: served.
Service = Callable[[float, Random], tuple[float, Outcome | None]]


def seconds(mean: float) -> Service:
    """Calls that take about that long."""
    return lambda now, random: (max(0.01, random.gauss(mean, mean * 0.2)), None)


@dataclass
class Load:
    """An open loop of calls to a pool: how many each target got, and the most that it had at a time."""

    calls: Counter[str] = field(default_factory=Counter)
    busiest: Counter[str] = field(default_factory=Counter)
    last: dict[str, float] = field(default_factory=dict)

    def share(self, name: str) -> float:
        return self.calls[name] / self.calls.total()


def simulate(
    services: dict[str, Service],
    *,
    strategy: Strategy,
    rate: float = 100,
    duration: float = 60,
    seed: int = 1,
) -> Load:
    """Send calls at random times. No call is repeated."""
    random, load, world = Random(seed), Load(), World()
    pool = world.pool(targets(*services), PoolPolicy(strategy=strategy))
    ends: list[tuple[float, int, Call, Outcome | None]] = []
    for now, number in _arrivals(random, rate, duration):
        while ends and ends[0][0] <= now:
            at, _, call, outcome = heapq.heappop(ends)
            if outcome is None:
                call.served(at)
            else:
                call.failed(outcome, at)
            call.end()
        target, state, _, _ = pool.choose(now, random.random)
        assert target is not None
        assert state is not None
        took, outcome = services[target.id](now, random)
        heapq.heappush(ends, (now + took, number, Call(target, state, now), outcome))
        load.calls[target.id] += 1
        load.busiest[target.id] = max(load.busiest[target.id], state.in_flight)
        load.last[target.id] = now
    return load


def _arrivals(random: Random, rate: float, duration: float) -> Iterator[tuple[float, int]]:
    now = 0.0
    for number in count():
        now += random.expovariate(rate)
        if now > duration:
            return
        yield now, number
