"""No change leaves a tenant with a name that the platform does not have, in any order and at any speed."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shared.config_store.check import violations
from shared.config_store.history.edit import Edit
from shared.config_store.port import ConfigStore
from shared.config_store.store import RedisStore
from shared.core.errors import Conflict, NamesInUse
from shared.model.config import Rule, Snapshot
from shared.model.providers import AiRule, Model, PlatformDocument, Provider
from shared.model.uses import uses_of, uses_offered
from shared.testing.memory_store import MemoryStore
from tests.config_store.configurations import ACTOR, StillClock, a_tenant

NAMES = ("a", "b", "c")
SOME_NAMES = st.lists(st.sampled_from(NAMES), unique=True)


@pytest.fixture(params=["valkey_socket", "redis_7_socket"])
def client(request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=request.getfixturevalue(request.param)) as client:
        client.flushall()
        yield client
        client.flushall()


def a_platform(before: PlatformDocument, providers: list[str], models: list[str]) -> PlatformDocument:
    return replace(
        before,
        providers=tuple(Provider(f"prv_{name}", name, "openai") for name in providers),
        models=tuple(Model(name, ()) for name in models),
    )


def a_user(name: str, providers: list[str], models: list[str], own: list[str]) -> Snapshot:
    ai = AiRule(providers=tuple(providers), models=tuple(models) or None)
    owned = tuple(Provider(f"prv_{name}_{one}", one, "openai") for one in own)
    return a_tenant(name, rules=(Rule("ai", "/", "", ai=ai),) * bool(providers or models), providers=owned)


def dangling(store: ConfigStore) -> set[str]:
    """The names in use that the platform does not have."""
    offered = uses_offered(store.read_platform())
    tenants = store.list(100, None).snapshots
    return {use for tenant in tenants for use in uses_of(tenant)} - offered


class Writers(RuleBasedStateMachine):
    """Writers that read at different times, and check what they write by what they read."""

    client: redis.Redis

    @initialize()
    def empty(self) -> None:
        self.client.flushall()
        self.stores: list[ConfigStore] = [
            MemoryStore(StillClock(), quarantine=0),
            RedisStore(self.client, quarantine=0),
        ]
        self.platforms = [PlatformDocument()]
        self.tenants: list[Snapshot] = []

    def in_both(self, write: object) -> object:
        """The outcome of a write, which is the same in both stores."""
        outcomes: list[object] = []
        for store in self.stores:
            try:
                outcomes.append(write(store))  # type: ignore[operator]
            except (Conflict, NamesInUse) as error:
                outcomes.append((type(error), str(error)))
        assert outcomes[0] == outcomes[1]
        return outcomes[0]

    @rule(data=st.data(), providers=SOME_NAMES, models=SOME_NAMES)
    def change_platform(self, data: st.DataObject, providers: list[str], models: list[str]) -> None:
        before = data.draw(st.sampled_from(self.platforms[-2:]))
        after = a_platform(before, providers, models)
        written = self.in_both(lambda store: store.write_platform(before, after, edit=Edit(actor=ACTOR)))
        if isinstance(written, PlatformDocument):
            self.platforms.append(written)

    @rule(data=st.data(), name=st.sampled_from(("x", "y")), own=SOME_NAMES)
    def write_tenant(self, data: st.DataObject, name: str, own: list[str]) -> None:
        platform = data.draw(st.sampled_from(self.platforms[-2:]))
        known = [one for one in self.tenants if one.tenant.name == name]
        before = data.draw(st.sampled_from(known[-2:] or [None]))
        providers, models = (
            data.draw(st.lists(st.sampled_from(offered), unique=True)) if offered else []
            for offered in ([one.name for one in platform.providers], [one.name for one in platform.models])
        )
        after = a_user(name, providers, models, own)
        written = self.in_both(
            lambda store: store.write(before, after, edit=Edit(actor=ACTOR), platform=platform.revision)
        )
        if isinstance(written, Snapshot):
            self.tenants.append(written)

    @precondition(lambda self: self.tenants)
    @rule(data=st.data())
    def delete_tenant(self, data: st.DataObject) -> None:
        before = data.draw(st.sampled_from(self.tenants[-3:]))
        if self.in_both(lambda store: store.write(before, None, edit=Edit(actor=ACTOR))) is None:
            self.tenants = [one for one in self.tenants if one.tenant.name != before.tenant.name]

    @invariant()
    def no_name_is_missing(self) -> None:
        if not hasattr(self, "stores"):
            return
        for store in self.stores:
            assert dangling(store) == set()
        assert self.stores[0].read_platform() == self.stores[1].read_platform()
        uses = [f"{kind}:{name}" for kind in ("provider", "model") for name in NAMES]
        assert self.stores[0].users_of(uses) == self.stores[1].users_of(uses)
        assert violations(self.client) == []


def test_names_in_use_are_never_missing_after_any_writes(client: redis.Redis) -> None:
    machine = type("Machine", (Writers,), {"client": client})
    run_state_machine_as_test(machine, settings=settings(max_examples=10, stateful_step_count=12))


class Crowd:
    """Ten writers and a reader that begin at once, and go on for half a second."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self.store = RedisStore(client, quarantine=0)
        self.missing: set[str] = set()
        self.written: set[str] = set()
        self._start = threading.Barrier(11)

    def run(self) -> None:
        with ThreadPoolExecutor(11) as pool:
            futures = [
                *(pool.submit(self._repeat, self._change_platform, seed) for seed in range(2)),
                *(pool.submit(self._repeat, self._change_tenant, seed) for seed in range(8)),
                pool.submit(self._repeat, self._look, 0),
            ]
        for future in futures:
            future.result()

    def _repeat(self, step: Callable[[int, random.Random], None], number: int) -> None:
        draw = random.Random(number)
        self._start.wait()
        ends = time.monotonic() + 0.5
        while time.monotonic() < ends:
            with suppress(Conflict, NamesInUse):
                step(number, draw)

    def _change_platform(self, _: int, draw: random.Random) -> None:
        before = self.store.read_platform()
        names = draw.sample(NAMES, draw.randrange(4))
        self.store.write_platform(before, a_platform(before, names, names), edit=Edit(actor=ACTOR))
        self.written.add("platform")

    def _change_tenant(self, number: int, draw: random.Random) -> None:
        platform, before = self.store.read_platform(), self.store.read(f"id-t{number}")
        offered = [provider.name for provider in platform.providers]
        names = draw.sample(offered, draw.randrange(len(offered) + 1))
        after = None if before and not draw.randrange(4) else a_user(f"t{number}", names, names, [])
        self.store.write(before, after, edit=Edit(actor=ACTOR), platform=platform.revision)
        self.written.add("tenant")

    def _look(self, _: int, __: random.Random) -> None:
        # Read in one step, so that nothing comes between.
        with self.client.pipeline() as pipeline:
            for name in NAMES:
                pipeline.scard(f"{{cfg}}:uses:provider:{name}")
            pipeline.hget("{cfg}:platform", "version")
            *users, version = pipeline.execute()
        text: Any = self.client.get(f"{{cfg}}:platformdoc:{(version or b'0').decode()}")
        if text is not None:  # no newer version since
            used = {name for name, count in zip(NAMES, users, strict=True) if count}
            self.missing |= {name for name in used if f'"name":"{name}"' not in text.decode()}


def test_names_in_use_are_never_missing_while_many_write_at_once(client: redis.Redis) -> None:
    crowd = Crowd(client)
    crowd.run()
    assert (crowd.missing, dangling(crowd.store)) == (set(), set())
    assert violations(client) == []
    assert crowd.written == {"platform", "tenant"}
