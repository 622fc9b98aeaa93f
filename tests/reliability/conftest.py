"""An upstream for loads for the whole run, and the figures at its end."""

import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.reliability import figures
from tests.reliability.steadiness import steady
from tests.reliability.upstreams import LoadUpstream
from tests.support.gateway import RunningGateway, TenantInUse


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if figures.lines:
        terminalreporter.section("figures")
        for line in figures.lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def upstream() -> Iterator[LoadUpstream]:
    with LoadUpstream() as running:
        yield running


@pytest.fixture
def tenant(gateway: RunningGateway, upstream: LoadUpstream) -> Iterator[TenantInUse]:
    """A tenant of the file's own gateway, which has to come out of the test as it went in."""
    made = gateway.create_tenant(tier="enterprise")
    made.create_rule("/v1", upstream.url)
    made.request("GET", "/v1/ok")
    with steady(gateway):
        yield made


@pytest.fixture(scope="module")
def undisturbed(upstream: LoadUpstream) -> Iterator[None]:
    """What is timed, and what it starts, runs before all else on the machine, as far as we may ask for that."""
    timed = (os.getpid(), upstream.pid)
    with suppress(PermissionError):
        for process in timed:
            os.sched_setscheduler(process, os.SCHED_RR, os.sched_param(1))
    yield
    with suppress(PermissionError):
        for process in timed:
            os.sched_setscheduler(process, os.SCHED_OTHER, os.sched_param(0))
