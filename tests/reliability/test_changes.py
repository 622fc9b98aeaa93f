"""R6, R7: a change of the configuration reaches every worker soon, also when its announcement is lost."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from statistics import median
from typing import NamedTuple

import pytest
import redis
import requests

from tests.reliability.figures import figure
from tests.reliability.processes import workers
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.wait import until

SETTINGS = {"GATEWAY__SERVER__WORKERS": "2"}
CHANGES = 40


class Clients(NamedTuple):
    """Connections to all workers, each of which stays with its worker."""

    tenant: TenantInUse
    sessions: list[requests.Session]

    def await_status(self, path: str, status: int, key: str) -> float:
        """The seconds until requests on all connections get that status."""
        gone = 0.0
        for session in self.sessions:
            for waited in until(10):
                response = session.get(
                    f"{self.tenant.gateway.proxy}{path}",
                    headers={"Host": self.tenant.host, "Authorization": f"Bearer {key}"},
                    timeout=10,
                )
                if response.status_code == status:
                    gone += waited
                    break
            else:
                pytest.fail(f"{path} does not get {status}.")
        return gone


@pytest.fixture
def clients(gateway: RunningGateway, tenant: TenantInUse) -> Iterator[Clients]:
    with ExitStack() as stack:
        made = Clients(tenant, [stack.enter_context(requests.Session()) for _ in range(8)])
        made.await_status("/v1/ok", 200, tenant.key)
        assert all(one.connections(gateway.proxy_port) for one in workers(gateway))
        yield made


@contextlib.contextmanager
def deaf(gateway: RunningGateway) -> Iterator[None]:
    """End every subscription to announcements, again and again, until the end of the block."""
    over = threading.Event()

    def end_subscriptions() -> None:
        with redis.Redis(unix_socket_path=str(gateway.folder / "valkey.sock")) as client:
            while not over.is_set():
                client.client_kill_filter(_type="pubsub")

    thread = threading.Thread(target=end_subscriptions)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def seconds_of(change: Callable[[int], float]) -> list[float]:
    return sorted(change(number) for number in range(CHANGES))


def told(promise: str, subject: str, seconds: list[float]) -> None:
    figure(
        promise,
        f"{subject}: p50 {1000 * median(seconds):.0f} ms, most {1000 * seconds[-1]:.0f} ms of {len(seconds)}",
    )


@pytest.fixture
def change_rule(clients: Clients) -> Callable[[int], float]:
    """Let the rule serve GET or not. Returns the seconds until all workers do so."""
    tenant = clients.tenant
    url = f"/tenants/{tenant.id}/rules"
    rule = tenant.gateway.call("GET", url).json()["rules"][0]["id"]

    def change(number: int) -> float:
        methods = ["POST"] if number % 2 == 0 else ["GET", "POST"]
        changed = tenant.gateway.call("PATCH", f"{url}/{rule}", json={"methods": methods})
        assert changed.status_code == 200, changed.text
        return clients.await_status("/v1/ok", 405 if number % 2 == 0 else 200, tenant.key)

    return change


def test_changed_rule_is_in_use_on_every_worker_within_half_a_second(
    change_rule: Callable[[int], float],
) -> None:
    seconds = seconds_of(change_rule)
    told("R6", "a changed rule (promise p50 100, p99 500 ms)", seconds)
    assert median(seconds) <= 0.1
    assert seconds[-1] <= 0.5


def test_changed_rule_is_in_use_within_two_seconds_without_its_announcement(
    gateway: RunningGateway, change_rule: Callable[[int], float]
) -> None:
    with deaf(gateway):
        seconds = seconds_of(change_rule)
    told("R6", "a changed rule whose announcement is lost (promise 2 s)", seconds)
    assert median(seconds) > 0.1, "The announcements were heard."
    assert seconds[-1] <= 2


def test_revoked_key_is_rejected_by_every_worker_within_a_second(clients: Clients) -> None:
    tenant = clients.tenant
    url = f"/tenants/{tenant.id}/api-keys"

    def revoke(number: int) -> float:
        made = tenant.gateway.call("POST", url, json={"name": f"key {number}"}).json()
        clients.await_status("/v1/ok", 200, made["key"])
        assert tenant.gateway.call("DELETE", f"{url}/{made['id']}").status_code == 204
        return clients.await_status("/v1/ok", 401, made["key"])

    seconds = seconds_of(revoke)
    told("R7", "a revoked key (promise p99 1 s)", seconds)
    assert seconds[-1] <= 1
