"""Targets that are probed under load, keys that fail for two tenants, and a tenant that provokes failures."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.reliability.callers import Caller, Line, Response
from tests.reliability.figures import figure
from tests.reliability.loads import loading
from tests.reliability.processes import await_workers
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.peer import Peer, Received
from tests.support.upstream import Upstream, replying, sized
from tests.support.wait import await_true

pytestmark = pytest.mark.slow

CHAT = json.dumps({"model": "best", "messages": [{"role": "user", "content": "Hello!"}]}).encode()
SERVED = sized(b'{"choices": []}', "200 OK", "Content-Type: application/json")
DOWN = sized(b"down", "503 Service Unavailable")
RATE = 100
#: How often workers tell that a target is used, and two probes of the shortest interval.
FIRST_PROBES = 22.0


class Chat(Caller):
    """A caller whose requests are for a model."""

    def request(self, path: str, *_: Any, fields: tuple[str, ...] = ()) -> bytes:  # type: ignore[override]
        return Caller.request(self, path, "POST", CHAT, "Content-Type: application/json", *fields)


class Hostile(Chat):
    """Names an account that is not the provider's."""

    def request(self, path: str, *_: Any, **__: Any) -> bytes:  # type: ignore[override]
        return Chat.request(
            self, path, fields=("OpenAI-Organization: org-foreign", "OpenAI-Project: foreign")
        )


WORKERS = 4


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RunningGateway]:
    with RunningGateway(tmp_path / "data", {"GATEWAY__SERVER__WORKERS": str(WORKERS)}) as gateway:
        await_workers(gateway, WORKERS)
        yield gateway


class Target:
    """An upstream that can be down; `times` has when it was called while it was."""

    def __init__(self) -> None:
        self.is_down = False
        self.failed: list[float] = []
        self.served: list[float] = []
        self.upstream = Upstream(replying(self._reply))

    def _reply(self, request: Received) -> bytes:
        if request.target == "/healthz":
            return DOWN if self.is_down else SERVED
        (self.failed if self.is_down else self.served).append(time.monotonic())
        return DOWN if self.is_down else SERVED


def most_within(seconds: float, times: list[float]) -> int:
    return max([sum(start <= one < start + seconds for one in times) for start in times], default=0)


def test_probed_target_that_was_dead_under_load_is_back_soon(gateway: RunningGateway) -> None:
    tenant = gateway.create_tenant(tier="enterprise")
    targets = [Target() for _ in range(3)]
    with ExitStack() as stack:
        for one in targets:
            stack.enter_context(one.upstream)
        sent = {
            "path": "/v1",
            "targets": [{"url": one.upstream.url} for one in targets],
            "retry": {"on": ["connect", "reset", "overloaded"]},
            "health": {"path": "/healthz", "interval": 5},
        }
        made = gateway.call("POST", f"/tenants/{tenant.id}/rules", json=sent)
        assert made.status_code == 201, made.text
        tenant.await_rule("/v1")
        dead = targets[1]
        with loading(Caller.of(tenant), "/v1/x", RATE) as load:
            await_true(lambda: len(dead.served) > RATE // 10, 20)
            time.sleep(FIRST_PROBES / 2)  # the time in which it is known to be used
            dead.is_down = True
            time.sleep(FIRST_PROBES)
            served = len(dead.served)
            dead.is_down = False
            back = await_true(lambda: len(dead.served) > served + RATE // 10, 20)
        tally = load.tally
    seen = most_within(10, dead.failed)
    figure(
        "POOLS",
        f"{WORKERS} workers, 1 of 3 probed targets dead: {tally.errors} errors, {seen} failures per 10 s, back after {back:.1f} s",
    )
    assert tally.errors == 0, (tally.statuses, tally.failed[:3])
    assert seen <= 5 * WORKERS, [round(one - dead.failed[0], 3) for one in dead.failed]
    assert back <= 12


def platform_provider(
    gateway: RunningGateway, name: str, upstream: Upstream, *keys: str, shared: str = "all"
) -> None:
    sent = {
        "name": name,
        "kind": "openai",
        "base_url": f"{upstream.url}/v1",
        "keys": [{"secret": key} for key in keys],
        "shared": shared,
        "models": [{"id": "m"}],
    }
    made = gateway.call("POST", "/providers", json=sent)
    assert made.status_code == 201, made.text


def ai_tenant(gateway: RunningGateway, targets: list[str], **rule: Any) -> TenantInUse:
    tenant = gateway.create_tenant(tier="enterprise")
    named = [{"provider": name, "model": "m", "priority": at} for at, name in enumerate(targets)]
    for path, sent in (
        ("models", {"name": "best", "targets": named, "affinity": None}),
        ("rules", {"path": "/v1", "ai": {"providers": targets}, **rule}),
    ):
        made = gateway.call("POST", f"/tenants/{tenant.id}/{path}", json=sent)
        assert made.status_code == 201, made.text
    tenant.await_rule("/v1")
    return tenant


async def ask(tenant: TenantInUse, count: int) -> list[Response]:
    """The responses to requests at the same time, each on a connection of its own: for all workers."""
    caller = Chat.of(tenant)

    async def one() -> Response:
        line: Line = await caller.open()
        response = await line.ask(caller.request("/v1/chat/completions"))
        line.close()
        return response

    return list(await asyncio.gather(*(one() for _ in range(count))))


def test_rejected_key_is_used_once_by_all_workers_together(gateway: RunningGateway) -> None:
    used: Counter[str] = Counter()

    def reply(request: Received) -> bytes:
        key = request.get("authorization") or ""
        if request.method == "POST":
            used[key] += 1
        if key == "Bearer sk-canary-first":
            return sized(
                b'{"error": {"code": "invalid_api_key"}}',
                "401 Unauthorized",
                "Content-Type: application/json",
            )
        return SERVED

    with Upstream(replying(reply)) as upstream:
        platform_provider(gateway, "main", upstream, "sk-canary-first", "sk-canary-second")
        tenants = [ai_tenant(gateway, ["main"]) for _ in range(2)]
        asked = 0
        while not used["Bearer sk-canary-first"]:  # a key is drawn
            asked += 1
            [response] = asyncio.run(ask(tenants[0], 1))
            assert response.status == 200
        assert b"x-gateway-attempts: 2" in response.head
        time.sleep(0.1)  # the promise
        responses = asyncio.run(ask(tenants[0], 20 * WORKERS))
        assert {one.status for one in responses} == {200}
        assert used["Bearer sk-canary-first"] == 1
        # The provider has rejected the key for the gateway itself, so it counts for the other tenant, too.
        await_true(lambda: any("/v1/models" in one.target for one in upstream.received), 5)
        time.sleep(0.2)
        responses = asyncio.run(ask(tenants[1], 20 * WORKERS))
        assert {one.status for one in responses} == {200}
        assert used["Bearer sk-canary-first"] == 1
        assert len([one for one in upstream.received if "/v1/models" in one.target]) == 1
    figure("POOLS", f"{WORKERS} workers, a rejected key: 1 call with it, by two tenants")


def test_hostile_tenant_takes_nothing_from_another(gateway: RunningGateway) -> None:
    seen: Counter[str] = Counter()

    async def slow(peer: Peer) -> None:
        while True:
            request = await peer.request()
            seen["foreign"] += request.get("openai-organization") is not None
            await asyncio.sleep(0.25)
            await peer.write(SERVED)

    with Upstream(slow) as main, Upstream(replying(lambda _: SERVED)) as backup:
        platform_provider(gateway, "main", main, "sk-canary-main")
        platform_provider(gateway, "backup", backup, "sk-canary-backup")
        victim = ai_tenant(gateway, ["main", "backup"])
        short = {"connect": "10ms", "first_byte": "10ms"}
        hostile = ai_tenant(gateway, ["main"], timeouts=short)
        path = "/v1/chat/completions"
        with (
            loading(Hostile.of(hostile), path, RATE) as attack,
            loading(Chat.of(victim), path, 20) as suffered,
        ):
            time.sleep(8)
        tally, provoked = suffered.tally, attack.tally
    figure(
        "POOLS",
        f"{WORKERS} workers, a hostile neighbor with {provoked.errors} errors: {tally.errors} errors and "
        f"{len(backup.received)} fallbacks of {tally.statuses.total()}",
    )
    assert provoked.errors > 4 * RATE
    assert tally.errors == 0
    assert tally.statuses[200] > 100
    assert backup.received == []
    assert seen["foreign"] == 0
