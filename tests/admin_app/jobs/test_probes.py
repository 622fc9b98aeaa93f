"""Probes of targets by the leader among the admin processes, against servers on this machine."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
import redis

from admin_app.jobs.leaders import Jobs
from shared.health.layout import NOTE, Beat, note_of_beats, parse_message
from shared.health.report import CLOSED, OPERATOR, PROBE, Report
from shared.health.store import HealthStore
from shared.net.policy import Policy
from shared.routing.target_pool import target_id
from shared.services import Services
from tests.admin_app.ai.test_provider_test import SECRET
from tests.admin_app.world import NOW, Api, Tenant, World
from tests.support.peer import Received
from tests.support.upstream import Upstream, replying, sized
from tests.support.wait import await_true

CANARY = "of-this-target-0123456789"


class Probed:
    """An upstream whose health path has a status, and what processes were told of it."""

    def __init__(self, socket: str) -> None:
        self.status = "200 OK"
        self.requests: list[Received] = []
        self.upstream = Upstream(replying(self._reply))
        self.client = redis.Redis(unix_socket_path=socket)
        self.store = HealthStore(self.client)
        self.channel = self.client.pubsub(ignore_subscribe_messages=True)
        self.channel.subscribe("health")
        self._told: list[Report] = []

    def _reply(self, request: Received) -> bytes:
        self.requests.append(request)
        return sized(b"{}", self.status)

    @property
    def told(self) -> list[Report]:
        while message := self.channel.get_message(timeout=0.001):
            self._told.append(parse_message(message["data"])[1])
        return self._told

    def causes(self) -> list[str]:
        return [one.cause for one in self.told]

    def use(self, owner: str, target: str, at: float) -> None:
        beat = Beat(worker="w", target=target, at=at, in_flight=0, latency=None)
        note = note_of_beats(owner, [beat], at)
        self.client.eval(NOTE.text, 2, *note.keys, *note.arguments)

    def await_probes(self, count: int) -> None:
        seen = len(self.requests)
        await_true(lambda: len(self.requests) >= seen + count)


@pytest.fixture
def probed(valkey_socket: str) -> Iterator[Probed]:
    one = Probed(valkey_socket)
    with one.upstream:
        yield one
    one.channel.close()
    one.client.close()


@pytest.fixture
def jobs(world: World) -> Iterator[Jobs]:
    jobs = Jobs(cast(Services, world), probes_every=0.01)
    jobs.start()
    yield jobs
    jobs.stop()


def pooled(api: Api, tenant: Tenant, probed: Probed, used_at: float = NOW, **health: Any) -> str:
    """The id of the target of a new rule with health checks, which was used at that time."""
    url = f"{probed.upstream.url}/up"
    probed.use(tenant.id, target_id(tenant.id, url), used_at)
    targets = [{"url": url, "headers": {"X-Key": CANARY}}]
    checks = {"path": "/healthz?full=1", "interval": 5, "timeout": "1s", **health}
    sent = {"path": "/pool", "targets": targets, "health": checks}
    assert api.post(f"{tenant.url}/rules", sent).status_code == 201
    return target_id(tenant.id, url)


def turn(world: World, probed: Probed, probes: int = 1) -> None:
    """Let the time of the next probes come."""
    for _ in range(probes):
        seen = len(probed.requests)
        world.clock.time += 5.1
        await_true(lambda seen=seen: len(probed.requests) > seen)  # type: ignore[misc]


def test_failing_probes_open_a_target_and_two_good_ones_close_it(
    world: World, api: Api, tenant: Tenant, probed: Probed, jobs: Jobs
) -> None:
    target = pooled(api, tenant, probed)
    await_true(lambda: len(probed.requests) == 1)
    [first] = probed.requests
    assert (first.method, first.target) == ("GET", "/healthz?full=1")
    assert CANARY not in repr(first)
    probed.status = "500 Internal Server Error"
    turn(world, probed)
    assert probed.told == []
    turn(world, probed)
    await_true(lambda: len(probed.told) == 1)
    [told] = probed.told
    assert (told.tenant, told.target, told.cause, told.why) == (tenant.id, target, PROBE, "probe: status 500")
    assert told.until > world.clock.time + 10
    probed.status = "200 OK"
    turn(world, probed)
    assert probed.causes() == [PROBE]
    turn(world, probed)
    await_true(lambda: probed.causes() == [PROBE, CLOSED])


def test_targets_that_nobody_uses_or_that_an_operator_has_opened_are_not_probed(
    world: World, api: Api, tenant: Tenant, probed: Probed, jobs: Jobs
) -> None:
    target = pooled(api, tenant, probed, NOW - 3_601)
    marker = Elsewhere(world, api, probed)
    assert marker.targets() == {"/marker"}
    probed.use(tenant.id, target, NOW)
    held = Report(tenant=tenant.id, target=target, until=NOW + 60, at=NOW, cause=OPERATOR, why="maintenance")
    probed.store.tell(held)
    turn(world, probed)
    assert marker.targets() == {"/marker"}
    world.clock.time += 60
    await_true(lambda: marker.targets() == {"/marker", "/healthz?full=1"})


class Elsewhere:
    """A used target of another tenant: once it was probed, all that are due were looked at."""

    def __init__(self, world: World, api: Api, probed: Probed) -> None:
        other = api.tenant("globex")
        pooled(api, other, probed, path="/marker")
        self.probed = probed
        await_true(lambda: "/marker" in self.targets())

    def targets(self) -> set[str]:
        return {one.target for one in self.probed.requests}


def test_providers_are_probed_for_models_of_their_owner_with_their_key(
    world: World, api: Api, tenant: Tenant, probed: Probed, jobs: Jobs
) -> None:
    for owner in ("", tenant.url):
        name = "theirs" if owner else "shared"
        sent = {
            "name": name,
            "kind": "vllm",
            "base_url": f"{probed.upstream.url}/v1",
            "keys": [{"secret": SECRET}],
            **({} if owner else {"shared": "all"}),
        }
        provider = api.create(f"{owner}/providers", sent)["id"]
        probed.use(provider, f"{provider}/m", NOW)
        for used in ("theirs", "shared") if owner else ("shared",):
            sent = {
                "name": f"{name}-{used}",
                "targets": [{"provider": used, "model": "m"}],
                "health": {"path": f"/health-{name}-{used}", "interval": 5},
            }
            api.create(f"{owner}/models", sent)
    await_true(lambda: len(probed.requests) == 2)
    assert {one.target for one in probed.requests} == {"/health-shared-shared", "/health-theirs-theirs"}
    assert {one.get("authorization") for one in probed.requests} == {f"Bearer {SECRET}"}
    probed.status = "503 Service Unavailable"
    world.clock.time += 5.1
    await_true(lambda: len(probed.requests) == 4)
    world.clock.time += 5.1
    await_true(lambda: {one.tenant for one in probed.told} == {"", tenant.id})


def test_tenant_has_no_more_probes_than_its_tier_has_targets(
    world: World, api: Api, tenant: Tenant, probed: Probed, jobs: Jobs
) -> None:
    tiers = {name: replace(tier, max_targets=2) for name, tier in world.settings.tiers.items()}
    world.settings = replace(world.settings, tiers=tiers)
    for rule in range(2):
        urls = [f"{probed.upstream.url}/{rule}/{number}" for number in range(2)]
        for url in urls:
            probed.use(tenant.id, target_id(tenant.id, url), NOW)
        sent = {"path": f"/pool{rule}", "targets": [{"url": url} for url in urls], "health": {"path": "/h"}}
        api.create(f"{tenant.url}/rules", sent)
    await_true(lambda: len(probed.requests) == 2)
    Elsewhere(world, api, probed)
    assert len(probed.requests) == 3


def test_probe_goes_nowhere_that_requests_may_not_go(
    world: World, api: Api, tenant: Tenant, probed: Probed, jobs: Jobs
) -> None:
    cast(Any, world).open_fetch = lambda ca=None: Services.open_fetch(cast(Any, Closed(world)), ca)
    pooled(api, tenant, probed)

    def is_told() -> bool:
        world.clock.time += 1.0
        return bool(probed.told)

    await_true(is_told)
    assert "not allowed" in probed.told[0].why
    assert probed.requests == []


class Closed:
    """Services whose operator allows no addresses on this machine."""

    def __init__(self, world: World) -> None:
        self.policy, self.clock, self.settings = Policy(), world.clock, world.settings
