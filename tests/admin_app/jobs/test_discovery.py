"""Lists of models that the leader among the admin processes fetches, from servers on this machine."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from admin_app.jobs.discovery import MAX_CHARACTERS, MAX_NAMES, names_in
from admin_app.jobs.leaders import Jobs
from shared.services import Services
from shared.usage.archiver import archived_rows
from tests.admin_app.ai.test_provider_test import SECRET
from tests.admin_app.world import Api, Tenant, World
from tests.support.peer import Received
from tests.support.upstream import Upstream, replying, sized
from tests.support.wait import await_true
from tests.usage.rows import row
from tests.usage.test_archiver import write

LOG = "admin_app.jobs.discovery"


@pytest.fixture
def start(world: World) -> Iterator[Callable[[], Jobs]]:
    """Starts the jobs of one more admin process, and ends all of them after the test."""
    started: list[Jobs] = []

    def start() -> Jobs:
        started.append(Jobs(cast(Services, world), discovery_every=0.02))
        started[-1].start()
        return started[-1]

    yield start
    for jobs in started:
        jobs.stop()


class Listing:
    """A provider that lists `names`, and fails when there are none."""

    def __init__(self) -> None:
        self.names: list[str] = ["b", "a"]
        self.document: Any = None
        self.requests: list[Received] = []
        self.upstream = Upstream(replying(self._reply))

    def _reply(self, request: Received) -> bytes:
        self.requests.append(request)
        if not self.names:
            return sized(json.dumps({"error": f"no {SECRET}"}).encode(), "500 Internal Server Error")
        return sized(json.dumps(self.document or {"data": [{"id": name} for name in self.names]}).encode())


@pytest.fixture
def listing() -> Iterator[Listing]:
    listing = Listing()
    with listing.upstream:
        yield listing


def a_provider(api: Api, listing: Listing, base: str = "", **members: Any) -> str:
    """The id of a new provider that is looked up."""
    sent = {
        "name": "p",
        "kind": "openai",
        "base_url": f"{listing.upstream.url}/v1",
        "keys": [{"secret": SECRET}],
        "discover": "10m",
        **members,
    }
    return str(api.create(f"{base}/providers", sent)["id"])


def names_of(world: World, provider_id: str) -> tuple[str, ...] | None:
    found = world.store.discovered([provider_id]).get(provider_id)
    return found and found.names


def await_names(world: World, provider_id: str, *names: str) -> None:
    await_true(lambda: names_of(world, provider_id) == names)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.name == LOG and one.levelno >= logging.WARNING]


def test_lists_of_the_platform_and_of_tenants_are_fetched_with_their_keys(
    world: World, api: Api, tenant: Tenant, listing: Listing, start: Callable[[], Jobs]
) -> None:
    first = a_provider(api, listing)
    off = a_provider(api, listing, name="off", discover="off")
    start()
    await_names(world, first, "a", "b")
    assert listing.requests[0].get("authorization") == f"Bearer {SECRET}"
    assert listing.requests[0].target == "/v1/models"
    second = a_provider(api, listing, tenant.url)
    await_names(world, second, "a", "b")
    assert names_of(world, off) is None
    assert len(listing.requests) == 2


def test_list_that_fails_keeps_the_last_one_and_is_logged_once(
    world: World, api: Api, listing: Listing, start: Callable[[], Jobs], caplog: pytest.LogCaptureFixture
) -> None:
    provider = a_provider(api, listing)
    start()
    await_names(world, provider, "a", "b")
    listing.names = []
    for concurrent in (1, 2):
        seen = len(listing.requests)
        assert api.patch(f"/providers/{provider}", {"max_concurrent": concurrent}).status_code == 200
        await_true(lambda seen=seen: len(listing.requests) > seen)  # type: ignore[misc]
    await_true(lambda: bool(warnings(caplog)))
    assert names_of(world, provider) == ("a", "b")
    [warning] = warnings(caplog)
    assert provider in warning
    assert SECRET not in warning
    listing.names = ["c"]
    assert api.patch(f"/providers/{provider}", {"max_concurrent": 3}).status_code == 200
    await_names(world, provider, "c")


def test_two_admin_processes_fetch_a_list_once_and_the_next_leader_waits_for_its_time(
    world: World, api: Api, listing: Listing, start: Callable[[], Jobs]
) -> None:
    first, _ = start(), start()
    provider = a_provider(api, listing)
    await_names(world, provider, "a", "b")
    first.stop()
    start()
    other = a_provider(api, listing, name="other")
    await_names(world, other, "a", "b")
    assert len(listing.requests) == 2


def test_list_is_fetched_again_when_its_time_comes(
    world: World, api: Api, tenant: Tenant, listing: Listing, start: Callable[[], Jobs]
) -> None:
    shared, own = a_provider(api, listing, discover="1m"), a_provider(api, listing, tenant.url)
    start()
    await_names(world, shared, "a", "b")
    await_names(world, own, "a", "b")
    listing.names = ["c"]
    world.clock.time += 61
    await_names(world, shared, "c")
    assert names_of(world, own) == ("a", "b")
    world.clock.time += 600
    await_names(world, own, "c")


def test_list_with_too_many_or_unusable_names_is_bounded(
    world: World, api: Api, listing: Listing, start: Callable[[], Jobs], caplog: pytest.LogCaptureFixture
) -> None:
    good = [f"m{number:05}" for number in range(MAX_NAMES + 3)]
    listing.names = [*good, "x" * (MAX_CHARACTERS + 1), "two\r\nlines", ""]
    provider = a_provider(api, listing)
    start()
    await_names(world, provider, *good[:MAX_NAMES])
    assert warnings(caplog)[0].startswith("6 models ")


def test_pages_of_anthropics_list_are_followed(
    world: World, api: Api, listing: Listing, start: Callable[[], Jobs]
) -> None:
    listing.document = {"data": [{"id": "claude"}], "has_more": True, "last_id": "claude"}
    provider = a_provider(api, listing, kind="anthropic", base_url=listing.upstream.url)
    start()
    await_names(world, provider, "claude")
    assert [one.target for one in listing.requests] == ["/v1/models", "/v1/models?after_id=claude"]


@pytest.mark.parametrize("document", [{"data": None}, [], {"data": [1, {"id": 2}, {}, None]}, "x", None])
def test_list_without_names_has_none(document: Any) -> None:
    assert names_in(document, "openai") == set()


def test_names_of_gemini_are_those_that_it_is_called_with() -> None:
    document = {"data": [{"id": "models/gemini-9"}]}
    assert names_in(document, "gemini") == {"gemini-9"}
    assert names_in(document, "custom") == {"models/gemini-9"}


def test_slow_providers_of_one_tenant_do_not_delay_others(
    world: World, api: Api, tenant: Tenant, listing: Listing, start: Callable[[], Jobs]
) -> None:
    async def hang(peer: Any) -> None:
        await peer.request()
        await peer.until_gone()

    with Upstream(hang) as slow:
        for number in range(9):
            base = f"{slow.url}/v1"
            a_provider(api, listing, tenant.url, name=f"slow-{number}", base_url=base)
        start()
        await_true(lambda: len(slow.received) == 2)
        provider = a_provider(api, listing, api.tenant("globex").url)
        await_names(world, provider, "a", "b")
        assert len(slow.received) == 2


def test_ledgers_are_copied_to_files_of_the_leader(
    world: World, valkey_socket: str, start: Callable[[], Jobs]
) -> None:
    write(valkey_socket, row(1))
    start()
    folder = world.settings.data_dir / "ledger"
    await_true(lambda: [one.id for one in archived_rows(folder, "acme", "2026-12-01")] == ["row-1"])
