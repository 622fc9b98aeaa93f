"""Any history of a limiter, step by step: it must decide as the event list does."""

from collections.abc import Callable, Sequence

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shared.limits.redis.limiter import RedisLimiter
from shared.limits.values import BUDGET, CONCURRENT, NEVER, WINDOW, Decision, Limit, budget_keys
from shared.testing.memory_limiter import MemoryLimiter
from tests.limits.redis.limiter_model import EventList
from tests.limits.redis.limiter_world import World, at_a_time, budget, limit
from tests.limits.redis.stored_counter import stored_counter

# The server's own clock expires keys, the test's clock turns windows: windows must outlast an example.
WINDOWS_MS = (7_000, 10_000, 61_000)

# Standing still, a little, whole and nearly whole buckets, whole windows, and a clock set back.
PAUSES = (
    st.sampled_from([0, 1, 777, 100_000, 109_374, 109_375, 109_376, 1_000_003, 6_999_999, 7_000_000])
    | st.integers(0, 20_000_000)
    | st.integers(-3_000_000, 0)
    | st.sampled_from([3_600_000_000, -3_600_000_000])
)
PLACES = st.lists(st.integers(0, 6), min_size=1, max_size=5, unique=True)
# The large ones fill buckets beyond what one byte of a counter holds, and two.
NUMBERS = st.integers(0, 6) | st.sampled_from([300, 50_000])
COSTS = st.sampled_from([1, 1, 1, 2, 5, 127, 128, 16_384])
EXCHANGES = st.sampled_from(["a", "b", "c", "d", "e"])


class LimiterMachine(RuleBasedStateMachine):
    """Three windows, two concurrent limits and two budgets whose numbers change. `world` is set by the test."""

    world: World

    @initialize(numbers=st.lists(NUMBERS, min_size=7, max_size=7))
    def begin(self, numbers: list[int]) -> None:
        self.here = self.world
        self.here.forget()
        self.model = EventList()
        self.numbers = numbers
        self.admitted: list[tuple[Decision, list[Limit]]] = []

    def chosen(self, slots: Sequence[int], cost: int, exchange: str) -> list[Limit]:
        windows = [
            limit(f"dimension{place}", self.numbers[place], WINDOWS_MS[place], cost=cost)
            for place in slots
            if place < 3
        ]
        leased = [
            at_a_time(self.numbers[place], exchange, name=f"streams{place}", length_ms=WINDOWS_MS[place - 3])
            for place in slots
            if 3 <= place < 5
        ]
        budgets = [
            budget(self.numbers[place], exchange, cost=cost, name=f"bud_{place}:0", length_ms=9_000)
            for place in slots
            if place >= 5
        ]
        return windows + leased + budgets

    def budgets(self, slots: Sequence[int], exchange: str) -> list[Limit]:
        return [wanted for wanted in self.chosen(slots, 1, exchange) if wanted.kind == BUDGET]

    @property
    def now(self) -> int:
        return self.here.hands.now_us

    @rule(pause=PAUSES)
    def time_passes(self, pause: int) -> None:
        self.here.hands.now_us += pause

    @rule(place=st.integers(0, 6), number=NUMBERS)
    def a_number_changes(self, place: int, number: int) -> None:
        self.numbers[place] = number

    @rule(slots=PLACES, cost=COSTS, exchange=EXCHANGES)
    def a_request_comes(self, slots: list[int], cost: int, exchange: str) -> None:
        limits = self.chosen(slots, cost, exchange)
        before = self.here.stored(*limits)
        loses = any(self.model.budget(wanted).ended(self.now) for wanted in limits if wanted.kind == BUDGET)
        violated = self.model.acquire(limits, self.now)
        decision = self.here.acquire(*limits)
        assert (decision.allowed, decision.violated) == (not violated, next(iter(violated), None))
        if violated:
            assert loses or self.here.stored(*limits) == before
            self.check_wait(decision, violated)
            self.check_charges(decision, limits)
        else:
            self.admitted.append((decision, limits))
        for state in decision.states:
            used = self.model.used(state.limit, self.now)
            if state.limit.kind == CONCURRENT and not violated:
                used += 1
            left = state.limit.quota.limit - used
            assert state.remaining == (left if state.limit.kind == BUDGET else max(left, 0))

    @rule(slots=PLACES, exchange=EXCHANGES)
    def an_exchange_ends(self, slots: list[int], exchange: str) -> None:
        limits = self.chosen(slots, 1, exchange)
        self.here.release(*limits)
        self.leased(limits, self.model.release)

    @rule(slots=PLACES, exchange=EXCHANGES, amount=COSTS, is_unreserved=st.booleans())
    def a_row_is_written(self, slots: list[int], exchange: str, amount: int, is_unreserved: bool) -> None:
        """Of a request that ended a moment or an hour ago, or whose row was written before."""
        if budgets := self.budgets(slots, exchange):
            self.here.settle(*budgets, amount=amount, is_unreserved=is_unreserved)
            for wanted in budgets:
                self.model.budget(wanted).settle(exchange, amount, counts_always=is_unreserved)

    @rule(slots=PLACES, exchange=EXCHANGES, at_once=st.booleans())
    def a_request_ends_without_a_row(self, slots: list[int], exchange: str, at_once: bool) -> None:
        if budgets := self.budgets(slots, exchange):
            limiter = self.here.limiter
            if at_once and isinstance(limiter, RedisLimiter):
                self.here.run(limiter.cancel(budgets))
            else:
                self.here.settle_nothing(*budgets)
            for wanted in budgets:
                self.model.budget(wanted).settle(exchange, 0, counts_always=False)

    @rule(slots=PLACES, exchange=EXCHANGES)
    def an_exchange_goes_on(self, slots: list[int], exchange: str) -> None:
        limits = self.chosen(slots, 1, exchange)
        self.here.renew(*limits)
        for wanted in limits:
            if wanted.kind != WINDOW:
                self.model.renew(wanted, self.now)

    @rule(which=st.integers(0, 100), known=st.booleans())
    def a_charge_is_taken_back(self, which: int, known: bool) -> None:
        if self.admitted:
            charged, limits = self.admitted.pop(which % len(self.admitted))
            self.here.refund(*limits, charged=charged if known else None)
            for wanted in limits:
                if wanted.kind == WINDOW:
                    self.model.refund(wanted, self.now, charged.charged_at if known else 0)

    @rule(which=st.integers(0, 100), units=COSTS, known=st.booleans())
    def a_charge_grows(self, which: int, units: int, known: bool) -> None:
        if self.admitted:
            charged, limits = self.admitted[which % len(self.admitted)]
            self.here.correct(*((wanted, units) for wanted in limits), charged=charged if known else None)
            for wanted in limits:
                if wanted.kind == WINDOW:
                    self.model.add(wanted, units, self.now, charged.charged_at if known else 0)

    @invariant()
    def budgets_are_those_of_the_model(self) -> None:
        for key, expected in self.model.budgets.items():
            if self.here.store is None:
                assert isinstance(self.here.limiter, MemoryLimiter)
                found = self.here.limiter.budget(key)
                assert (found.used, found.held, len(found.lost)) == (
                    expected.used,
                    expected.held,
                    expected.lost,
                )
                continue
            store, (numbers, leases, amounts, _) = self.here.store, budget_keys(key)
            used, held, lost = (int(one or 0) for one in store.hmget(numbers, "used", "held", "lost"))
            assert (used, held, lost) == (expected.used, expected.held, expected.lost)
            reserved = {lease.decode(): int(amount) for lease, amount in store.hgetall(amounts).items()}
            assert reserved == expected.open
            assert {lease.decode() for lease in store.zrange(leases, 0, -1)} == {*reserved}

    def leased(self, limits: Sequence[Limit], each: Callable[[Limit], None]) -> None:
        for wanted in limits:
            if wanted.kind == CONCURRENT:
                each(wanted)

    def check_wait(self, decision: Decision, violated: Sequence[Limit]) -> None:
        """At the time named there is room in the windows; a millisecond earlier there is none."""
        if any(wanted.units > wanted.quota.limit or wanted.kind == BUDGET for wanted in violated):
            assert decision.retry_after_ms == NEVER
            return
        windows = [wanted for wanted in violated if wanted.kind != CONCURRENT]
        if len(windows) < len(violated):
            assert decision.retry_after_ms >= 1_000
        if windows:
            now = self.now
            states = [state for state in decision.states if state.limit in windows]
            wait = max(state.reset_after_ms for state in states)
            self.here.hands.forward(wait - 1)
            assert not self.here.peek(*windows).allowed
            self.here.hands.forward(1)
            assert self.here.peek(*windows).allowed
            self.here.hands.now_us = now

    def check_charges(self, decision: Decision, limits: Sequence[Limit]) -> None:
        """A rejection names the charges of its windows. One that is repeated from memory does not."""
        for wanted in limits if decision.charged else ():
            if wanted.kind == WINDOW:
                charged = decision.charged.get(wanted.key, {})
                assert {at: units for at, units in charged.items() if units} == self.model.live(
                    wanted, self.now
                )

    def teardown(self) -> None:
        for place in range(3):
            self.check_ring(limit(f"dimension{place}", window_ms=WINDOWS_MS[place]))

    def check_ring(self, wanted: Limit) -> None:
        """The total is the sum of the ring, which is one window long at most."""
        counter = stored_counter(self.here.store, wanted) if self.here.store else None
        if counter:
            assert counter.total == sum(counter.ring.values()) > 0
            assert counter.newest - counter.oldest <= 64


def machine(here: World) -> type[LimiterMachine]:
    """The machine of one limiter."""
    return type("Machine", (LimiterMachine,), {"world": here})
