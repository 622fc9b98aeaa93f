"""Jobs that one process does: it leads, and another one follows when it ends, is killed or is paused."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import redis

from shared.config_store.client import open_client
from shared.config_store.leader import Leader, Term
from shared.core.errors import StoreDown
from shared.services import SystemClock
from tests.support.gateway import ROOT
from tests.support.valkey_server import Server
from tests.support.wait import until

LEAD = 0.5


@dataclass
class Worker:
    """A contender that notes the terms in which it worked."""

    client: redis.Redis
    job: str = "probe"
    every: float = 0.01
    terms: list[int] = field(default_factory=list)
    work: Callable[[Term], None] = lambda _: None

    def __post_init__(self) -> None:
        def note(term: Term) -> None:
            self.terms.append(term.number)
            self.work(term)

        self.leader = Leader(self.client, self.job, note, SystemClock(), every=self.every, lead_seconds=LEAD)


@pytest.fixture
def start(running: Server) -> Iterator[Callable[..., Worker]]:
    """Starts contenders with a client each, and stops them after the test."""
    workers: list[Worker] = []

    def start(**members: object) -> Worker:
        worker = Worker(open_client({"unix_socket_path": running.socket}), **members)  # type: ignore[arg-type]
        workers.append(worker)
        worker.leader.start()
        return worker

    yield start
    for worker in workers:
        worker.leader.stop()
        worker.client.close()


def wait(condition: Callable[[], object], seconds: float = 5.0) -> None:
    for _ in until(seconds):
        if condition():
            return
    raise AssertionError("It did not come to this in time.")


def test_one_of_two_processes_leads_until_it_stops(start: Callable[..., Worker]) -> None:
    first = start()
    wait(first.leader.is_leading)
    second = start()
    wait(lambda: len(first.terms) > 20)
    assert (set(first.terms), second.terms, second.leader.is_leading()) == ({1}, [], False)
    first.leader.stop()
    worked = len(first.terms)
    wait(second.leader.is_leading, LEAD)
    wait(lambda: second.terms)
    assert (set(second.terms), len(first.terms)) == ({2}, worked)


def test_jobs_are_led_on_their_own(start: Callable[..., Worker]) -> None:
    first, second = start(), start(job="other")
    wait(lambda: first.leader.is_leading() and second.leader.is_leading())


def test_leader_that_works_for_longer_than_its_lead_keeps_it(start: Callable[..., Worker]) -> None:
    done = threading.Event()
    held: list[bool] = []

    def work(term: Term) -> None:
        done.wait(LEAD * 1.5)
        held.append(term.is_held())

    first = start(work=work)
    wait(first.leader.is_leading)
    second = start()
    wait(lambda: held)
    assert (held[0], second.terms) == (True, [])
    done.set()


def test_error_of_a_job_is_logged_once_and_the_job_goes_on(
    start: Callable[..., Worker], caplog: pytest.LogCaptureFixture
) -> None:
    def work(_: Term) -> None:
        raise ValueError("no such provider")

    worker = start(work=work)
    wait(lambda: len(worker.terms) > 3)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "The job probe failed: no such provider"
    ]


def test_job_without_redis_is_a_warning_without_a_traceback(
    start: Callable[..., Worker], caplog: pytest.LogCaptureFixture
) -> None:
    def work(_: Term) -> None:
        raise StoreDown("Redis does not respond.")

    worker = start(work=work)
    wait(lambda: len(worker.terms) > 3)
    [record] = [one for one in caplog.records if one.levelname in ("WARNING", "ERROR")]
    assert (record.levelname, record.exc_info) == ("WARNING", None)
    assert record.getMessage() == "The job probe waits: Redis does not respond."


def test_leader_without_redis_stops_in_time_and_leads_again_later(
    start: Callable[..., Worker], running: Server
) -> None:
    worker = start()
    wait(worker.leader.is_leading)
    running.kill()
    wait(lambda: not worker.leader.is_leading(), LEAD * 2)
    worked = len(worker.terms)
    time.sleep(0.1)
    assert len(worker.terms) <= worked + 1
    running.start()
    wait(worker.leader.is_leading)


_CONTENDER = """
import sys, time
from shared.config_store.client import open_client
from shared.config_store.leader import Leader

def work(term):
    print(term.number, term.is_held(), time.monotonic(), flush=True)

Leader(open_client({"unix_socket_path": sys.argv[1]}), "probe", work, time, every=0.05,
       lead_seconds=float(sys.argv[2])).start()
time.sleep(60)
"""


@pytest.fixture
def other_process(running: Server) -> Iterator[subprocess.Popen[str]]:
    """Another process, which leads."""
    with subprocess.Popen(
        [sys.executable, "-c", _CONTENDER, running.socket, str(LEAD)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("1 True ")
        yield process
        process.kill()


def test_killed_leader_is_followed_when_its_lead_ends(
    start: Callable[..., Worker], other_process: subprocess.Popen[str]
) -> None:
    worker = start()
    wait(lambda: worker.client.get("lead:{probe}:terms") == b"1")
    assert worker.terms == []
    other_process.kill()
    wait(lambda: worker.terms, LEAD * 2)
    assert set(worker.terms) == {2}


def test_paused_leader_knows_that_it_was_followed(
    start: Callable[..., Worker], other_process: subprocess.Popen[str]
) -> None:
    followed: list[float] = []
    worker = start(work=lambda _: followed.append(time.monotonic()))
    other_process.send_signal(signal.SIGSTOP)
    wait(lambda: followed, LEAD * 3)
    other_process.send_signal(signal.SIGCONT)
    wait(lambda: len(followed) > 50)
    other_process.kill()
    assert other_process.stdout
    worked = [line.split() for line in other_process.stdout.read().splitlines()]
    assert {term for term, *_ in worked} <= {"1"}
    assert all(float(at) < followed[0] for _, is_held, at in worked if is_held == "True")
    assert set(worker.terms) == {2}


def test_leader_that_stops_gives_its_lead_up_when_its_job_has_ended(start: Callable[..., Worker]) -> None:
    ended: list[float] = []

    def work(term: Term) -> None:
        wait(lambda: not term.is_held())
        time.sleep(0.1)
        ended.append(time.monotonic())

    first = start(work=work)
    wait(lambda: first.terms)
    began: list[float] = []
    start(work=lambda _: began.append(time.monotonic()))
    first.leader.stop()
    wait(lambda: began, LEAD)
    assert ended[0] < began[0]
