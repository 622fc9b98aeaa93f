"""Which Redis is used: the configured one when it answers, else an embedded one, never beside another."""

import dataclasses
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import redis

from shared.core.errors import StoreDown
from shared.redis_server.choose import open_redis
from shared.redis_server.embedded import Embedded
from shared.settings import Settings, load_settings
from tests.support.ports import free_port

FILES = {"GATEWAY__SECURITY__PEPPER_FILE": "pepper", "GATEWAY__SECURITY__KEY_FILE": "key"}


def settings(folder: Path, **redis_settings: object) -> Settings:
    found = load_settings(environ={"GATEWAY__DATA_DIR": str(folder), **FILES})
    return dataclasses.replace(found, redis=dataclasses.replace(found.redis, **redis_settings))


@contextmanager
def responding(*responses: bytes) -> Iterator[int]:
    """A server on a free port that gives the same answers to every client."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    for response in responses:
                        client.recv(4096)
                        client.sendall(response)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[str]:
    """The URL of a server that was started by somebody else."""
    server = Embedded(tmp_path / "elsewhere")
    server.open()
    yield f"unix://{server.socket}"
    server.close()


def test_a_configured_server_that_responds_is_used(tmp_path: Path, running: str) -> None:
    with closing(open_redis(settings(tmp_path / "data", url=running))) as address:
        assert address.embedded is None
        with closing(redis.Redis(**address.options)) as client:
            assert client.ping()
    assert not (tmp_path / "data").exists()


def test_an_embedded_one_starts_when_nothing_responds_on_this_machine(tmp_path: Path) -> None:
    with (
        closing(open_redis(settings(tmp_path, port=free_port()))) as address,
        closing(redis.Redis(**address.options)) as client,
    ):
        assert client.ping()
        assert address.name == f"embedded, {tmp_path / 'valkey.sock'}"


async def test_the_options_serve_the_asynchronous_client_too(tmp_path: Path) -> None:
    with closing(open_redis(settings(tmp_path, port=free_port()))) as address:
        async with redis.asyncio.Redis(**address.options) as client:
            assert await client.ping()


@pytest.mark.parametrize(
    ("mode", "host"), [("auto", "redis.invalid"), ("external", "redis.invalid"), ("external", "localhost")]
)
def test_another_machine_or_an_external_server_is_never_replaced(
    tmp_path: Path, mode: str, host: str
) -> None:
    with closing(open_redis(settings(tmp_path, mode=mode, host=host, port=free_port()))) as address:
        assert address.embedded is None
        assert address.options["host"] == host


def test_a_server_that_responds_beside_a_running_embedded_one_is_rejected(
    tmp_path: Path, running: str
) -> None:
    with (
        closing(open_redis(settings(tmp_path, port=free_port()))),
        pytest.raises(StoreDown, match="Stop one of them"),
    ):
        open_redis(settings(tmp_path, url=running))


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (b"-NOAUTH Authentication required.\r\n" * 9, r"rejects the password\. Set redis\.password"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "cannot be used as Redis"),
    ],
    ids=["another password", "another service"],
)
def test_a_server_that_cannot_be_used_is_reported_and_none_is_embedded(
    tmp_path: Path, response: bytes, reason: str
) -> None:
    with responding(response) as port, pytest.raises(StoreDown, match=reason):
        open_redis(settings(tmp_path, port=port))
    assert not list(tmp_path.iterdir())


def test_a_server_that_hangs_is_used_and_not_replaced(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        closing(open_redis(settings(tmp_path, port=silent.getsockname()[1]))) as address,
    ):
        assert address.embedded is None


def test_a_url_says_everything(tmp_path: Path) -> None:
    with closing(open_redis(settings(tmp_path, url="rediss://user:p%40ss@redis.invalid:6390/3"))) as address:
        assert address.options == {
            "host": "redis.invalid",
            "port": 6390,
            "db": 3,
            "username": "user",
            "password": "p@ss",
            "ssl": True,
        }
        assert address.name == "redis.invalid:6390"
