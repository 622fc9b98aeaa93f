"""An admin API on a store in memory, with time in our hands."""

import asyncio
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partialmethod
from pathlib import Path
from typing import Any, cast

import orjson
from flask import Flask
from werkzeug.test import TestResponse

from admin_app import context, create_app
from admin_app.auth import attempts, failed_logins
from shared.alerts.deliveries import Deliveries
from shared.alerts.delivery import LastDelivery
from shared.config_store.port import ConfigStore
from shared.core.errors import StoreDown
from shared.explain import ExplainRequest, ExplainResult, run_explain
from shared.health.layout import StoredHealth
from shared.health.report import Report
from shared.health.store import HealthStore
from shared.limits.port import Limiter
from shared.limits.values import Decision, Limit
from shared.model.config import Snapshot
from shared.net.policy import Policy
from shared.net.port import FetchRequest, FetchResponse
from shared.net.resolve import CheckedTarget, check_target
from shared.pipeline.plugin import Plugin, Tools
from shared.plugins import load_catalogue
from shared.records.reader import Filter, Record, RecordPage, RecordReader
from shared.records.record import encoded
from shared.redis_client.server import RightsReader, Server
from shared.redis_server.choose import RedisAddress
from shared.routing.compile import Compiler
from shared.secrets.api_keys import PepperedHasher
from shared.secrets.sealing import AesSealer
from shared.services import Services, hosts_of, not_called
from shared.settings import Settings, load_settings
from shared.testing.memory_limiter import MemoryLimiter
from shared.testing.memory_store import MemoryStore
from shared.usage.aggregates import Sums
from shared.usage.budget_store import BudgetState, BudgetStore
from shared.usage.reader import RowPage, UsageReader
from shared.workers.status import Status, StatusReader
from shared.workers.store import Fleet
from tests.records.lines import AI, access_line, line

_shared: list[Flask] = []
TOKEN = "the-platforms-own-token"
NOW = 1_800_000_000.0


@dataclass
class HandClock:
    """A clock that stands still until a test turns it."""

    time: float = NOW

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time - NOW


class NoUsage:
    """The usage of tenants whose models nobody has called."""

    def tenants(self) -> Sequence[str]:
        return ()

    def sums(self, tenant_id: str, first: date, last: date) -> Sums:
        return {}

    def rows(self, tenant_id: str, *, limit: int, cursor: str | None = None) -> RowPage:
        return RowPage([], None)


class NoHealth:
    """The health of providers whose targets and keys work."""

    def read(self, owners: Iterable[str]) -> Mapping[str, StoredHealth]:
        return dict.fromkeys(owners, StoredHealth())

    def tell(self, report: Report) -> None:
        """Do nothing: there are no workers."""


class NoDeliveries:
    """The deliveries of webhooks that were told nothing yet."""

    def last(self, webhooks: Iterable[str]) -> Mapping[str, LastDelivery]:
        return {}

    def reached(self, now: float, count: int) -> Sequence[str]:
        return ()


class OneRecord:
    """The record of one call of a model."""

    record = Record("1-0", *map(orjson.loads, encoded(NOW, access_line(line(ai=AI)), {})))

    def page(self, owner: str, wanted: Filter, **_: Any) -> RecordPage:
        return RecordPage([self.record], None)

    def find(self, owner: str, id: str) -> Record | None:
        return self.record if id == "req-1" else None

    def find_same(self, owner: str, event: Mapping[str, Any]) -> Record | None:
        return self.record

    def minutes(self, owner: str, minutes: Sequence[int]) -> list[dict[str, int]]:
        return [{"n:upstream:2xx": 1, "added:2": 1}] * len(minutes)

    def tenants(self, minutes: Sequence[int]) -> list[dict[str, int]]:
        return [{"n:tenant_1": 1}]

    def calls(self, owner: str, minutes: Sequence[int]) -> list[dict[str, int]]:
        return [{}]

    def total(self, owner: str) -> dict[str, int]:
        return {"n:upstream:2xx": 1}


class NoWorkers:
    """A store without workers and leaders."""

    def read(self, jobs: Sequence[str], monotonic: Callable[[], float]) -> Status:
        info: dict[str, Any] = {"redis_version": "7.2.4", "aof_enabled": 1}
        return Status(
            state=None,
            tenants=0,
            faults=0,
            server=Server.parse(info),
            round_trip=0.0002,
            fleet=Fleet(0, ()),
            leads=[None] * len(jobs),
        )


class SpareRights:
    """The rights of the user of Redis beyond those that it needs."""

    rights: Sequence[str] = ()

    def spare(self) -> Sequence[str]:
        return self.rights


@dataclass
class CountedBudgets:
    """The amounts that budgets have counted, as a test says: by their names in the ledger."""

    counted: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    noted: list[Mapping[str, Any]] = field(default_factory=list)

    def states(self, tenant_id: str, limits: Mapping[str, int]) -> Mapping[str, BudgetState]:
        numbers = {name: self.counted.get(name, (0, 0, 0)) for name in limits}
        return {name: BudgetState(*found, max(found[0] - limits[name], 0)) for name, found in numbers.items()}

    def reset(self, tenant_id: str, name: str, **row: Any) -> int:
        used, held, lost = self.counted.get(name, (0, 0, 0))
        self.counted[name] = (0, held, lost)
        self.noted.append({"name": name, "amount": -used, **row})
        return used

    def note_increase(self, tenant_id: str, name: str, **row: Any) -> None:
        self.noted.append({"name": name, **row})


@dataclass
class World:
    """The services that the admin API is given."""

    settings: Settings
    clock: HandClock = field(default_factory=HandClock)
    catalogue: Mapping[str, type[Plugin]] = field(default_factory=functools.cache(load_catalogue))
    store: ConfigStore = field(init=False)
    hasher: PepperedHasher = field(default_factory=lambda: PepperedHasher(b"p" * 32))
    sealer: AesSealer = field(default_factory=lambda: AesSealer([b"k" * 32], os.urandom))
    limiter: Limiter = field(init=False)
    address: RedisAddress = field(default_factory=lambda: RedisAddress({}, "memory"))
    instance: str = "ai-gateway-test"
    opened: Mapping[str, str] = field(default_factory=dict)
    outside: bytes = b"{}"
    called: list[tuple[str, str, bytes]] = field(default_factory=list)
    budgets: CountedBudgets = field(default_factory=lambda: CountedBudgets())

    def __post_init__(self) -> None:
        self.store = MemoryStore(self.clock, self.settings.admin.subdomain_quarantine)
        self.limiter = MemoryLimiter(self.clock)

    @contextmanager
    def reading(self, reader: type[Any]) -> Iterator[Any]:
        """A reader that finds nothing."""
        yield {
            HealthStore: NoHealth,
            BudgetStore: lambda: self.budgets,
            UsageReader: NoUsage,
            RecordReader: OneRecord,
            StatusReader: NoWorkers,
            RightsReader: SpareRights,
            Deliveries: NoDeliveries,
        }[reader]()

    def peek(self, groups: Sequence[Sequence[Limit]]) -> Sequence[Decision]:
        return [asyncio.run(self.limiter.peek(limits)) for limits in groups]

    def explain(self, request: ExplainRequest, snapshot: Snapshot, *, calls_outside: bool) -> ExplainResult:
        """The real dry run. Outside services respond with `outside`."""
        tools = Tools(self.limiter, self.fetch if calls_outside else not_called, self.clock)
        explained = run_explain(
            request,
            snapshot,
            platform=self.store.read_platform(),
            compiler=Compiler(self.catalogue, self.settings.tiers, self.sealer, tools),
            hosts=hosts_of(self.settings),
            hasher=self.hasher,
            instance=self.instance,
            settings=self.settings,
            random_bytes=os.urandom,
        )
        return asyncio.run(explained)

    def fetch(self, request: FetchRequest, **_: Any) -> FetchResponse:
        self.called.append((request.method, request.url, request.body))
        return FetchResponse(200, {}, self.outside)

    def random_bytes(self, count: int) -> bytes:
        return os.urandom(count)

    def check_target(self, url: str, *, allow_query: bool = False) -> CheckedTarget:
        """The real check of addresses; names end on .test or are known, so that no network is asked."""
        if ".test" in url:
            return CheckedTarget(["The name cannot be resolved at the moment."])
        if "api.openai.com" in url or "checks.example" in url:
            return CheckedTarget()
        return check_target(url, Policy(), allow_query=allow_query)


def make_world(folder: Path, **flags: Any) -> World:
    """A world whose settings are the defaults but for `flags` (``admin__token=…``)."""
    file = folder / "config.yaml"
    file.write_text("server: {base_domain: example.com}\n")
    named = {name.replace("__", "."): value for name, value in flags.items()}
    return World(load_settings(file, environ={}, flags=named))


@dataclass
class Tenant:
    """A tenant of a test, and its first key."""

    id: str
    key: str
    url: str


class Api:
    """The API as a caller on this machine sees it. `key` None sends no key."""

    def __init__(self, app: Flask, key: str | None = None) -> None:
        self.client = app.test_client()
        self.key = key

    def call(
        self,
        method: str,
        url: str,
        json: Any = None,
        *,
        key: str | None = "",
        headers: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> TestResponse:
        """Call `url`; below /api/v1 when it names no root. `key` "" is the caller's own."""
        sent = dict(headers or {})
        key = self.key if key == "" else key
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        if json is not None:
            kwargs["json"] = json
        url = url if url.startswith(("/api", "/docs", "/openapi")) else f"/api/v1{url}"
        return self.client.open(url, method=method, headers=sent, buffered=True, **kwargs)

    get = partialmethod(call, "GET")
    post = partialmethod(call, "POST")
    put = partialmethod(call, "PUT")
    patch = partialmethod(call, "PATCH")
    delete = partialmethod(call, "DELETE")

    def create(self, url: str, fields: Mapping[str, Any]) -> Any:
        """Create what `fields` describe, and return it as it is shown."""
        response = self.post(url, fields)
        assert response.status_code == 201, response.text
        return response.get_json()

    def tenant(self, subdomain: str = "acme", **fields: Any) -> Tenant:
        """Create a tenant as the platform."""
        made = self.create("/tenants", {"name": subdomain.title(), "subdomain": subdomain, **fields})
        return Tenant(made["id"], made["api_key"], f"/tenants/{made['id']}")

    def rule(self, tenant: Tenant, path: str = "/v1", **fields: Any) -> Any:
        """Create a rule of the tenant."""
        sent = {"path": path, "target": "https://api.openai.com", **fields}
        return self.create(f"{tenant.url}/rules", sent)

    def first_key(self, tenant: Tenant) -> Any:
        """The id of the tenant's first key."""
        return self.get(f"{tenant.url}/api-keys").get_json()["api_keys"][0]["id"]

    def created_key(self, tenant: Tenant, **fields: Any) -> Any:
        """Another key of the tenant."""
        return self.create(f"{tenant.url}/api-keys", fields)["key"]


def new_app(world: World) -> Flask:
    app = create_app(cast(Services, world))
    count_alone(app, world)
    return app


def count_alone(app: Flask, world: World) -> None:
    """Let the app count attempts as one process does without Redis."""

    def count(*_: object) -> float:
        raise StoreDown("There is no Redis.")

    app.extensions[attempts.EXTENSION] = count
    app.extensions[failed_logins.EXTENSION] = failed_logins.FailedLogins(world.clock, count)


def app_of(world: World) -> Flask:
    """The application on `world`. All tests share one: making it takes longer than most of them."""
    if not _shared:
        _shared.append(new_app(world))
    [app] = _shared
    app.extensions[context.EXTENSION] = world
    count_alone(app, world)
    return app


def pointers(response: TestResponse) -> list[str]:
    """Where the problems of a 422 are."""
    assert response.status_code == 422, response.text
    return [problem["pointer"] for problem in response.get_json()["errors"]]


def error_of(response: TestResponse) -> tuple[int, str]:
    """The status and the code of a problem document."""
    return response.status_code, response.get_json()["code"]
