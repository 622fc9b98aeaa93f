"""Webhooks with receivers on this machine, alerts, and processes that lead."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import orjson
import redis

from admin_app.jobs.webhooks import Webhooks
from shared.alerts.alert import Alert, budget_reached
from shared.alerts.deliveries import Deliveries
from shared.config_store.leader import Term
from shared.metrics import names
from shared.metrics.registry import REGISTRY
from shared.services import Services
from tests.admin_app.world import NOW, Api, World
from tests.support.peer import Received
from tests.support.upstream import Upstream, replying, sized
from tests.support.wait import await_true

SECRET = "canary-of-a-webhook-that-signs"
KINDS = ["budget.reached", "rule.faulted", "key.rejected", "breaker.opened"]


class Receiver:
    """A receiver that responds with `status`, and keeps what it got."""

    def __init__(self, status: str = "204 No Content", *fields: str) -> None:
        self.status, self.fields = status, fields
        self.got: list[Received] = []
        self.upstream = Upstream(replying(self._reply))

    def _reply(self, request: Received) -> bytes:
        self.got.append(request)
        return sized(b"", self.status, *self.fields)

    @property
    def bodies(self) -> list[Any]:
        return [orjson.loads(one.body) for one in self.got]


class Leading:
    """A process that leads; its clock is in our hands."""

    def __init__(self, world: World, client: redis.Redis, number: int = 1) -> None:
        self.world = world
        self.job = Webhooks(cast(Services, world), Deliveries(client))
        self.term = Term(number, lambda _: True)

    def run(self) -> None:
        """Work until no call is under way."""
        self.job.run(self.term)
        while self.job._running:
            await_true(lambda: all(one.done() for one in self.job._running))
            self.job.run(self.term)

    def wait(self, seconds: float) -> None:
        self.world.clock.time += seconds
        self.run()


@contextmanager
def leader(world: World, client: redis.Redis, number: int) -> Iterator[Leading]:
    leading = Leading(world, client, number)
    try:
        yield leading
        await_true(lambda: all(one.done() for one in leading.job._running))
    finally:
        leading.job.close()


def reached(tenant: str, number: int = 0, percent: int = 80) -> Alert:
    return budget_reached(
        tenant=tenant,
        budget_id=f"budget_{number}",
        name="monthly",
        unit="tokens",
        percent=percent,
        used=80,
        limit=100,
        began=NOW,
        ends=NOW + 60,
        at=NOW,
    )


def hook(api: Api, url: str, receiver: Receiver, *events: str, path: str = "/hook") -> Any:
    sent = {"url": f"{receiver.upstream.url}{path}", "events": events or KINDS, "secret": SECRET}
    return api.create(f"{url}/webhooks", sent)


def dropped() -> float:
    return REGISTRY.value(names.WEBHOOK_DELIVERIES, "dropped").value
