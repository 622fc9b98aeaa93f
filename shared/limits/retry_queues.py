"""The waits of rejected clients: each is told a free place of its own.

If all rejected clients were told the same wait, they would return at the same time, and most of them would be
rejected again. So a process notes the places that it told, and tells the next one to the next client. Times
are whole microseconds, of the clock of this process if nothing else is said.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from shared.limits.sliding_window import BUCKETS, bucket_width
from shared.limits.values import NEVER, Decision, Limit, LimitState

# SDKs do not wait longer, in milliseconds.
_LONGEST_MS = 60_000
# Windows after the first free place in which places are told. Then they are told again from the first one on:
# a client that does not wait must not make the waits of the others longer and longer.
_WINDOWS = 8
# How late a client may come: the network, and its own timer. A later one has given up its place.
_LATE, _GIVEN_UP = 50_000, 1_000_000
# Other processes for which places are left out.
_MAX_WORKERS = 8
# Queues that are kept, and how many of them a new one checks.
_MAX_QUEUES, _SWEEP = 512, 4


class Turn(NamedTuple):
    """The position of a process, from 0 on, among all `workers` that count the same limits."""

    number: int = 0
    workers: int = 1


@dataclass(slots=True, kw_only=True)
class _Queue:
    """The places of one limit, by bucket (`sliding_window`).

    Attributes:
        width: the length of a bucket.
        room: the units that a window may have.
        offset: the clock that counts the limit minus the clock of this process.
        charged: units that count, by bucket.
        told: units for which a place was told, by bucket.
        is_first: the last place that was told was the first one.
        place: the bucket up to which places are told.
        used: the units of the window that ends with it.
        leaving: when these units leave the window, the first ones first.
        is_stale: `place`, `used` and `leaving` do not yet follow from `charged` and `told`.
    """

    width: int
    room: int = 0
    offset: int = 0
    charged: dict[int, int] = field(default_factory=dict)
    told: dict[int, int] = field(default_factory=dict)
    is_first: bool = True
    place: int = 0
    used: int = 0
    leaving: deque[tuple[int, int]] = field(default_factory=deque)
    is_stale: bool = True

    def tell(self, state: LimitState, now: int) -> int:
        """The wait until the next place, in milliseconds; never less than the limit itself says."""
        wait = self._next_wait_ms(now, state.limit.units)
        horizon = state.reset_after_ms + _WINDOWS * state.limit.quota.window_ms
        if wait > max(state.reset_after_ms, min(_LONGEST_MS, horizon)):
            self.told.clear()
            self.is_stale = True
            wait = self._next_wait_ms(now, state.limit.units)
        return max(wait, state.reset_after_ms)

    def leave_out(self, state: LimitState, places: int, now: int) -> None:
        """Note so many places that other processes may tell, unless this would be the first one."""
        self.is_first = not any(self.told.values())
        for _ in range(0 if self.is_first else places):
            self.note(now + self.tell(state, now) * 1000, state.limit.units)

    def note(self, at: int, units: int) -> None:
        """Note a place that was told."""
        bucket = self._bucket(at)
        self.told[bucket] = self.told.get(bucket, 0) + units
        self._go_to(bucket)
        self.leaving.append((bucket + self._late + BUCKETS + 1, units))
        self.used += units

    def charge(self, now: int, units: int) -> None:
        """Note a charge: the client with the oldest place has come."""
        bucket = self._bucket(now)
        self.charged[bucket] = self.charged.get(bucket, 0) + units
        for place in sorted(place for place in self.told if place <= bucket):
            taken = min(units, self.told[place])
            units -= taken
            self.told[place] -= taken
        self.is_stale = self.is_stale or units > 0

    def drop_old(self, now: int) -> None:
        """Drop charges that no longer count, and places whose clients have not come."""
        first, given_up = self._bucket(now) - BUCKETS, self._bucket(now - _GIVEN_UP)
        self.charged = {bucket: units for bucket, units in self.charged.items() if bucket >= first}
        self.told = {place: units for place, units in self.told.items() if place >= given_up and units}

    @property
    def _late(self) -> int:
        """How many buckets later than told a client may come."""
        return -(-_LATE // self.width)

    def _bucket(self, at: int) -> int:
        return (at + self.offset) // self.width

    def _next_wait_ms(self, now: int, units: int) -> int:
        """The time until the first place with room for `units` that is not before the last one."""
        if self.is_stale:
            self._sort(now)
        self._go_to(self._bucket(now))
        while self.used + units > self.room and self.leaving:
            self._go_to(self.leaving[0][0])
        return -(-(self.place * self.width - now - self.offset) // 1000)

    def _go_to(self, bucket: int) -> None:
        self.place = max(self.place, bucket)
        while self.leaving and self.leaving[0][0] <= self.place:
            self.used -= self.leaving.popleft()[1]

    def _sort(self, now: int) -> None:
        self.drop_old(now)
        late = self._late
        units = [(bucket + BUCKETS + 1, units) for bucket, units in self.charged.items()]
        units += [(place + late + BUCKETS + 1, units) for place, units in self.told.items()]
        self.leaving = deque(sorted(units))
        self.used = sum(each for _, each in units)
        self.place = max(self.told, default=0)
        self.is_stale = False


class RetryQueues:
    """The waits that this process told. At most `max_queues` limits, the oldest first.

    Several processes count the same limits, and none knows what the others told. So behind the first place
    they take turns: this one leaves out the places of the others. `turn` returns its position now.
    """

    def __init__(self, turn: Callable[[], Turn] = Turn, max_queues: int = _MAX_QUEUES) -> None:
        self._turn = turn
        self._max_queues = max_queues
        #: By the keys of the limits; empty as long as nobody was rejected.
        self.queues: dict[str, _Queue] = {}

    def spread(self, decision: Decision, now: int) -> Decision:
        """The rejection with a place of its own in each spent window, as far as its charges are known."""
        if decision.retry_after_ms == NEVER:
            return decision
        # A process that decides alone counts its own share, in which no other process tells places.
        number, workers = Turn() if decision.degraded else self._turn()
        others = min(workers, _MAX_WORKERS) - 1
        before = (number - 1) % (others + 1)
        states, found, longest = list(decision.states), [], 0
        for index, state in enumerate(states):
            if state.has_room:
                continue
            if queue := self._queue(state, decision, now):
                found.append((queue, state.limit.units))
                queue.leave_out(state, before if queue.is_first else others, now)
                states[index] = state = state._replace(reset_after_ms=queue.tell(state, now))
            longest = max(longest, state.retry_after_ms)
        for queue, units in found:
            # The client comes after the longest of its waits.
            queue.note(now + longest * 1000, units)
        return decision._replace(states=states, retry_after_ms=longest)

    def charge(self, limits: Sequence[Limit], now: int) -> None:
        """Note that these limits were charged."""
        for limit in limits:
            if queue := self.queues.get(limit.key):
                queue.charge(now, limit.units)

    def _queue(self, state: LimitState, decision: Decision, now: int) -> _Queue | None:
        """The queue of a spent limit; None if its charges were never known."""
        key, charged = state.limit.key, decision.charged.get(state.limit.key)
        queue = self.queues.get(key)
        if charged is None:
            return queue
        width = bucket_width(state.limit.quota.window_ms)
        if queue is None or queue.width != width:
            self._make_room(now)
            queue = self.queues[key] = _Queue(width=width)
        queue.charged, queue.offset, queue.is_stale = dict(charged), decision.decided_at - now, True
        queue.room = min(state.remaining + sum(charged.values()), state.limit.quota.limit)
        return queue

    def _make_room(self, now: int) -> None:
        for key in list(islice(self.queues, _SWEEP)):
            queue = self.queues.pop(key)
            queue.drop_old(now)
            if queue.told:
                self.queues[key] = queue
        while len(self.queues) >= self._max_queues:
            del self.queues[next(iter(self.queues))]
