"""A gateway for each file, and an upstream for loads for the whole run."""

import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.reliability.processes import await_workers
from tests.reliability.steadiness import steady
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.load_upstream import LoadUpstream


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder is slow, and measures: nothing else may run at the same time."""
    for item in items:
        if item.nodeid.startswith("tests/reliability/"):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.alone)


@pytest.fixture(scope="session")
def upstream() -> Iterator[LoadUpstream]:
    with LoadUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def undisturbed(upstream: LoadUpstream) -> Iterator[None]:
    """Run what is timed, and what it starts, before all else on the machine, as far as that is allowed."""
    timed = (os.getpid(), upstream.pid)
    with suppress(PermissionError):
        for process in timed:
            os.sched_setscheduler(process, os.SCHED_RR, os.sched_param(1))
    yield
    with suppress(PermissionError):
        for process in timed:
            os.sched_setscheduler(process, os.SCHED_OTHER, os.sched_param(0))


@pytest.fixture(scope="module")
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    """The gateway of a file, with the `SETTINGS` of that file, once all its workers serve."""
    settings = getattr(request.module, "SETTINGS", {})
    with RunningGateway(tmp_path_factory.mktemp("gateway") / "data", settings) as running:
        await_workers(running, int(settings.get("GATEWAY__SERVER__WORKERS", 1)))
        yield running


@pytest.fixture
def tenant(gateway: RunningGateway, upstream: LoadUpstream) -> TenantInUse:
    return upstream.tenant(gateway)


@pytest.fixture
def steady_tenant(tenant: TenantInUse) -> Iterator[TenantInUse]:
    """A tenant of a gateway that has to come out of the test as it went in."""
    with steady(tenant):
        yield tenant
