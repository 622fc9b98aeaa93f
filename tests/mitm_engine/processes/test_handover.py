"""One supervisor asks another for its sockets."""

import asyncio
import contextlib
import os
import select
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mitm_engine.processes.handover import Listening, Offer, Predecessor
from shared.core.errors import CannotTakeOver
from tests.support.wait import until_true

LONG = 20.0  # seconds that nobody waits


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "proxy.sock"


def listening(name: str = "proxy") -> Listening:
    return Listening(name, socket.create_server(("127.0.0.1", 0)))


@contextlib.asynccontextmanager
async def offered(
    path: Path, *sockets: Listening, ready_timeout: float = LONG, objection: str | None = None
) -> AsyncIterator["asyncio.Task[None]"]:
    """The old supervisor: a task that is done once it was replaced."""
    offer = Offer(path, sockets, objection)
    task = asyncio.ensure_future(offer.taken(ready_timeout))
    await until_true(lambda: offer._server is not None or task.done())
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    for one in sockets:
        one.socket.close()


async def reached(path: Path) -> Predecessor:
    predecessor = await asyncio.to_thread(Predecessor.reach, path)
    assert predecessor is not None
    return predecessor


def close(predecessor: Predecessor) -> None:
    predecessor.close()
    for one in predecessor.listening:
        one.socket.close()


async def test_all_sockets_are_handed_over_with_their_names(path: Path) -> None:
    mine = listening(), listening("metrics"), Listening("proxy", listening().socket, is_given=True)
    async with offered(path, *mine) as old:
        predecessor = await reached(path)
        assert [(one.name, one.is_given, one.socket.getsockname()) for one in predecessor.listening] == [
            (one.name, one.is_given, one.socket.getsockname()) for one in mine
        ]
        await predecessor.succeed()
        await old
        assert not path.exists()
        close(predecessor)


async def test_a_client_of_a_handed_over_socket_is_accepted(path: Path) -> None:
    mine = listening()
    async with offered(path, mine) as old:
        predecessor = await reached(path)
        await predecessor.succeed()
        await old
        with socket.create_connection(mine.socket.getsockname(), 5):
            mine.socket.close()
            theirs, _ = predecessor.listening[0].socket.accept()
            theirs.close()
        close(predecessor)


def test_nobody_is_reached_when_no_supervisor_runs(path: Path) -> None:
    assert Predecessor.reach(path) is None
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as killed:  # one that was killed leaves its path
        killed.bind(str(path))
    assert Predecessor.reach(path) is None


async def test_the_path_of_a_killed_supervisor_is_used_again(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.touch()
    async with offered(path, listening()):
        close(await reached(path))


async def test_path_may_be_longer_than_the_kernel_allows(tmp_path: Path) -> None:
    async with offered(tmp_path / ("long" * 30) / "proxy.sock", listening()) as old:
        predecessor = await reached(tmp_path / ("long" * 30) / "proxy.sock")
        await predecessor.succeed()
        await old
        close(predecessor)


async def test_supervisor_that_ends_before_it_is_ready_changes_nothing(path: Path) -> None:
    async with offered(path, listening()) as old:
        close(await reached(path))
        predecessor = await reached(path)
        await predecessor.succeed()
        await old
        close(predecessor)


async def test_supervisor_that_is_not_ready_in_time_is_told_so(path: Path) -> None:
    async with offered(path, listening(), ready_timeout=0.05) as old:
        predecessor = await reached(path)
        connection = predecessor._connection
        await until_true(lambda: bool(select.select([connection], [], [], 0)[0]))  # the word that it is late
        with pytest.raises(CannotTakeOver, match="The new supervisor was not ready in time; the running one"):
            await predecessor.succeed()
        assert not old.done()
        close(predecessor)
        close(await reached(path))


async def test_supervisor_with_an_objection_hands_nothing_over_and_says_why(path: Path) -> None:
    async with offered(path, listening(), objection="The store is embedded."):
        with pytest.raises(CannotTakeOver, match=r"^The store is embedded\.$"):
            await reached(path)


async def test_supervisor_that_stops_in_the_middle_says_so(path: Path) -> None:
    async with offered(path, listening()) as old:
        predecessor = await reached(path)
        old.cancel()
        with pytest.raises(CannotTakeOver, match="The running proxy is stopping"):
            await predecessor.succeed()
        close(predecessor)


async def test_new_supervisor_serves_when_the_old_one_was_killed_in_the_middle(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as server, listening().socket as proxy:
        server.bind(str(path))
        server.listen()
        reaching = asyncio.ensure_future(reached(path))
        connection, _ = await asyncio.to_thread(server.accept)
        socket.send_fds(
            connection, [b'{"sockets": [{"name": "proxy", "is_given": false}]}'], [proxy.fileno()]
        )
        predecessor = await reaching
        connection.close()
        await predecessor.succeed()
        close(predecessor)


@pytest.mark.parametrize(
    "message", [b"nonsense", b"[]", b'{"sockets": [{}]}', b'{"sockets": [{"name": "proxy"}]}']
)
async def test_offer_that_cannot_be_read_is_an_error_with_a_way_out(path: Path, message: bytes) -> None:
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        reaching = asyncio.ensure_future(asyncio.to_thread(Predecessor.reach, path))
        connection, _ = await asyncio.to_thread(server.accept)
        with connection:
            connection.sendall(message)
            with pytest.raises(CannotTakeOver, match="of another release"):
                await reaching


async def test_a_process_of_another_user_gets_no_socket(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with offered(path, listening()):
        monkeypatch.setattr(os, "geteuid", lambda: 4711)
        with pytest.raises(CannotTakeOver, match="belongs to another user"):
            await reached(path)
        with socket.socket(socket.AF_UNIX) as other:  # one that does not check
            other.setblocking(False)
            await asyncio.get_running_loop().sock_connect(other, str(path))
            assert await asyncio.get_running_loop().sock_recv(other, 100) == b""


async def test_folder_that_others_can_enter_is_not_used(path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    async with offered(path, listening()) as old:
        with pytest.raises(PermissionError, match="must be a folder that only this user can open"):
            await old
