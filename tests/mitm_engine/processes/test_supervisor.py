"""The workers of a server: replaced when they die or hang, ended together, and never left behind."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mitm_engine.running_echo import PATIENCE, RunningEcho, ask
from tests.support.cases import slow
from tests.support.wait import until


@pytest.fixture(params=["uvloop", *slow("asyncio")])
def echo(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningEcho]:
    with RunningEcho(tmp_path, request.param) as running:
        running.await_workers(2)
        yield running


def test_connections_are_shared_fairly(echo: RunningEcho) -> None:
    shares = sorted(echo.share(33).values())
    assert len(shares) == 2
    assert shares[0] >= 11, shares


def test_a_killed_worker_costs_its_own_connections_only_and_is_replaced(echo: RunningEcho) -> None:
    """That it is back within 2 s is measured in tests/reliability/test_killed_workers.py."""
    with contextlib.ExitStack() as stack:
        clients = []
        workers: list[int] = []
        while len(set(workers)) < 2:
            clients.append(stack.enter_context(echo.connect()))
            workers.append(ask(clients[-1]))
        victim = workers[0]
        os.kill(victim, signal.SIGKILL)
        # A client of that moment is served by another worker.
        assert echo.asked() != victim
        kept = [client for client, worker in zip(clients, workers, strict=True) if worker != victim]
        assert victim not in map(ask, kept)
    echo.await_workers(2, but=victim)
    assert f"(process {victim}) was killed by signal 9" in echo.log.read_text()


@pytest.mark.slow
def test_pauses_of_several_workers_do_not_stop_the_service(tmp_path: Path) -> None:
    (tmp_path / "pause").write_text("60")
    with RunningEcho(tmp_path, workers=2) as echo:
        serving = echo.await_workers(2)
        for _ in range(3):
            for worker in serving:
                os.kill(worker, signal.SIGKILL)
            serving = {echo.asked()}  # fails after 20 s


def test_no_worker_outlives_its_supervisor_not_even_a_stopped_one(echo: RunningEcho) -> None:
    assert len(echo.living()) > 3
    os.kill(echo.asked(), signal.SIGSTOP)
    echo.process.kill()
    assert any(not echo.living() for _ in until(PATIENCE)), echo.living()


@pytest.mark.parametrize(
    "end",
    [
        lambda process: process.send_signal(signal.SIGTERM),
        lambda process: process.send_signal(signal.SIGINT),
        lambda process: os.killpg(process.pid, signal.SIGINT),
    ],
    ids=["SIGTERM", "SIGINT", "Ctrl-C in a terminal, which reaches all"],
)
def test_a_signal_lets_open_connections_end_and_accepts_no_new_ones(
    echo: RunningEcho, end: Callable[["subprocess.Popen[bytes]"], None]
) -> None:
    with echo.connect() as client:
        worker = ask(client)
        end(echo.process)
        assert any(_rejected(echo) for _ in until(PATIENCE))
        assert ask(client) == worker
    assert echo.process.wait(PATIENCE) == 0
    assert len(echo.marks("drained")) == 2
    assert any(not echo.living() for _ in until(PATIENCE)), echo.living()
    assert "killed" not in echo.log.read_text()
    assert "Traceback" not in echo.log.read_text()


def test_a_worker_that_was_asked_to_end_is_replaced_after_its_drain(echo: RunningEcho) -> None:
    with echo.connect() as client:
        worker = ask(client)
        os.kill(worker, signal.SIGTERM)
        assert ask(client) == worker
    echo.await_workers(2, but=worker)
    assert echo.marks("drained") == {worker}


@pytest.mark.slow
def test_sighup_reloads_all_workers(echo: RunningEcho) -> None:
    workers = echo.await_workers(2)
    echo.process.send_signal(signal.SIGHUP)
    assert any(echo.marks("reloaded") == workers for _ in until(PATIENCE))
    assert echo.await_workers(2) == workers


@pytest.mark.slow
def test_sighup_at_the_start_ends_no_worker(tmp_path: Path) -> None:
    with RunningEcho(tmp_path) as echo:
        assert any(len(echo.living()) > 1 for _ in until(PATIENCE))
        while not echo.marks("began"):
            echo.process.send_signal(signal.SIGHUP)
        workers = echo.await_workers(2)
        assert echo.marks("began") == workers


@pytest.mark.slow
def test_a_worker_that_does_not_end_is_killed_after_the_drain(echo: RunningEcho) -> None:
    with echo.connect() as client:
        worker = ask(client)
        echo.process.send_signal(signal.SIGTERM)
        assert echo.process.wait(PATIENCE) == 0
        assert client.recv(1) == b""
    assert f"(process {worker}) did not end in time and is killed" in echo.log.read_text()
    assert any(not echo.living() for _ in until(PATIENCE)), echo.living()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stopped", "blocked"])
def test_a_worker_without_a_sign_of_life_is_killed_after_five_seconds(echo: RunningEcho, how: str) -> None:
    with echo.connect() as client:
        worker = ask(client)
        if how == "stopped":
            os.kill(worker, signal.SIGSTOP)
        else:
            client.sendall(b"hang\n")
        hung = time.monotonic()
        assert client.recv(1) == b""
        assert 4.0 < time.monotonic() - hung < 8.0
    echo.await_workers(2, but=worker)


@pytest.mark.slow
def test_a_pause_of_all_processes_kills_no_worker(echo: RunningEcho) -> None:
    workers = echo.await_workers(2)
    os.killpg(echo.process.pid, signal.SIGSTOP)
    with echo.connect() as client:
        client.settimeout(7.0)
        with pytest.raises(TimeoutError):
            ask(client)
    os.killpg(echo.process.pid, signal.SIGCONT)
    assert echo.await_workers(2) == workers


@pytest.mark.slow
def test_twenty_kills_leave_every_client_served_and_no_descriptor_in_the_supervisor(
    echo: RunningEcho,
) -> None:
    descriptors = Path(f"/proc/{echo.process.pid}/fd")

    def settled() -> int:
        """With both seats filled and one spare."""
        echo.await_workers(2)
        assert any(len(echo.living()) == 5 for _ in until(PATIENCE)), echo.living()
        return len(list(descriptors.iterdir()))

    before = settled()
    for _ in range(20):
        victim = echo.asked()
        os.kill(victim, signal.SIGKILL)
        for _ in range(20):
            assert echo.asked() != victim
        echo.await_workers(2, but=victim)
    assert settled() == before


@pytest.mark.slow
def test_wrong_configuration_at_the_first_start_is_tried_once_and_ends_all(tmp_path: Path) -> None:
    (tmp_path / "code").write_text("78")
    with RunningEcho(tmp_path, workers=4) as echo:
        assert echo.process.wait(PATIENCE) == 78
        assert len(echo.marks("began")) == 1
        assert any(not echo.living() for _ in until(PATIENCE)), echo.living()


@pytest.mark.slow
def test_wrong_configuration_later_is_tried_again(tmp_path: Path) -> None:
    with RunningEcho(tmp_path, workers=2) as echo:
        workers = echo.await_workers(2)
        (tmp_path / "code").write_text("78")
        victim = echo.asked()
        os.kill(victim, signal.SIGKILL)
        assert any(len(echo.marks("began")) >= 4 for _ in until(PATIENCE))
        assert echo.asked() in workers - {victim}
        (tmp_path / "code").unlink()
        echo.await_workers(2, but=victim)


@pytest.mark.slow
def test_a_worker_that_fails_at_its_start_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "code").write_text("1")
    with RunningEcho(tmp_path) as echo:
        assert any(len(echo.marks("began")) >= 3 for _ in until(PATIENCE))
        (tmp_path / "code").unlink()
        echo.await_workers(2)
        assert "ended with exit code 1; the next starts in 0.1 s" in echo.log.read_text()


@pytest.mark.slow
def test_a_killed_spare_is_replaced(echo: RunningEcho) -> None:
    assert any(len(echo.living()) == 5 for _ in until(PATIENCE))
    first = echo.living()
    spare = max(first)
    assert spare not in echo.marks("began")
    os.kill(spare, signal.SIGKILL)
    assert any(len(echo.living()) == 5 and spare not in echo.living() for _ in until(PATIENCE))


def test_a_taken_port_is_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with RunningEcho(tmp_path, port=port) as echo:
            assert echo.process.wait(PATIENCE) == 1
            message = echo.log.read_text()
    assert message == f"echo: Cannot listen on 127.0.0.1:{port}: Address already in use.\n"


def _rejected(echo: RunningEcho) -> bool:
    try:
        echo.connect().close()
    except ConnectionRefusedError:
        return True
    return False
