"""One gateway per engine for all tests of this folder, one with short timeouts, and one upstream."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from tests.conformance.differences import ENGINES, instead
from tests.conformance.wire import HELD, Wire
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.ports import free_port
from tests.support.upstream import OK, REQUEST, Upstream, send

#: Follows the name of an engine: its gateway with short timeouts.
IMPATIENT = ", impatient"
SHORT_WAIT, SHORT_EXCHANGE = 0.6, 2.0  # seconds
_TIMEOUTS = ("HEAD", "BODY_GRACE", "KEEP_ALIVE", "CONNECT", "FIRST_BYTE", "IDLE")
#: Smaller than the default, so that the tests send less.
REQUEST_BODY = 20 * 1024 * 1024
_LIMITS = {f"GATEWAY__LIMITS__{name}_BODY": str(REQUEST_BODY) for name in ("REQUEST", "RESPONSE")}
_IMPATIENT = {
    **_LIMITS,
    **{f"GATEWAY__LIMITS__TIMEOUTS__{name}": f"{SHORT_WAIT}s" for name in _TIMEOUTS},
    "GATEWAY__LIMITS__TIMEOUTS__TOTAL": f"{SHORT_EXCHANGE}s",
}

_READER = {"name": "content_validator", "settings": {"max_size": "1GB"}}

Started = Callable[[str], tuple[RunningGateway, TenantInUse]]


@pytest.fixture(scope="session")
def everlasting_upstream() -> Iterator[Upstream]:
    with Upstream(default=[*REQUEST, send(OK)]) as upstream:
        yield upstream


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory, everlasting_upstream: Upstream) -> Iterator[Started]:
    """Starts the gateway of an engine when it is first asked for by its name."""
    running: dict[str, tuple[RunningGateway, TenantInUse]] = {}
    with ExitStack() as stack:

        def start(name: str) -> tuple[RunningGateway, TenantInUse]:
            if name not in running:
                engine = name.removesuffix(IMPATIENT)
                folder = tmp_path_factory.mktemp(engine) / "data"
                settings = _IMPATIENT if engine != name else _LIMITS
                gateway = stack.enter_context(
                    RunningGateway(folder, settings, engine, proxy_arguments=("--workers", "1"))
                )
                tenant = gateway.create_tenant()
                # Before the rule of all paths: waiting for a rule needs a path that no other rule takes.
                tenant.create_rule("/public", everlasting_upstream.url, public=True)
                tenant.create_rule(HELD, everlasting_upstream.url, plugin_chain=[_READER])
                tenant.create_rule("/unreachable", f"http://127.0.0.1:{free_port()}")
                tenant.create_rule("/", everlasting_upstream.url)
                running[name] = gateway, tenant
            return running[name]

        yield start


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def impatient(engine: str) -> str:
    """The name of the engine's impatient gateway; of its plain one where it has none."""
    return engine if instead(engine, "slow clients") else engine + IMPATIENT


@pytest.fixture
def wire(started: Started, engine: str, everlasting_upstream: Upstream) -> Iterator[Wire]:
    gateway, tenant = started(engine)
    everlasting_upstream.forget()
    wire = Wire(engine, gateway, tenant, everlasting_upstream)
    yield wire
    for client in wire.clients:
        client.close()


@pytest.fixture
def short(wire: Wire, started: Started, impatient: str) -> Wire:
    """The wire of the gateway with short timeouts."""
    gateway, tenant = started(impatient)
    return replace(wire, gateway=gateway, tenant=tenant)
