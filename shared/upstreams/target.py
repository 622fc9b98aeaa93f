"""One target of a pool, and its state: the calls under way, the latency and the breaker."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self
from weakref import WeakValueDictionary

from shared.model.pools import Breaker
from shared.upstreams.breaker import OutlierBreaker
from shared.upstreams.ewma import PeakEwma
from shared.upstreams.keys import KeyRing
from shared.upstreams.outcome import Fault, Outcome
from shared.usage.asking import AUTO

#: The capabilities that a request may need of a model, by name.
NEEDS: Final = ("vision", "pdf", "audio", "tools")


class Load:
    """The calls under way in this worker: of a provider, those of all tenants and targets together."""

    __slots__ = ("__weakref__", "calls")

    def __init__(self) -> None:
        self.calls = 0


@dataclass(frozen=True, slots=True)
class Caps:
    """The capabilities that matter for the choice of a target, and for its calls.

    Attributes:
        lacks: those of `NEEDS` that it is known to lack.
        context: the most tokens of a call; None: not known.
        stream_usage: whether it reports the usage of a stream.
        max_output: the most tokens that it writes; None: not known.
    """

    lacks: frozenset[str] = frozenset()
    context: int | None = None
    stream_usage: bool | str = AUTO
    max_output: int | None = None

    @classmethod
    def of(cls, caps: Mapping[str, Any]) -> Self:
        """The capabilities of a model, by their names in `shared.providers.shipped.caps`."""
        lacks = frozenset(name for name in NEEDS if caps.get(name) is False)
        return cls(lacks, caps.get("context"), caps.get("stream_usage", AUTO), caps.get("max_output"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An upstream that a pool may choose.

    Attributes:
        id: ``<provider id>/<model>``, or a hash of the URL of a target without a provider.
        model: the name that its provider knows the model by; empty without a provider.
        weight: its share of the calls, at least 1.
        priority: the lowest number is tried first.
        max_concurrent: the most calls of its provider at a time in this worker; None: no limit.
        load: the calls of its provider under way.
        first_byte: its timeout for the first byte, in seconds. A failed call counts as slow as this.
        keys: the keys of its provider; None if it needs none.
        caps: what its model can do, as far as it is known.
    """

    id: str
    model: str = ""
    weight: int = 1
    priority: int = 0
    max_concurrent: int | None = None
    load: Load = field(default_factory=Load, repr=False, compare=False)
    first_byte: float = 60.0
    keys: KeyRing | None = None
    caps: Caps = Caps()


class TargetState:
    """The state of a target in this worker, for one tenant. `is_probed`: the pool has health checks."""

    __slots__ = ("__weakref__", "breaker", "in_flight", "is_probed", "latency")

    def __init__(self, settings: Breaker, trial_delay: float = 0.0) -> None:
        self.in_flight = 0
        self.is_probed = False
        self.latency = PeakEwma()
        self.breaker = OutlierBreaker(settings, trial_delay)


class Call:
    """One call of a target, from its beginning until `end`, which must follow in every case."""

    def __init__(self, target: Target, state: TargetState, now: float) -> None:
        self.target = target
        self.state = state
        self._number = state.latency.begin(now)
        breaker = state.breaker
        self._is_trial = breaker.until is not None and breaker.begin(now)
        self._is_open = self._is_waiting = True
        state.in_flight += 1
        target.load.calls += 1

    def served(self, now: float) -> None:
        """The first content of the response has come, or all of it."""
        if self._is_trial:
            self.state.latency.restart()
        self._is_waiting = False
        self.state.latency.arrived(self._number, now)
        self.state.breaker.succeeded(now, is_trial=self._is_trial)
        self._is_trial = False

    def failed(self, outcome: Outcome, now: float) -> bool:
        """The call failed before its first content. Returns True when this opened the breaker."""
        is_trial, self._is_trial = self._is_trial, False
        state, self._is_waiting = self.state, False
        if outcome.fault is Fault.TARGET:
            state.latency.failed(self._number, now, self.target.first_byte)
            return state.breaker.failed(now, outcome.why, is_trial=is_trial)
        state.latency.ended(self._number)
        if outcome.fault is Fault.CLIENT:  # the target works
            state.breaker.succeeded(now, is_trial=is_trial)
        else:
            state.breaker.abandoned(is_trial=is_trial)
        return False

    def end(self) -> None:
        """The call is over. May be called again."""
        if self._is_open:
            self._is_open = False
            self.state.in_flight -= 1
            self.target.load.calls -= 1
            if self._is_waiting:
                self.state.latency.ended(self._number)
            if self._is_trial:
                self.state.breaker.abandoned(is_trial=True)


class States[K: tuple[str, ...], S]:
    """The states of targets or keys, each made once, and kept for as long as anything uses it.

    So a configuration that is compiled again finds the states of the one before.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: WeakValueDictionary[K, S] = WeakValueDictionary()

    def of(self, key: K, make: Callable[[], S]) -> S:
        """The state under that key, such as the ids of a tenant and a target; made if there is none."""
        state = self._known.get(key)
        if state is None:
            state = self._known[key] = make()
        return state

    def known(self, key: K) -> S | None:
        """The state under that key; None if nothing uses it."""
        return self._known.get(key)

    def matching(self, key: K, any_first: str) -> Sequence[S]:
        """The state under that key. If the first part is `any_first`: all states with the other parts."""
        if key[0] != any_first:
            found = self._known.get(key)
            return [] if found is None else [found]
        return [state for known, state in self.items() if known[1:] == key[1:]]

    def items(self) -> Sequence[tuple[K, S]]:
        """All states with their keys. Another thread may make states meanwhile."""
        references = self._known.valuerefs()
        return [(one.key, state) for one in references if (state := one()) is not None]
