"""The embedded Valkey: shared, private, gone with its starter, and keeping what was acknowledged."""

import os
import select
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import redis

from shared.core.errors import FolderUnusable, StoreDown
from shared.redis_server.embedded import Embedded, is_running, socket_path

# A process that opens the server of a folder, says so, and waits for a line.
HOLDER = """
import sys
from pathlib import Path
from shared.redis_server.embedded import Embedded
server = Embedded(Path(sys.argv[1]))
server.open()
print("ours" if server.child else "another's", flush=True)
sys.stdin.readline()
server.close()
"""
PATIENCE = 10  # seconds; a bound for a broken server, not a wait


@contextmanager
def opened(folder: Path) -> Iterator[Embedded]:
    server = Embedded(folder)
    server.open()
    try:
        yield server
    finally:
        server.close()


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def client_of(folder: Path) -> "closing[redis.Redis]":
    return closing(redis.Redis(unix_socket_path=str(socket_path(folder)), decode_responses=True))


def server_pid(folder: Path) -> int:
    with client_of(folder) as client:
        return int(client.info("server")["process_id"])


def wait_until_gone(pid: int) -> None:
    """Return when the process has ended: its end closes the descriptor that the kernel gives us."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], PATIENCE)[0], "the server outlived its starter"
    finally:
        os.close(descriptor)


def wait_for_reply(folder: Path) -> None:
    tick = threading.Event()
    for _ in range(PATIENCE * 50):
        with client_of(folder) as client:
            try:
                client.ping()
                return
            except redis.ConnectionError:
                tick.wait(0.02)
    raise AssertionError("nobody started the server again")


def test_two_processes_share_one_server(tmp_path: Path) -> None:
    with holder(tmp_path) as first, holder(tmp_path) as second:
        assert sorted([said(first), said(second)]) == ["another's", "ours"]


def test_embedded_server_listens_on_a_private_socket_and_on_no_port(tmp_path: Path) -> None:
    with opened(tmp_path) as server, client_of(tmp_path) as client:
        assert stat.S_IMODE(server.socket.stat().st_mode) == 0o600
        options = client.config_get("*")
        assert options["port"] == "0"
        assert (options["appendonly"], options["maxmemory-policy"]) == ("yes", "noeviction")
        assert (options["save"], options["appendfsync"]) == ("", "no")


def test_files_are_for_this_user_only(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with opened(folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        for file in (folder / "appendonlydir").iterdir():
            assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0


def test_embedded_server_ends_when_its_starter_closes_it(tmp_path: Path) -> None:
    with opened(tmp_path) as server:
        pid = server_pid(tmp_path)
        assert server.child
        assert is_running(tmp_path)
    wait_until_gone(pid)
    assert not is_running(tmp_path)


def test_closing_a_shared_one_leaves_it_to_its_starter(tmp_path: Path) -> None:
    with opened(tmp_path):
        with opened(tmp_path) as guest:
            assert guest.child is None
        with client_of(tmp_path) as client:
            assert client.ping()


@pytest.mark.parametrize("kills_server", [False, True])
def test_embedded_server_whose_starter_is_killed_ends_and_keeps_acknowledged_writes(
    tmp_path: Path, kills_server: bool
) -> None:
    with holder(tmp_path) as starter:
        assert said(starter) == "ours"
        pid = server_pid(tmp_path)
        with client_of(tmp_path) as client:
            for number in range(500):
                client.set("last", number)
            if kills_server:
                os.kill(pid, signal.SIGKILL)
            starter.kill()
    wait_until_gone(pid)
    with opened(tmp_path), client_of(tmp_path) as client:
        assert client.get("last") == "499"


def test_embedded_server_is_taken_over_when_its_starter_is_killed(tmp_path: Path) -> None:
    with holder(tmp_path) as starter:
        assert said(starter) == "ours"
        with client_of(tmp_path) as client:
            client.set("tenant", "t1")
        with opened(tmp_path) as heir:
            pid = server_pid(tmp_path)
            starter.kill()
            wait_until_gone(pid)
            wait_for_reply(tmp_path)
            assert heir.child
            with client_of(tmp_path) as client:
                assert client.get("tenant") == "t1"


def test_embedded_server_that_dies_is_started_again(tmp_path: Path) -> None:
    with opened(tmp_path):
        pid = server_pid(tmp_path)
        os.kill(pid, signal.SIGKILL)
        wait_for_reply(tmp_path)
        assert server_pid(tmp_path) != pid


def test_a_server_that_cannot_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").write_text("a file where a folder should be")
    server = Embedded(tmp_path)
    with pytest.raises(StoreDown, match=r"ended at its start: .*appendonlydir"):
        server.open()
    assert not is_running(tmp_path)


def test_a_long_path_moves_the_socket_to_a_private_folder_or_rejects_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as short:
        monkeypatch.setattr(tempfile, "tempdir", short)
        folder = tmp_path / ("d" * 100)
        with opened(folder) as server:
            assert server.socket.is_relative_to(short)
            assert stat.S_IMODE(server.socket.parent.stat().st_mode) == 0o700
        socket_path(folder).parent.chmod(0o755)
        with pytest.raises(StoreDown, match="only this user"):
            socket_path(folder)


def test_a_folder_that_does_not_exist_has_no_server(tmp_path: Path) -> None:
    assert not is_running(tmp_path / "none")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderUnusable, match=r"file/data cannot be written: .*. Set data_dir"):
        Embedded(tmp_path / "file" / "data").open()
