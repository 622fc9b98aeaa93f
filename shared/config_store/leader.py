"""Jobs that one process of all machines does: it leads for a while, and another one follows when it ends.

``lead:{<job>}`` has the leader and the number of its term, and expires; ``lead:{<job>}:terms`` counts the
terms. A process that was paused, or cut off from Redis, may work on for a moment beside the next leader. So
a job must be harmless when it runs twice, asks `Term.is_held` before each step, and where that is not enough,
stores the number of the term with what it writes, and never replaces what has a higher one.
"""

import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from redis import Redis

from shared.config_store import layout
from shared.config_store.redis_errors import redis_errors
from shared.core.clock import Clock
from shared.core.errors import StoreDown
from shared.core.process.failures import Failures

#: Seconds that a process leads without a renewal. It renews three times as often.
LEAD_SECONDS = 15.0
_RENEWALS = 3

logger = logging.getLogger(__name__)


class Lead(NamedTuple):
    """The process that leads a job, by its name, and the number of its term."""

    name: str
    term: int


def read_leads(client: Redis, jobs: Sequence[str]) -> Sequence[Lead | None]:
    """Which process leads each of the jobs; None: none does now. Raises redis-py's errors."""
    with client.pipeline(transaction=False) as pipeline:
        for job in jobs:
            pipeline.get(_key(job))
        replies = pipeline.execute()
    return [None if reply is None else _parse(reply) for reply in replies]


def _parse(reply: bytes) -> Lead:
    name, _, term = reply.decode().partition(" ")
    return Lead(name, int(term))


def _key(job: str) -> str:
    return f"lead:{{{job}}}"


@dataclass(frozen=True, slots=True)
class Term:
    """One time of leading. `number` is higher than that of every earlier leader of the job."""

    number: int
    _is_held: Callable[[int], bool]

    def is_held(self) -> bool:
        """Whether no other process can lead yet, and this one is not about to end."""
        return self._is_held(self.number)


class Leader:
    """Calls `work` every `every` seconds, while this process leads `job`.

    Start it after the fork of a worker. One thread keeps the lead, another one works. An error of `work` is
    logged, and it is called again in time.
    """

    def __init__(
        self,
        client: Redis,
        job: str,
        work: Callable[[Term], None],
        clock: Clock,
        *,
        every: float,
        lead_seconds: float = LEAD_SECONDS,
        name: str = "",
    ) -> None:
        """`client` must return bytes, and have timeouts that are shorter than the lead.

        `name` is that of this process, which no other one has; random if it is empty.
        """
        self._client = client
        self._job = job
        self._work = work
        self._clock = clock
        self._every = every
        self._lead_seconds = lead_seconds
        self._keys = (_key(job), f"{_key(job)}:terms")
        self._lead = client.register_script(layout.script("lead"))
        self._release = client.register_script(layout.script("release"))
        self._failures = Failures()
        self._name = name
        self._term, self._until = 0, 0.0
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._threads: tuple[threading.Thread, ...] = ()

    def start(self) -> None:
        """Begin to ask for the lead."""
        # Not before the fork: its workers must differ.
        self._name = self._name or os.urandom(8).hex()
        self._ended.clear()
        self._threads = tuple(
            threading.Thread(target=target, name=f"{self._job} ({title})", daemon=True)
            for target, title in ((self._keep, "lead"), (self._repeat, "work"))
        )
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Wait at most `timeout` seconds for the end of `work`, and give up the lead."""
        self._ended.set()
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout)
        if not any(thread.is_alive() for thread in self._threads):  # else the lead expires
            self._give_up()

    def is_leading(self) -> bool:
        """Whether this process leads now."""
        return self._is_held(self._term)

    def _is_held(self, term: int) -> bool:
        is_newest = term > 0 and term == self._term and self._clock.monotonic() < self._until
        return is_newest and not self._ended.is_set()

    def _keep(self) -> None:
        while not self._ended.is_set():
            self._ask()
            self._ended.wait(self._lead_seconds / _RENEWALS)

    def _ask(self) -> None:
        # Redis counts from later, so the lead ends here before it ends there.
        asked = self._clock.monotonic()
        try:
            with redis_errors():
                term: Any = self._lead(self._keys, [self._name, int(self._lead_seconds * 1000)])
        except StoreDown as error:
            if self._failures.is_new(error, "lead"):
                logger.warning("The lead of the job %s cannot be asked for: %s", self._job, error)
            return
        self._failures.end("lead")
        with self._changed:
            if term and term != self._term:
                logger.info("This process leads the job %s, term %d.", self._job, term)
            self._term, self._until = term, asked + self._lead_seconds
            self._changed.notify_all()

    def _give_up(self) -> None:
        term, self._term = self._term, 0
        if not term:
            return
        try:
            with redis_errors():
                self._release(self._keys[:1], [f"{self._name} {term}"])
        except StoreDown as error:
            logger.warning("The lead of the job %s was left to expire: %s", self._job, error)

    def _repeat(self) -> None:
        while not self._ended.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self._ended.is_set() or self.is_leading())
            if self._ended.is_set():
                return
            try:
                self._work(Term(self._term, self._is_held))
                self._failures.end("work")
            except StoreDown as error:  # the next turn, or the next leader, does it
                if self._failures.is_new(error, "work"):
                    logger.warning("The job %s waits: %s", self._job, error)
            except Exception as error:  # a job may raise anything; the thread stays, and repeats it
                if self._failures.is_new(error, "work"):
                    logger.error("The job %s failed: %s", self._job, error, exc_info=error)
            self._ended.wait(self._every)
