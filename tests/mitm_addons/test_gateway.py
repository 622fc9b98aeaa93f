"""What makes a worker unable to serve, whatever its tenants do."""

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock, Mock

import pytest

from mitm_addons.gateway import Adapter, gateway_addons
from mitm_addons.health import Health
from shared.http.readiness import OK, Probed
from shared.logs import LogWriter
from shared.services import Services, SystemClock
from shared.settings import Settings


@pytest.fixture
def log() -> Iterator[LogWriter]:
    """A log that is read by nobody and has enough room."""
    read, write = os.pipe()
    yield LogWriter(write)
    os.close(read)
    os.close(write)


def services() -> Services:
    """Services whose data plane has no trouble."""

    @contextlib.asynccontextmanager
    async def data_plane() -> AsyncIterator[Any]:
        plane = Mock(probe=lambda: Probed({"store": OK}, True))
        plane.source.touch = AsyncMock()
        yield plane

    named = {"settings": Settings(), "clock": SystemClock(), "random_bytes": os.urandom, "instance": "test"}
    return cast(Services, SimpleNamespace(**named, data_plane=data_plane, hasher=Mock(), policy=Mock()))


async def test_worker_whose_log_has_ended_does_not_serve(log: LogWriter) -> None:
    log.start()
    async with gateway_addons(services(), log, Adapter(write=Mock())) as addons:
        [health] = [addon for addon in addons if isinstance(addon, Health)]
        assert health.can_serve()
        log.close()
        assert not health.can_serve()
        status, body = health._ready()
    assert status == 503
    assert cast(Any, body["parts"])["log"] == "unavailable"
