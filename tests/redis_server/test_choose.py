"""Which Redis is used: the configured one when it answers, else an embedded one, never beside another."""

import asyncio
import dataclasses
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
import redis

from shared.config_store.source import open_source
from shared.config_store.store import open_store
from shared.core.errors import StoreDown
from shared.limits.redis.limiter import open_redis_limiter
from shared.redis_client.topology import TOPOLOGY, ClusterNodes
from shared.redis_server import choose
from shared.redis_server.choose import open_redis
from shared.redis_server.embedded import Embedded
from shared.redis_server.options import name_of, redis_options
from shared.settings import Settings, SettingsError, load_settings
from shared.settings.redis import RedisTls
from tests.config_store.configurations import a_tenant, create
from tests.limits.redis.limiter_world import limit
from tests.support.certificates import Authority
from tests.support.ports import free_port
from tests.support.redis_sets import Node
from tests.support.valkey_server import redis_7, server

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
        assert address.trouble is not None
        assert not list(tmp_path.iterdir())


def test_external_server_that_is_down_is_told_with_its_cause_and_found_when_it_is_up(
    tmp_path: Path, running: str
) -> None:
    path = running.removeprefix("unix://")
    configured = settings(tmp_path / "data", mode="external", url=running + ".late")
    with closing(open_redis(configured)) as address:
        assert address.trouble == "No such file or directory"
        assert address.describe() == (
            f"external Redis at {path}.late, which does not respond: No such file or directory"
        )
        Path(path + ".late").symlink_to(path)
        found = address.ask(timeout=5.0)
        assert found.trouble is None
        assert found.describe() == f"external Redis at {path}.late, 0 tenants"


def test_name_without_an_address_is_told_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def look_up(*_: object, **__: object) -> NoReturn:
        over.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "again")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(choose, "_FIRST_TIMEOUT", 0.2)
    configured = settings(tmp_path, mode="external", host="redis.invalid")
    with closing(open_redis(configured)) as address:
        assert address.trouble == "no reply within 0.2 s"
    over.set()


def test_database_that_does_not_exist_is_told(tmp_path: Path, running: str) -> None:
    with pytest.raises(
        StoreDown, match=r"cannot be used as Redis: DB index is out of range\. Correct .*redis\.db"
    ):
        open_redis(settings(tmp_path / "data", url=f"{running}?db=99"))


def test_host_that_is_no_name_is_told(tmp_path: Path) -> None:
    with closing(open_redis(settings(tmp_path, mode="external", host=f"{'a' * 70}.invalid"))) as address:
        assert "label" in str(address.trouble)


def test_server_that_reads_its_data_is_said_to_load(tmp_path: Path) -> None:
    loading = b"-LOADING Redis is loading the dataset in memory\r\n" * 9
    with (
        responding(loading) as port,
        closing(open_redis(settings(tmp_path, mode="external", port=port))) as address,
    ):
        assert address.is_loading


def test_store_is_described_with_its_number_of_tenants(tmp_path: Path) -> None:
    with closing(open_redis(settings(tmp_path, port=free_port()))) as address:
        store = open_store(address.options, 60.0)
        assert address.describe() == f"embedded, {tmp_path}/valkey.sock, 0 tenants"
        create(store, a_tenant("one"))
        assert address.describe() == f"embedded, {tmp_path}/valkey.sock, 1 tenant"
        store.close()


@pytest.mark.parametrize("mode", ["auto", "external"])
def test_embedded_store_that_is_not_used_is_told(tmp_path: Path, running: str, mode: str) -> None:
    with closing(open_redis(settings(tmp_path, port=free_port()))) as address:
        assert address.warning is None
    with closing(open_redis(settings(tmp_path, url=running, mode=mode))) as address:
        assert address.warning is not None
        assert address.warning.startswith(f"{tmp_path} holds an embedded store that is not used")


@pytest.mark.parametrize("url", ["redis://localhost:port", "redis://localhost?socket_timeout=x"])
def test_url_that_cannot_be_read_names_the_setting(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match=r"^redis\.url: cannot be read: "):
        open_redis(settings(tmp_path, url=url))


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
        (
            b"-NOAUTH Authentication required.\r\n" * 9,
            r"rejects the password: Authentication required\. Set redis\.password",
        ),
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


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """The TLS port of a Redis, and the authority that signed its certificate."""
    authority = Authority(tmp_path, "Authority of Redis")
    authority.server_context("127.0.0.1")
    pair, port = str(tmp_path / "127.0.0.1.pem"), free_port()
    files = ("--tls-cert-file", pair, "--tls-key-file", pair, "--tls-ca-cert-file", str(authority.file))
    with server(redis_7(), tmp_path, *files, "--tls-port", str(port), "--tls-auth-clients", "no"):
        yield port, authority.file


def secured(folder: Path, port: int, ca_file: Path | None) -> Settings:
    found = settings(folder, url=f"rediss://127.0.0.1:{port}")
    return dataclasses.replace(found, security=dataclasses.replace(found.security, ca_file=ca_file))


async def test_authority_of_ca_file_is_trusted_by_all_clients_of_redis(
    tmp_path: Path, tls_server: tuple[int, Path]
) -> None:
    port, authority = tls_server
    address = open_redis(secured(tmp_path / "data", port, authority))
    assert address.trouble is None
    async with redis.asyncio.Redis(**address.options) as client:
        assert await client.ping()
    source = open_source(address.options)
    assert (await source.changes(0))[0] == 0
    await source.close()


def test_certificate_of_redis_that_is_not_trusted_names_ca_file(
    tmp_path: Path, tls_server: tuple[int, Path]
) -> None:
    with pytest.raises(StoreDown, match=r"127\.0\.0\.1:\d+ is not trusted: .*\. Set security\.ca_file "):
        open_redis(secured(tmp_path / "data", tls_server[0], None))


def test_redis_without_tls_behind_a_tls_url_is_told(tmp_path: Path) -> None:
    with responding(b"-ERR unknown command\r\n" * 9) as port, pytest.raises(StoreDown, match="Use redis://"):
        open_redis(secured(tmp_path, port, None))


@pytest.mark.parametrize("command", ["evalsha", "script"])
def test_server_that_takes_no_digests_gets_whole_scripts(
    tmp_path: Path, running: str, command: str, caplog: pytest.LogCaptureFixture
) -> None:
    with redis.Redis.from_url(running) as client:
        client.acl_setuser("default", enabled=True, nopass=True, commands=[f"-{command}"])
    with closing(open_redis(settings(tmp_path / "data", url=running))) as address:
        options = address.options
    assert "takes no scripts by their digest" in caplog.text
    with closing(open_store(options, 0)) as store:
        create(store, a_tenant("acme"))
        assert len(store.list(10, None).snapshots) == 1  # a pipeline of scripts

    async def read() -> None:
        limiter, source = open_redis_limiter(options, 20), open_source(options)
        try:
            assert (await limiter.acquire([limit()])).allowed
            assert await source.read("id-acme") is not None
        finally:
            await limiter.close()
            await source.close()

    asyncio.run(read())


def test_sentinels_and_nodes_are_the_servers_of_the_options(tmp_path: Path) -> None:
    files = {"tls": RedisTls(ca=tmp_path / "ca.pem"), "username": "gateway", "password": "secret"}
    found = redis_options(
        settings(
            tmp_path,
            mode="sentinel",
            sentinels=("10.0.0.1:1", "[fd00::1]:2"),
            sentinel_password="other",
            address_map={"172.17.0.2:3": "redis:4"},
            **files,
        )
    )
    login = {"username": "gateway", "password": "secret", "ssl": True, "ssl_ca_certs": f"{tmp_path}/ca.pem"}
    sentinels = found.pop(TOPOLOGY)
    assert found == {**login, "db": 0}
    assert sentinels.addresses == (("10.0.0.1", 1), ("fd00::1", 2))
    assert sentinels.options == {**login, "username": None, "password": "other"}
    assert sentinels.address_map == {("172.17.0.2", 3): ("redis", 4)}
    assert name_of({TOPOLOGY: sentinels}) == "gateway (sentinels 10.0.0.1:1, [fd00::1]:2)"
    nodes = redis_options(settings(tmp_path, mode="cluster", nodes=("a:1",), **files))
    assert nodes.pop(TOPOLOGY) == ClusterNodes(addresses=(("a", 1),), home="{cfg}:order", options=login)
    assert nodes == login


def test_node_of_a_cluster_needs_the_mode_cluster(tmp_path: Path) -> None:
    node = Node(tmp_path / "node", "--cluster-enabled", "yes", kind="cluster")
    node.start()
    try:
        with pytest.raises(StoreDown, match=r"is a node of a Cluster\. Set redis.mode to cluster"):
            open_redis(settings(tmp_path / "data", mode="external", host="127.0.0.1", port=node.port))
    finally:
        node.kill()
        node.client.close()
