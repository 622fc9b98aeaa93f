"""What the proxy may rely on: known tenants at once, changes soon, and the last good state in any trouble."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from shared.core.errors import BadRecord, StoreDown
from shared.core.model import ApiKey, Snapshot
from shared.stores.memory import MemoryStore
from shared.stores.memory_source import MemorySource
from shared.stores.reader import Aside, GatewayCache
from tests.stores.configurations import ACTOR, StillClock, a_tenant, an_api_key, with_tenant


@dataclass(frozen=True)
class Compiled:
    """The plainest thing that the cache can hold."""

    snapshot: Snapshot

    @property
    def keys(self) -> Mapping[str, ApiKey]:
        return {key.hash: key for key in self.snapshot.keys}


@dataclass(frozen=True)
class Knobs:
    config_ttl: float = 1.0
    cleanup_interval: float = 60.0
    max_idle_time: float = 3600.0
    max_entries: int = 100


EVERYTHING = frozenset({"look-up", "read", "changes"})


class CountingSource(MemorySource):
    """Counts the questions, can refuse some, can have bad records, and can hold an answer back."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.calls: list[str] = []
        self.down: frozenset[str] = frozenset()
        self.bad: set[str] = set()
        #: What happens between the store's answer to a question and its arrival, once.
        self.meanwhile: dict[str, Callable[[], Awaitable[object]]] = {}

    def ask(self, call: str) -> None:
        self.calls.append(call)
        if call in self.down:
            raise StoreDown("The store is down.")

    async def answer(self, call: str) -> None:
        await asyncio.sleep(0)
        if call in self.meanwhile:
            await self.meanwhile.pop(call)()

    async def tenant_of_subdomain(self, subdomain: str) -> str | None:
        self.ask("look-up")
        tenant_id = await super().tenant_of_subdomain(subdomain)
        await self.answer("look-up")
        return tenant_id

    async def tenant_of_key(self, key_hash: str) -> str | None:
        self.ask("look-up")
        tenant_id = await super().tenant_of_key(key_hash)
        await self.answer("look-up")
        return tenant_id

    async def read(self, tenant_id: str) -> Snapshot | None:
        self.ask("read")
        snapshot = await super().read(tenant_id)
        if tenant_id in self.bad:
            raise BadRecord(f"The stored tenant {tenant_id} cannot be read.")
        await self.answer("read")
        return snapshot

    async def changes(self, since: int) -> tuple[int, Sequence[str]]:
        self.ask("changes")
        return await super().changes(since)


async def at_once[A, R](function: Callable[[A], R], argument: A, /) -> R:
    return function(argument)


@dataclass
class World:
    """A store, and a cache that reads it through a source that can fail."""

    knobs: Knobs = field(default_factory=Knobs)
    compiler: Callable[[Snapshot], Compiled] = Compiled
    aside: Aside = at_once

    def __post_init__(self) -> None:
        self.clock = StillClock()
        self.store = MemoryStore(self.clock, quarantine=0)
        self.source = CountingSource(self.store)
        self.cache = GatewayCache(self.source, self.compiler, self.clock, self.knobs, self.aside)

    def create(self, name: str) -> Snapshot:
        return self.write(None, a_tenant(name))

    def write(self, before: Snapshot | None, after: Snapshot) -> Snapshot:
        written = self.store.write(before, after, actor=ACTOR)
        assert written is not None
        return written

    async def name_of(self, subdomain: str | None, key_hash: str | None = None) -> str | None:
        found = await self.cache.find(subdomain, key_hash)
        return found and found.snapshot.tenant.name

    async def asked(self, subdomain: str | None, key_hash: str | None = None) -> list[str]:
        """The questions that finding costs."""
        self.source.calls.clear()
        await self.cache.find(subdomain, key_hash)
        return self.source.calls[:]

    async def settle(self) -> None:
        """Let announcements arrive, and what they set off end."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def look_in_background(self) -> None:
        """One look as the background does it: what it raises is the cache's own business."""
        await asyncio.wait({self.cache._flights.join("look for changes", self.cache.look)})

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the background tasks run until it is so."""
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0)


def scenario(body: Callable[[World], Awaitable[None]], world: World | None = None) -> None:
    """Run a test's coroutine with a world whose cache does not follow the changes by itself."""

    async def main() -> None:
        here = world or World()
        async with asyncio.timeout(10):
            await body(here)
            await here.cache.close()

    asyncio.run(main())


def following(body: Callable[[World], Awaitable[None]], world: World | None = None) -> None:
    """As `scenario`, with the background tasks at work."""

    async def start(here: World) -> None:
        await here.cache.start()
        await here.until(lambda: here.cache.last_config_check is not None)
        await body(here)

    scenario(start, world)


def renamed(snapshot: Snapshot, name: str) -> Snapshot:
    return with_tenant(snapshot, name=name)


def test_a_tenant_is_found_by_subdomain_and_by_key() -> None:
    async def body(world: World) -> None:
        world.create("acme")
        world.create("other")
        assert await world.name_of("acme") == "acme"
        assert await world.name_of(None, "pepper:other") == "other"
        assert await world.name_of("acme", "pepper:other") == "acme"
        assert await world.name_of(None, None) is None
        assert await world.name_of("nobody") is None

    scenario(body)


def test_a_known_tenant_costs_no_question() -> None:
    async def body(world: World) -> None:
        world.create("acme")
        assert world.cache.peek("acme", None) is None
        assert await world.asked("acme", "pepper:acme") == ["look-up", "read"]
        assert world.cache.peek("acme", None) is not None
        assert world.cache.peek(None, "pepper:acme") is not None
        for subdomain, key_hash in (("acme", "pepper:acme"), ("acme", None), (None, "pepper:acme")):
            assert await world.asked(subdomain, key_hash) == []

    scenario(body)


def test_an_unknown_tenant_and_an_unknown_key_cost_the_same_and_then_nothing() -> None:
    async def body(world: World) -> None:
        world.create("acme")
        world.create("foreign")
        await world.cache.find("acme", None)
        strangers = [
            ("nobody", "pepper:x"),
            ("acme", "pepper:x1"),
            (None, "pepper:x2"),
            ("acme", "pepper:foreign"),
        ]
        assert [await world.asked(*stranger) for stranger in strangers] == [["look-up"]] * 4
        assert [await world.asked(*stranger) for stranger in strangers[:3]] == [[]] * 3
        world.clock.time += 2
        assert [await world.asked(*stranger) for stranger in strangers] == [["look-up"]] * 4

    scenario(body)


def test_a_crowd_that_asks_for_one_tenant_asks_the_store_once() -> None:
    async def body(world: World) -> None:
        world.create("acme")
        found = await asyncio.gather(*(world.name_of("acme") for _ in range(100)))
        assert found == ["acme"] * 100
        assert world.source.calls == ["look-up", "read"]

    scenario(body)


def test_who_gives_up_waiting_does_not_spoil_it_for_the_others() -> None:
    async def body(world: World) -> None:
        world.create("acme")
        gate = asyncio.Event()
        world.source.meanwhile["read"] = gate.wait
        first, second = (asyncio.ensure_future(world.name_of("acme")) for _ in range(2))
        await world.until(lambda: "read" in world.source.calls)
        first.cancel()
        await asyncio.wait({first})
        gate.set()
        assert await second == "acme"
        assert first.cancelled()

    scenario(body)


def test_a_change_is_there_as_soon_as_it_is_announced() -> None:
    async def body(world: World) -> None:
        acme = world.create("acme")
        assert await world.name_of("acme") == "acme"
        world.write(acme, renamed(acme, "Acme"))
        await world.settle()
        assert await world.name_of("acme") == "Acme"

    following(body)


def test_a_new_tenant_and_a_new_key_are_known_although_they_were_unknown_a_moment_ago() -> None:
    async def body(world: World) -> None:
        assert await world.name_of("acme") is None
        assert await world.name_of(None, "pepper:acme") is None
        world.create("acme")
        await world.settle()
        assert await world.name_of("acme") == "acme"
        assert await world.name_of(None, "pepper:acme") == "acme"

    following(body)


def test_a_new_key_of_a_held_tenant_works_before_the_news_of_it_came() -> None:
    async def body(world: World) -> None:
        acme = world.create("acme")
        await world.cache.find("acme", None)
        world.write(acme, replace(acme, keys=(*acme.keys, an_api_key("new"))))
        for subdomain in ("acme", None):
            found = await world.cache.find(subdomain, "pepper:new")
            assert found is not None
            assert "pepper:new" in found.keys

    scenario(body)


def test_a_deleted_tenant_and_a_dropped_key_are_gone_at_once() -> None:
    async def body(world: World) -> None:
        acme, other = world.create("acme"), world.create("other")
        await world.cache.find("acme", None)
        await world.cache.find("other", None)
        world.store.write(acme, None, actor=ACTOR)
        world.write(other, replace(other, keys=()))
        await world.settle()
        assert world.cache.peek("acme", None) is None
        assert world.cache.peek(None, "pepper:other") is None
        assert await world.name_of("acme") is None
        assert await world.name_of(None, "pepper:acme") is None
        assert await world.name_of(None, "pepper:other") is None
        assert await world.name_of("other") == "other"

    following(body)


def test_a_renamed_subdomain_moves_and_may_be_another_tenants_afterwards() -> None:
    async def body(world: World) -> None:
        acme = world.create("acme")
        await world.cache.find("acme", None)
        world.write(acme, with_tenant(acme, subdomain="new"))
        world.write(None, with_tenant(a_tenant("heir"), subdomain="acme"))
        await world.cache.find("acme", None)
        await world.settle()
        assert await world.name_of("new") == "acme"
        assert await world.name_of("acme") == "heir"

    following(body)


def test_a_change_during_a_read_is_not_missed() -> None:
    async def body(world: World) -> None:
        acme = world.create("acme")

        async def change() -> None:
            world.write(acme, renamed(acme, "Acme"))
            await world.settle()

        world.source.meanwhile["read"] = change
        assert await world.name_of("acme") == "Acme"

    following(body)


def test_a_creation_during_a_look_up_is_not_hidden_by_its_answer() -> None:
    async def body(world: World) -> None:
        async def create() -> None:
            world.create("acme")
            await world.settle()

        world.source.meanwhile["look-up"] = create
        assert await world.name_of("acme") is None
        assert await world.name_of("acme") == "acme"

    following(body)


def test_a_subdomain_that_moved_during_the_look_up_does_not_lead_to_its_former_tenant() -> None:
    async def body(world: World) -> None:
        acme = world.create("acme")

        async def rename() -> None:
            world.write(acme, with_tenant(acme, subdomain="new"))

        world.source.meanwhile["look-up"] = rename
        assert await world.name_of("acme") is None

    scenario(body)


def test_a_tenant_that_was_deleted_during_the_look_up_is_nobody() -> None:
    async def body(world: World) -> None:
        acme = world.create("acme")

        async def delete() -> None:
            world.store.write(acme, None, actor=ACTOR)

        world.source.meanwhile["look-up"] = delete
        assert await world.name_of("acme") is None
        assert len(world.cache) == 0

    scenario(body)


def test_a_key_that_was_dropped_during_the_look_up_finds_nobody() -> None:
    async def body(world: World) -> None:
        acme = world.create("acme")

        async def drop() -> None:
            world.write(acme, replace(acme, keys=()))

        world.source.meanwhile["look-up"] = drop
        assert await world.name_of(None, "pepper:acme") is None

    scenario(body)


def test_a_new_tenant_whose_message_was_lost_is_known_after_the_next_look() -> None:
    async def body(world: World) -> None:
        await world.cache.look()
        assert await world.name_of("acme") is None
        world.create("acme")
        assert await world.name_of("acme") is None
        await world.cache.look()
        assert await world.name_of("acme") == "acme"

    scenario(body)


def test_a_change_whose_message_was_lost_is_found_by_the_next_look() -> None:
    async def body(world: World) -> None:
        acme = world.create("acme")
        idle = world.create("idle")
        await world.cache.look()
        await world.cache.find("acme", None)
        world.write(acme, renamed(acme, "Acme"))
        world.write(idle, renamed(idle, "Idle"))
        world.source.calls.clear()
        await world.cache.look()
        assert world.source.calls == ["changes", "read"]
        assert await world.name_of("acme") == "Acme"

    scenario(body)


def test_a_look_without_changes_is_one_question() -> None:
    async def body(world: World) -> None:
        world.create("acme")
        await world.cache.look()
        await world.cache.find("acme", None)
        world.source.calls.clear()
        await world.cache.look()
        assert world.source.calls == ["changes"]
        assert world.cache.last_config_check == world.clock.time

    scenario(body)


def test_after_a_lost_connection_everything_is_read_again_but_not_all_the_time() -> None:
    async def body(world: World) -> None:
        for name in ("one", "two"):
            world.create(name)
        await world.cache.look()
        await world.cache.find("one", None)
        await world.cache.find("two", None)
        for seconds, reads in ((6.0, 2), (0.1, 0), (5.0, 2)):
            world.clock.time += seconds
            world.source.calls.clear()
            world.cache._reconnected()
            await world.settle()
            assert world.source.calls.count("read") == reads, seconds

    scenario(body)


@pytest.mark.parametrize("trouble", ["an older one", "one of the same age, while it was down"])
def test_a_store_that_was_replaced_by_another_is_read_anew(trouble: str) -> None:
    async def body(world: World) -> None:
        acme = world.create("acme")
        await world.cache.look()
        await world.cache.find("acme", None)
        world.clock.time += 6
        if trouble == "an older one":
            world.store.revision = 0
        else:
            world.source.down = EVERYTHING
            await world.look_in_background()
            world.source.down = frozenset()
        world.store._snapshots["id-acme"] = renamed(acme, "Other")
        await world.cache.look()
        assert await world.name_of("acme") == "Other"

    scenario(body)


def test_a_long_reload_does_not_hold_up_the_next_look() -> None:
    async def body(world: World) -> None:
        names = ("one", "two", "three")
        for name in names:
            world.create(name)
            await world.cache.find(name, None)

        async def be_slow() -> None:
            world.clock.time += 1.5

        world.source.calls.clear()
        world.source.meanwhile["read"] = be_slow
        await world.cache.look()
        assert world.source.calls == ["changes", "read"]
        await world.cache.look()
        assert world.source.calls == ["changes", "read", "changes", "read", "read"]

    scenario(body)


def test_a_store_that_is_down_takes_nothing_away() -> None:
    async def body(world: World) -> None:
        acme = world.create("acme")
        await world.cache.look()
        await world.cache.find("acme", None)
        world.write(acme, renamed(acme, "Acme"))
        world.source.down = EVERYTHING
        world.clock.time += 10_000_000
        with pytest.raises(StoreDown):
            await world.cache.look()
        assert await world.name_of("acme", "pepper:acme") == "acme"
        assert await world.name_of("acme", "pepper:unknown") == "acme"
        for subdomain, key_hash in (("other", None), (None, "pepper:other")):
            with pytest.raises(StoreDown):
                await world.cache.find(subdomain, key_hash)
        world.source.down = frozenset()
        await world.cache.look()
        assert await world.name_of("acme") == "Acme"

    scenario(body)


def test_trouble_is_shown_while_it_lasts_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def body(world: World) -> None:
        world.source.down = EVERYTHING
        for _ in range(3):
            world.cache._reconnected()
            await world.settle()
        assert world.cache.trouble == "The store is down."
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        world.source.down = frozenset()
        await world.cache.look()
        assert world.cache.trouble is None

    scenario(body)


def test_a_reload_that_failed_is_done_by_the_next_look() -> None:
    async def body(world: World) -> None:
        acme = world.create("acme")
        await world.cache.look()
        await world.cache.find("acme", None)
        world.source.down = frozenset({"read"})
        world.write(acme, renamed(acme, "Acme"))
        with pytest.raises(StoreDown):
            await world.cache.look()
        assert await world.name_of("acme") == "acme"
        world.source.down = frozenset()
        await world.cache.look()
        assert await world.name_of("acme") == "Acme"

    scenario(body)


def test_a_bad_record_leaves_the_last_good_one_and_harms_nobody_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def body(world: World) -> None:
        acme, other = world.create("acme"), world.create("other")
        await world.cache.look()
        await world.cache.find("acme", None)
        await world.cache.find("other", None)
        world.source.bad.add("id-acme")
        world.write(acme, renamed(acme, "Acme"))
        world.write(other, renamed(other, "Other"))
        await world.cache.look()
        assert await world.name_of("acme") == "acme"
        assert await world.name_of("other") == "Other"
        assert "id-acme" in caplog.text

    scenario(body)


def test_a_bad_record_of_a_tenant_not_held_is_trouble_for_that_tenant_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def body(world: World) -> None:
        world.create("acme")
        world.create("other")
        world.source.bad.add("id-acme")
        for _ in range(3):
            with pytest.raises(StoreDown, match="id-acme"):
                await world.cache.find("acme", None)
        assert len(caplog.records) == 1
        assert await world.name_of("other") == "other"

    scenario(body)


def test_what_cannot_be_compiled_leaves_the_last_good_one(caplog: pytest.LogCaptureFixture) -> None:
    def compiler(snapshot: Snapshot) -> Compiled:
        if snapshot.tenant.name == "bad":
            raise KeyError("a fault of a plugin")
        return Compiled(snapshot)

    async def body(world: World) -> None:
        acme = world.create("acme")
        await world.cache.look()
        await world.cache.find("acme", None)
        acme = world.write(acme, renamed(acme, "bad"))
        for _ in range(3):
            world.cache._changed("id-acme")
            await world.settle()
        assert await world.name_of("acme") == "acme"
        assert len(caplog.records) == 1
        fresh = GatewayCache(world.source, compiler, world.clock, world.knobs, at_once)
        with pytest.raises(StoreDown):
            await fresh.find("acme", None)
        world.write(acme, renamed(acme, "good"))
        await world.cache.look()
        assert await world.name_of("acme") == "good"

    scenario(body, World(compiler=compiler))


def test_tenants_are_compiled_where_no_request_waits_for_it() -> None:
    places: list[int] = []

    def compiler(snapshot: Snapshot) -> Compiled:
        places.append(threading.get_ident())
        return Compiled(snapshot)

    async def body(world: World) -> None:
        world.create("acme")
        assert await world.name_of("acme") == "acme"
        [place] = places
        assert place != threading.get_ident()

    scenario(body, World(compiler=compiler, aside=asyncio.to_thread))


class HeldBack:
    """Compiles when it is let."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Event] = []

    async def __call__[A, R](self, function: Callable[[A], R], argument: A, /) -> R:
        self.waiting.append(asyncio.Event())
        await self.waiting[-1].wait()
        return function(argument)


def test_while_a_tenant_is_compiled_the_old_one_serves_and_the_newest_comes_last() -> None:
    held_back = HeldBack()

    async def body(world: World) -> None:
        acme = world.create("acme")
        await world.cache.look()
        finding = asyncio.ensure_future(world.name_of("acme"))
        await world.settle()
        held_back.waiting[0].set()
        assert await finding == "acme"
        for number, name in enumerate(("second", "third", "fourth")):
            acme = world.write(acme, renamed(acme, name))
            world.cache._changed("id-acme")
            await world.settle()
            assert len(held_back.waiting) == 2, f"one compile at a time, not one for change {number}"
            assert await world.name_of("acme") == "acme"
        held_back.waiting[1].set()
        await world.settle()
        assert await world.name_of("acme") == "second", "each one that is compiled serves at once"
        held_back.waiting[2].set()
        await world.settle()
        assert await world.name_of("acme") == "fourth"
        assert len(held_back.waiting) == 3

    scenario(body, World(aside=held_back))


def test_a_tenant_that_is_deleted_while_it_is_compiled_is_not_held() -> None:
    held_back = HeldBack()

    async def body(world: World) -> None:
        acme = world.create("acme")
        await world.cache.look()
        finding = asyncio.ensure_future(world.name_of("acme"))
        await world.settle()
        world.store.write(acme, None, actor=ACTOR)
        world.cache._changed("id-acme")
        held_back.waiting[0].set()
        assert await finding is None
        assert len(world.cache) == 0

    scenario(body, World(aside=held_back))


def test_what_is_not_used_is_dropped_and_what_is_used_stays() -> None:
    async def body(world: World) -> None:
        for number in range(50):
            world.create(f"t{number}")
            await world.cache.find(f"t{number}", None)
        world.clock.time += 3000
        await world.cache.find("t7", None)
        world.clock.time += 1000
        await world.cache.sweep()
        assert len(world.cache) == 1
        assert world.cache.peek("t7", None) is not None
        assert world.cache.peek(None, "pepper:t8") is None

    scenario(body)


def test_no_more_tenants_are_held_than_allowed_and_the_least_used_go_first() -> None:
    async def body(world: World) -> None:
        for name in "abc":
            world.create(name)
        await world.cache.find("a", None)
        await world.cache.find("b", None)
        await world.cache.find("a", None)
        assert await world.name_of("c") == "c"
        assert len(world.cache) == 2
        assert world.cache.peek("b", None) is None
        assert await world.name_of("b") == "b"

    scenario(body, World(Knobs(max_entries=2)))


def test_a_crowd_of_more_tenants_than_fit_is_answered_all_the_same() -> None:
    async def body(world: World) -> None:
        names = [f"t{number}" for number in range(20)]
        for name in names:
            world.create(name)
        assert await asyncio.gather(*map(world.name_of, names)) == names

    scenario(body, World(Knobs(max_entries=1)))


def test_the_background_looks_again_and_again_until_it_is_closed() -> None:
    async def body(world: World) -> None:
        await world.until(lambda: world.source.calls.count("changes") > 3)
        await world.cache.close()
        world.source.calls.clear()
        await world.settle()
        assert world.source.calls == []

    following(body, World(Knobs(config_ttl=0.001, cleanup_interval=0.001)))
