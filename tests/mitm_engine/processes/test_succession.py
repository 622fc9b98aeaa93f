"""A supervisor is replaced by another one, and no client notices."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mitm_engine.processes.handover import Offer
from mitm_engine.processes.succession import Succession
from tests.mitm_engine.running_echo import PATIENCE, RunningEcho, ask
from tests.support.wait import until


@pytest.mark.parametrize("is_on", [True, False])
def test_supervisor_in_charge_shows_the_service_manager_that_it_lives(tmp_path: Path, is_on: bool) -> None:
    told: list[str] = []
    offer = Offer(tmp_path / "echo.sock", [])
    succession = Succession(offer, ["true"], notify=told.append, watchdog=15.0 if is_on else None)
    for now in (100.0, 100.1, 114.9, 115.0, 116.0):
        succession.check(now)
    succession.is_over = True  # the next one does it now
    succession.check(200.0)
    assert told == ["WATCHDOG=1"] * (2 if is_on else 0)


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[RunningEcho]:
    with started(tmp_path) as running:
        yield running


@contextlib.contextmanager
def started(folder: Path) -> Iterator[RunningEcho]:
    """A supervisor that can be replaced."""
    with RunningEcho(folder) as running:
        running.await_workers(2)
        assert any((folder / "run" / "echo.sock").exists() for _ in until(PATIENCE))
        yield running
        for process in running.living():  # the new supervisor, too
            os.kill(process, signal.SIGKILL)


@contextlib.contextmanager
def clients(echo: RunningEcho) -> Iterator[list[int]]:
    """New connections, one after the other, while the block runs: the workers that served them."""
    served: list[int] = []
    stop = threading.Event()

    def connect() -> None:
        while not stop.is_set():
            served.append(echo.asked())  # raises when it is rejected or reset

    failed: list[BaseException] = []
    thread = threading.Thread(target=lambda: _noting(connect, failed))
    thread.start()
    try:
        yield served
    finally:
        stop.set()
        thread.join()
        assert not failed, failed


def _noting(work: Callable[[], None], failed: list[BaseException]) -> None:
    try:
        work()
    except BaseException as error:
        failed.append(error)


def test_sigusr2_replaces_the_supervisor_and_rejects_nobody(echo: RunningEcho) -> None:
    old = echo.await_workers(2)
    with echo.connect() as kept, clients(echo) as served:
        worker = ask(kept)
        echo.process.send_signal(signal.SIGUSR2)
        assert any(set(served) - old for _ in until(PATIENCE)), echo.log.read_text()
        assert any("has taken over" in echo.log.read_text() for _ in until(PATIENCE)), echo.log.read_text()
        assert ask(kept) == worker
    assert echo.process.wait(PATIENCE) == 0
    assert not echo.await_workers(2) & old
    assert echo.marks("drained") == old


@pytest.mark.slow
def test_a_second_start_replaces_the_running_supervisor(echo: RunningEcho, tmp_path: Path) -> None:
    old = echo.await_workers(2)
    with RunningEcho(tmp_path, port="replace") as new:
        assert new.port == echo.port
        with clients(echo):
            assert echo.process.wait(PATIENCE) == 0
            assert not new.await_workers(2) & old


@pytest.mark.slow
def test_a_supervisor_that_replaced_another_one_is_replaced_in_turn(
    echo: RunningEcho, tmp_path: Path
) -> None:
    process = echo.process
    for _ in range(2):
        process.send_signal(signal.SIGUSR2)
        assert any("has taken over" in echo.log.read_text() for _ in until(PATIENCE))
    assert echo.process.wait(PATIENCE) == 0
    echo.await_workers(2)


@pytest.mark.slow
def test_a_new_supervisor_that_is_not_ready_in_time_ends_and_the_old_one_goes_on(tmp_path: Path) -> None:
    (tmp_path / "ready_timeout").write_text("0.5")
    with started(tmp_path) as echo:
        old = echo.await_workers(2)
        (tmp_path / "code").write_text("1")  # its workers fail
        with clients(echo) as served:
            echo.process.send_signal(signal.SIGUSR2)
            assert any(
                "ended with exit code 1; this one goes on" in echo.log.read_text() for _ in until(PATIENCE)
            )
        assert set(served) <= old
        assert echo.await_workers(2) == old
        assert "were not ready in 0.5 s; the running proxy goes on" in echo.log.read_text()


@pytest.mark.slow
def test_a_new_supervisor_with_a_wrong_configuration_changes_nothing(
    echo: RunningEcho, tmp_path: Path
) -> None:
    old = echo.await_workers(2)
    (tmp_path / "code").write_text("78")
    echo.process.send_signal(signal.SIGUSR2)
    assert any("ended with exit code 78; this one goes on" in echo.log.read_text() for _ in until(PATIENCE))
    assert echo.await_workers(2) == old


@pytest.mark.slow
def test_a_supervisor_with_an_objection_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "objection").write_text("The store is embedded.")
    with started(tmp_path) as echo:
        old = echo.await_workers(2)
        echo.process.send_signal(signal.SIGUSR2)
        assert any("The store is embedded.\n" in echo.log.read_text() for _ in until(PATIENCE))
        with RunningEcho(tmp_path, port="replace") as new:
            assert new.process.wait(PATIENCE) == 1
        assert echo.await_workers(2) == old


@pytest.mark.slow
def test_sigusr2_to_all_processes_ends_no_worker(echo: RunningEcho) -> None:
    old = echo.await_workers(2)
    for worker in old:
        os.kill(worker, signal.SIGUSR2)
    assert echo.await_workers(2) == old
