"""The faults that make a worker unable to serve, and those of tenants, which do not."""

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock, Mock

import pytest

from mitm_addons.gateway import Adapter, gateway_addons
from mitm_addons.health import Health
from shared.http.readiness import OK, STORE_LOST, UNAVAILABLE, Probed
from shared.logs import LogWriter
from shared.services import Services, SystemClock
from shared.settings import Settings

FINE = Probed({"store": OK}, True)


@pytest.fixture
def log() -> Iterator[LogWriter]:
    """A log that is read by nobody and has enough room."""
    read, write = os.pipe()
    yield LogWriter(write)
    os.close(read)
    os.close(write)


def services(probed: Probed) -> Services:
    """Services whose data plane is in that state."""

    @contextlib.asynccontextmanager
    async def data_plane(worker: int) -> AsyncIterator[Any]:
        plane = Mock(probe=lambda: probed)
        plane.source.touch = AsyncMock()
        plane.settler, plane.bindings = AsyncMock(), AsyncMock()
        plane.health, plane.gateways.current = AsyncMock(worker="one"), None
        yield plane

    named = {"settings": Settings(), "clock": SystemClock(), "random_bytes": os.urandom, "instance": "test"}
    named["address"] = SimpleNamespace(options={"unix_socket_path": "/not/there"})
    return cast(
        Services, SimpleNamespace(**named, data_plane=data_plane, hasher=Mock(), policy=Mock(), fetch=Mock())
    )


@contextlib.asynccontextmanager
async def health_of(
    log: LogWriter, probed: Probed = FINE, *, is_draining: bool = False
) -> AsyncIterator[Health]:
    adapter = Adapter(write=Mock(), is_draining=lambda: is_draining)
    async with gateway_addons(services(probed), log, adapter) as addons:
        [health] = [addon for addon in addons if isinstance(addon, Health)]
        yield health


async def test_worker_whose_log_has_ended_does_not_serve(log: LogWriter) -> None:
    log.start()
    async with health_of(log) as health:
        assert health.can_serve()
        log.close()
        assert not health.can_serve()
        status, body = health._ready()
    assert status == 503
    assert cast(Any, body["parts"])["log"] == "unavailable"


@pytest.mark.parametrize(
    ("store", "knows_tenants", "expected"),
    [
        (OK, True, (200, "ok")),
        (UNAVAILABLE, True, (200, "degraded")),
        (STORE_LOST, True, (200, "degraded")),
        (UNAVAILABLE, False, (503, "unavailable")),
    ],
)
async def test_trouble_of_the_store_keeps_a_worker_ready_that_knows_tenants(
    log: LogWriter, store: str, knows_tenants: bool, expected: tuple[int, str]
) -> None:
    log.start()
    async with health_of(log, Probed({"store": store}, knows_tenants)) as health:
        status, body = health._ready()
        assert health.can_serve() == knows_tenants
    log.close()
    assert (status, body["status"]) == expected
    assert cast(Any, body["parts"])["store"] == store


async def test_worker_that_drains_is_not_ready_and_says_so(log: LogWriter) -> None:
    log.start()
    async with health_of(log, is_draining=True) as health:
        status, body = health._ready()
    log.close()
    assert (status, body["status"]) == (503, "draining")
    assert cast(Any, body["parts"])["worker"] == "draining"
