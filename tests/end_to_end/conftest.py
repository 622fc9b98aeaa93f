"""One whole gateway and one upstream for all tests of this folder."""

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.end_to_end.budgets import Create, tenant_with_budgets
from tests.support.certificates import Authority
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream


@pytest.fixture(scope="session", params=["express", "mitmproxy"])
def engine(request: pytest.FixtureRequest) -> str:
    """Both engines: what is promised end to end holds on either."""
    return str(request.param)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One that the gateways trust beside the public ones."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def gateways(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[Callable[[str], RunningGateway]]:
    """Starts the gateway of an engine when it is first asked for; it runs until the end of the session."""
    settings = {
        "GATEWAY__SECURITY__CA_FILE": str(authority.file),
        "GATEWAY__RECORDS__TRACES": "1000",  # also when several tests call at once
    }
    started: list[RunningGateway] = []
    with ExitStack() as stack:

        @functools.cache
        def gateway_of(engine: str) -> RunningGateway:
            folder = tmp_path_factory.mktemp("gateway") / "data"
            gateway = stack.enter_context(RunningGateway(folder, settings, engine))
            started.append(gateway)
            return gateway

        yield gateway_of
    # All lines that the tests provoked: see shared/log_lines.py.
    assert [line for gateway in started for line in gateway.undeclared_lines()] == []


@pytest.fixture(scope="session")
def gateway(gateways: Callable[[str], RunningGateway], engine: str) -> RunningGateway:
    return gateways(engine)


@pytest.fixture(scope="session")
def everlasting_upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(everlasting_upstream: Upstream) -> Upstream:
    """The upstream, with nothing seen yet."""
    everlasting_upstream.received.clear()
    return everlasting_upstream


@pytest.fixture(scope="module")
def tenant(gateway: RunningGateway) -> TenantInUse:
    return gateway.create_tenant()


@pytest.fixture
def logs(gateway: RunningGateway) -> Path:
    return gateway.folder


@pytest.fixture
def tenant_with(gateway: RunningGateway, upstream: Upstream) -> Create:
    """Creates a tenant with models behind the upstream, and with budgets."""
    return partial(tenant_with_budgets, gateway, upstream)
