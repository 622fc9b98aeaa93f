"""The connection to Redis: one write a turn, replies in order, a deadline, and always a new try."""

import asyncio
import hashlib
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from shared.core.errors import StoreDown
from shared.redis_client.protocol import ErrorReply, LateReply, RedisProtocol, pack
from shared.redis_client.script import Script
from tests.redis_client.link_world import link_to, listener, responding, served
from tests.support.ports import free_port
from tests.support.valkey_server import Server

_TEXT = "return redis.call('INCR', KEYS[1])"
COUNT = Script(_TEXT, hashlib.sha1(_TEXT.encode()).hexdigest())


def at(running: Server) -> dict[str, Any]:
    return {"unix_socket_path": running.socket}


def at_port(silent: socket.socket) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": silent.getsockname()[1]}


async def test_a_thousand_responses_come_in_the_order_of_their_questions(running: Server) -> None:
    async with link_to(at(running)) as link:
        texts = [f"{number:04}".encode() for number in range(1_000)]
        assert await asyncio.gather(*(link.call("ECHO", text) for text in texts)) == texts


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return False


def protocol_on(wire: Wire) -> RedisProtocol:
    made = RedisProtocol((), lambda _: None)
    made.connection_made(wire)
    return made


async def test_commands_of_one_loop_turn_leave_in_one_write() -> None:
    wire = Wire()
    one = protocol_on(wire)
    for _ in range(100):
        one.call(("PING",))
    assert wire.written == []
    await asyncio.sleep(0)
    assert wire.written == [pack(("PING",)) * 100]


async def test_command_after_a_lone_reply_leaves_at_once_and_those_after_it_together() -> None:
    wire = Wire()
    one = protocol_on(wire)
    first = one.call(("PING",))
    await asyncio.sleep(0)
    one.data_received(b"+PONG\r\n")
    assert await first == b"PONG"
    for _ in range(3):
        one.call(("PING",))
    assert wire.written[1:] == [pack(("PING",))]
    await asyncio.sleep(0)
    assert wire.written[2:] == [pack(("PING",)) * 2]
    one.data_received(b"+PONG\r\n" * 3)
    one.call(("PING",))
    assert len(wire.written) == 3
    await asyncio.sleep(0)
    assert len(wire.written) == 4


async def test_an_error_is_that_commands_alone(running: Server) -> None:
    async with link_to(at(running)) as link:
        await link.call("SET", "text", "x")
        good, bad = link.call("ECHO", "fine"), link.call("INCR", "text")
        assert await good == b"fine"
        with pytest.raises(ErrorReply, match="not an integer"):
            await bad


async def test_a_hung_server_costs_the_deadline_and_its_late_replies_are_dropped(running: Server) -> None:
    async with link_to(at(running)) as link:
        first = await link.call("CLIENT", "ID") + 1
    async with link_to(at(running), deadline=0.05) as link:
        await link.call("PING")
        running.signal(signal.SIGSTOP)
        started = time.monotonic()
        lost = [link.call("ECHO", f"late{number}") for number in range(50)]
        failed = await asyncio.gather(*lost, return_exceptions=True)
        assert time.monotonic() - started < 0.5
        assert {str(error) for error in failed} == {"Redis did not respond in time."}
        running.signal(signal.SIGCONT)
        assert await served(link, "ECHO", "mine") == b"mine"
        assert await served(link, "ECHO", "again") == b"again"
        assert await served(link, "CLIENT", "ID") == first


async def test_error_of_a_call_gets_its_late_reply_unless_that_is_an_error(running: Server) -> None:
    replies: list[bytes] = []
    async with link_to(at(running), deadline=0.05) as link:
        await link.call("PING")
        running.signal(signal.SIGSTOP)
        calls = [link.call("ECHO", "one"), link.call("GET"), link.call("ECHO", "two")]
        for error in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(error, LateReply)
            error.on_reply = replies.append
        running.signal(signal.SIGCONT)
        assert await served(link, "PING") == b"PONG"
    assert replies == [b"one", b"two"]


@pytest.mark.slow
async def test_a_connection_that_is_silent_for_a_second_is_made_anew(running: Server) -> None:
    async with link_to(at(running), deadline=0.05) as link:
        before = await link.call("CLIENT", "ID")
        running.signal(signal.SIGSTOP)
        error = ""
        async with asyncio.timeout(20):
            while "no reply for over a second" not in error:
                try:
                    await link.call("PING")
                except StoreDown as failure:
                    error = str(failure)
                await asyncio.sleep(0.01)
        running.signal(signal.SIGCONT)
        assert await served(link, "CLIENT", "ID") > before


async def test_a_loop_that_was_held_up_takes_the_response_that_is_there(running: Server) -> None:
    async with link_to(at(running), deadline=0.05) as link:
        await link.call("PING")
        reply = link.call("ECHO", "in time")
        await asyncio.sleep(0)
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            pass
        assert await reply == b"in time"


async def test_a_killed_connection_is_made_again(running: Server) -> None:
    async with link_to(at(running)) as link:
        number = await link.call("CLIENT", "ID")
        with redis.Redis(**at(running)) as other:
            other.client_kill_filter(_id=number)
        assert await served(link, "CLIENT", "ID") > number


async def test_a_server_that_died_fails_calls_at_once_and_is_found_again(running: Server) -> None:
    async with link_to(at(running), scripts=(COUNT,)) as link:
        await link.call("PING")
        running.kill()
        started = time.monotonic()
        for _ in range(10):
            with pytest.raises(StoreDown, match="Redis did not respond"):
                await link.call("PING")
        assert time.monotonic() - started < 2
        running.start()
        assert await served(link, "PING") == b"PONG"


async def test_connection_to_a_missing_server_fails_at_once(tmp_path: Path) -> None:
    async with link_to({"unix_socket_path": str(tmp_path / "nobody.sock")}) as link:
        with pytest.raises(StoreDown, match="No such file"):
            await link.call("PING")
    async with link_to({"host": "127.0.0.1", "port": free_port()}) as link:
        with pytest.raises(StoreDown, match=r"Connect call failed|refused"):
            await link.call("PING")


async def test_a_silent_server_costs_the_deadline() -> None:
    with listener() as silent:
        async with link_to(at_port(silent), deadline=0.05) as link:
            with pytest.raises(StoreDown, match="did not respond in time"):
                await link.call("PING")


async def test_scripts_are_loaded_before_the_first_call(running: Server) -> None:
    async with link_to(at(running), scripts=(COUNT,)) as link:
        assert await asyncio.gather(*(link.run(COUNT, ["n"], []) for _ in range(5))) == [1, 2, 3, 4, 5]
    with redis.Redis(**at(running)) as store:
        assert store.info("commandstats")["cmdstat_evalsha"]["calls"] == 5


async def test_forgotten_scripts_are_loaded_and_only_what_was_not_run_is_sent_again(running: Server) -> None:
    async with link_to(at(running), scripts=(COUNT,)) as link:
        await link.run(COUNT, ["n"], [])
        calls = [link.run(COUNT, ["n"], []) for _ in range(10)]
        calls.append(link.call("SCRIPT", "FLUSH"))
        calls += [link.run(COUNT, ["n"], []) for _ in range(10)]
        calls.append(link.call("INCR", "n"))
        numbers = [number for number in await asyncio.gather(*calls) if number != b"OK"]
        assert sorted(numbers) == list(range(2, 23))
        assert await link.call("GET", "n") == b"22"


@pytest.mark.parametrize("error", ["READONLY it is a replica", "MOVED 1 other:6379", "LOADING it starts"])
async def test_a_server_that_cannot_serve_is_left_for_a_new_connection(error: str) -> None:
    def useless(data: bytes) -> bytes:
        return f"-{error}\r\n".encode() if b"INCR" in data else b"+PONG\r\n"

    async with responding(useless) as (address, heard), link_to(address) as link:
        with pytest.raises(StoreDown, match=error.split()[0]):
            await link.call("INCR", "n")
        with pytest.raises(StoreDown, match=error.split()[0]):
            await link.call("PING")
        assert await served(link, "PING") == b"PONG"
        assert sum(b"INCR" in data for data in heard) == 1


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+PONG\r\n" * 3])
async def test_connection_to_another_protocol_ends(reply: bytes) -> None:
    async with responding(lambda _: reply) as (address, _), link_to(address, deadline=0.3) as link:
        calls = [link.call("PING") for _ in range(5)]
        replies = await asyncio.gather(*calls, return_exceptions=True)
        assert any("not valid in the protocol of Redis" in str(each) for each in replies)


async def test_closing_ends_what_is_under_way() -> None:
    with listener() as silent:
        async with link_to(at_port(silent)) as link:
            call = link.call("PING")
            await asyncio.sleep(0)
        with pytest.raises(StoreDown, match="closed"):
            await call
