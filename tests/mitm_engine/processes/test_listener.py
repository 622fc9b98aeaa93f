"""How a worker listens: what it takes, what it leaves to others, and when it takes nothing."""

import asyncio
import contextlib
import os
import resource
import select
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mitm_engine.processes import descriptors, listener
from mitm_engine.processes.listener import Listener, given_socket, listener_socket, listener_sockets
from mitm_engine.processes.scoreboard import Scoreboard, WorkerContext
from shared.core.errors import CannotListen, GatewayError
from tests.mitm_engine.running_echo import PATIENCE, RunningEcho, ask
from tests.support.ports import free_port
from tests.support.wait import until_true


class Worker:
    """The first of two workers, in this process; the second is only a row on the board."""

    def __init__(self, connections: int = 0) -> None:
        self.board = Scoreboard(2)
        self.other = self.board.rows()[1]
        self.server = listener_socket("127.0.0.1", 0)
        self.held: list[socket.socket] = []
        self.came = asyncio.Event()
        self.can_serve = True
        self.listener = Listener(
            WorkerContext(0, [self.server.dup()], self.board),
            self._accept,
            self._count,
            lambda: self.can_serve,
        )
        self._before = connections

    def _accept(self, connection: socket.socket) -> None:
        self.held.append(connection)
        self.came.set()

    def _count(self) -> int:
        return len(self.held) + self._before

    def other_serves(self, age: float = 0.0, accepts: bool = True) -> None:
        self.other.heartbeat = asyncio.get_running_loop().time() - age
        self.other.accepts = accepts

    def connect(self) -> socket.socket:
        return socket.create_connection(self.server.getsockname(), timeout=PATIENCE)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.stop()
        for one in (self.server, *self.held):
            one.close()


async def turns() -> None:
    """Let the loop look at its sockets many times."""
    for _ in range(100):
        await asyncio.sleep(0)


class TestTheSocket:
    @pytest.mark.parametrize(
        ("host", "family"),
        [
            ("127.0.0.1", socket.AF_INET),
            ("localhost", socket.AF_INET),
            ("::1", socket.AF_INET6),
            ("[::1]", socket.AF_INET6),
        ],
    )
    def test_listener_socket_binds_names_and_addresses_of_both_kinds(self, host: str, family: int) -> None:
        with listener_socket(host, 0) as server:
            assert server.family == family
            assert not server.getblocking()
            socket.create_connection(server.getsockname()[:2]).close()

    def test_the_unspecified_address_of_ipv6_takes_clients_of_both_kinds(self) -> None:
        with listener_socket("::", 0) as server:
            for host in ("127.0.0.1", "::1"):
                socket.create_connection((host, server.getsockname()[1]), PATIENCE).close()

    def test_each_address_has_a_socket(self) -> None:
        with contextlib.ExitStack() as stack:
            [first] = listener_sockets(["127.0.0.1"], 0)
            stack.enter_context(first)
            port = first.getsockname()[1]
            found = listener_sockets(["::1", "127.0.0.1"], port, [first])
            stack.enter_context(found[0])
            assert found[1] is first  # it is open already
            for host in ("127.0.0.1", "::1"):
                socket.create_connection((host, port), PATIENCE).close()

    def test_nothing_stays_open_when_one_address_cannot_be_used(self) -> None:
        port = free_port()
        with pytest.raises(CannotListen, match=r"192\.0\.2\.1"):
            listener_sockets(["127.0.0.1", "192.0.2.1"], port)
        with listener_socket("127.0.0.1", port):
            pass

    def test_a_socket_of_another_program_is_used(self) -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as other,
            given_socket(os.dup(other.fileno())) as given,
        ):
            assert given.getsockname() == other.getsockname()
            assert not given.getblocking()
            assert given.proto == socket.IPPROTO_TCP

    def test_a_descriptor_that_is_no_socket_is_named(self, tmp_path: Path) -> None:
        with (tmp_path / "file").open("w") as file, pytest.raises(GatewayError, match="cannot be used"):
            given_socket(file.fileno())
        with socket.socket(socket.AF_UNIX) as other, pytest.raises(GatewayError, match="is not a TCP socket"):
            given_socket(os.dup(other.fileno()))

    async def test_small_writes_are_not_delayed(self) -> None:
        with Worker() as worker:
            worker.listener.start()
            with worker.connect():
                await worker.came.wait()
                transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                    asyncio.Protocol, worker.held[0]
                )
                accepted = transport.get_extra_info("socket")
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                transport.close()

    async def test_kernel_buffers_little_for_a_client_that_does_not_read(self) -> None:
        with Worker() as worker, worker.connect():
            worker.listener.start()
            await worker.came.wait()
            [accepted] = worker.held
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == listener.UNSENT


class TestTheShare:
    @pytest.fixture(autouse=True)
    def forever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process that gives way does so for an hour, so that it can be seen."""
        monkeypatch.setattr(listener, "COURTESY", 3600.0)

    async def test_a_worker_that_is_ahead_leaves_a_connection_to_the_others(self) -> None:
        with Worker(connections=2) as worker, worker.connect():
            worker.other_serves()
            worker.listener.start()
            await turns()
            assert not worker.held

    async def test_listener_with_more_than_its_share_gives_way_once_and_then_accepts(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(listener, "COURTESY", 0.002)
        with Worker(connections=1000) as worker, worker.connect():
            worker.other_serves()
            worker.listener.start()
            began = asyncio.get_running_loop().time()
            await worker.came.wait()
            assert asyncio.get_running_loop().time() - began >= 0.001

    @pytest.mark.parametrize(
        ("connections", "age", "accepts"),
        [
            pytest.param(1, 0.0, True, id="one ahead is level"),
            pytest.param(9, 2.0, True, id="the other has stopped"),
            pytest.param(9, 0.0, False, id="the other accepts nothing"),
        ],
    )
    async def test_a_worker_does_not_wait_for_others_that_would_not_accept(
        self, connections: int, age: float, accepts: bool
    ) -> None:
        with Worker(connections) as worker, worker.connect():
            worker.other_serves(age, accepts)
            worker.listener.start()
            await worker.came.wait()

    async def test_the_others_see_its_connections_at_once(self) -> None:
        with Worker() as worker, worker.connect():
            row = worker.board.rows()[0]
            assert (row.connections, row.heartbeat, row.accepts) == (0, 0.0, False)
            worker.listener.start()
            assert row.heartbeat > 0
            await worker.came.wait()
            assert (row.connections, row.accepts) == (1, True)

    async def test_listener_takes_one_connection_per_wakeup(self) -> None:
        with Worker() as worker, contextlib.ExitStack() as clients:
            for _ in range(5):
                clients.enter_context(worker.connect())
            worker.listener.start()
            await worker.came.wait()
            assert len(worker.held) == 1
            await turns()
            assert len(worker.held) == 5


async def test_worker_accepts_on_all_its_sockets() -> None:
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(listener_socket("127.0.0.1", 0)) for _ in range(3)]
        came: list[socket.socket] = []
        listener = Listener(
            WorkerContext(0, [one.dup() for one in servers], Scoreboard(1)), came.append, lambda: len(came)
        )
        listener.start()
        for server in servers:
            stack.enter_context(socket.create_connection(server.getsockname(), PATIENCE))
        await until_true(lambda: len(came) == 3)
        stack.enter_context(socket.create_connection(servers[2].getsockname(), PATIENCE))
        listener.stop()
        assert len(came) == 4  # also what was queued
        for one in came:
            one.close()


async def test_worker_that_cannot_serve_leaves_connections_to_another_one() -> None:
    with Worker() as worker, worker.connect():
        worker.can_serve = False
        worker.other_serves()
        worker.listener.start()
        await turns()
        row = worker.board.rows()[0]
        assert (row.heartbeat > 0, row.accepts, worker.held) == (True, False, [])
        worker.can_serve = True
        await until_true(lambda: len(worker.held) == 1)


async def test_worker_that_knows_no_tenants_leaves_connections_to_the_supervisor_that_it_would_replace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "FULL_PAUSE", 0.01)
    with Worker() as worker, worker.connect():
        worker.can_serve, worker.board.has_predecessor = False, True
        worker.listener.start()
        await turns()
        assert (worker.board.rows()[0].accepts, worker.held) == (False, [])
        worker.board.has_predecessor = False
        await until_true(lambda: len(worker.held) == 1)


@pytest.mark.parametrize("other", ["silent", "does not accept"])
async def test_worker_that_cannot_serve_accepts_when_it_is_the_only_one(other: str) -> None:
    with Worker() as worker, worker.connect():
        worker.can_serve = False
        worker.other_serves(age=10.0 if other == "silent" else 0.0, accepts=other == "silent")
        worker.listener.start()
        await until_true(lambda: len(worker.held) == 1)


class TestTheEnd:
    async def test_queued_connections_are_served_and_later_ones_rejected(self) -> None:
        with Worker() as worker, worker.connect(), worker.connect():
            worker.listener.start()
            address = worker.server.getsockname()
            worker.server.close()
            worker.listener.stop()
            assert len(worker.held) == 2
            assert not worker.board.rows()[0].accepts
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address)

    async def test_listener_may_be_stopped_before_its_start(self) -> None:
        with Worker() as worker:
            worker.listener.stop()
            worker.listener.stop()
            assert not worker.board.rows()[0].accepts
            assert not worker.held

    async def test_the_heart_beats_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mitm_engine.processes.listener.HEARTBEAT", 0.01)
        with Worker() as worker:
            row = worker.board.rows()[0]
            worker.listener.start()
            worker.listener.stop()
            last = row.heartbeat
            await until_true(lambda: row.heartbeat > last)


class TestDescriptors:
    @pytest.fixture
    def few(self) -> Iterator[Callable[[int], None]]:
        """Allows this process only so many descriptors until the end of the test."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        yield lambda count: resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def test_the_next_number_tells_how_many_are_open(self, few: Callable[[int], None]) -> None:
        with socket.socket() as one:
            number = descriptors.next_number(one.fileno())
            with socket.socket() as other:
                assert other.fileno() == number
            few(number)
            assert descriptors.next_number(one.fileno()) == sys.maxsize

    def test_the_limit_is_raised_as_far_as_the_system_allows(self, few: Callable[[int], None]) -> None:
        few(500)
        assert descriptors.ceiling() == 450
        descriptors.raise_limit()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert soft == min(hard, 65_536)

    async def test_a_worker_without_any_goes_on_once_there_are_some(
        self, few: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(listener, "FULL_PAUSE", 0.01)
        with Worker() as worker, worker.connect():
            worker.listener.start()
            soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            few(descriptors.next_number(worker.server.fileno()))
            row = worker.board.rows()[0]
            await until_true(lambda: not row.accepts)
            assert not worker.held
            few(soft)
            await worker.came.wait()
            assert row.accepts

    @pytest.mark.slow
    @pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
    def test_clients_beyond_ninety_percent_wait_until_others_leave(self, loop: str, tmp_path: Path) -> None:
        with RunningEcho(tmp_path, loop, workers=1, descriptors=60) as echo, contextlib.ExitStack() as stack:
            worker = echo.asked()
            waiting = [stack.enter_context(echo.connect()) for _ in range(60)]
            for client in waiting:
                client.sendall(b"who\n")
            served = []
            while came := select.select(waiting, [], [], 0.5)[0]:
                served += came
                waiting = [client for client in waiting if client not in came]
            numbers = [int(entry.name) for entry in Path(f"/proc/{worker}/fd").iterdir()]
            assert len(served) > 20
            assert len(waiting) > 10
            assert max(numbers) == 54
            for client in served:
                client.close()
            assert {ask(client) for client in waiting} == {worker}
