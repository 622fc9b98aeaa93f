"""R25: the responses of a proxy while its disk is full, and while nobody reads its log."""

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from tests.reliability.callers import Caller
from tests.reliability.figures import figure
from tests.reliability.loads import Tally, closed_loop, for_seconds, open_loop, p99
from tests.reliability.steadiness import assert_clean
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.load_upstream import LoadUpstream
from tests.support.machine import fill, small_disk
from tests.support.wait import until

RATE, SECONDS, ROUNDS = 100, 5, 3  # requests a second, how long, and rounds that are timed
PATIENCE = 20.0  # seconds; a bound, not a wait
TOO_MANY = 12_000  # more log lines than can wait to be written
LIMITS = [{"name": "rate_limiter", "settings": {"limit": 1_000_000, "window": "1m"}}]

pytestmark = pytest.mark.usefixtures("undisturbed")


def limited(gateway: RunningGateway, upstream: LoadUpstream) -> TenantInUse:
    """A tenant whose requests need the store and are logged."""
    tenant = gateway.create_tenant(tier="enterprise", plugin_chain=LIMITS)
    tenant.create_rule("/v1", upstream.url, plugin_chain=LIMITS)
    return tenant


def compare(caller: Caller, trouble: str, before: float) -> None:
    """Note the share of good responses and their p99 during the trouble, and hold them to the promise."""
    tally = uvloop.run(open_loop(caller, "/v1/ok", RATE, for_seconds(SECONDS)))
    asked = tally.statuses.total() + len(tally.failed)
    during = p99(caller, "/v1/ok", RATE, ROUNDS)
    share = tally.statuses[200] / asked
    figure(
        "R25",
        f"{trouble}: {share:.1%} of {asked} responses are 200 (promise 100 %); "
        f"p99 {before:.2f} -> {during:.2f} ms (promise +5 ms)",
    )
    assert share == 1, (tally.statuses, tally.failed[:5])
    assert during <= before + 5


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "8m") as folder:
        yield folder


def test_full_disk_changes_no_response_and_no_change_is_accepted(disk: Path, upstream: LoadUpstream) -> None:
    """The embedded store, the snapshot and both logs are on the full disk."""
    with RunningGateway(disk / "data") as gateway:
        tenant = limited(gateway, upstream)
        caller = Caller.of(tenant)
        before = p99(caller, "/v1/ok", RATE, ROUNDS)
        fill(disk)
        compare(caller, "full disk", before)
        # A store notices with its next write, and rejects the ones after it.
        for _ in until(PATIENCE):
            response = gateway.call("PATCH", f"/tenants/{tenant.id}", json={"name": "Other"})
            if response.status_code != 200:
                break
        assert response.status_code == 503, response.text
        assert response.json()["code"] in ("store_down", "not_durable")
        assert tenant.request("GET", "/v1/ok").status_code == 200
        (disk / "filler").unlink()
        for _ in until(PATIENCE):
            response = gateway.call("PATCH", f"/tenants/{tenant.id}", json={"name": "Other"})
            if response.status_code == 200:
                break
        assert response.status_code == 200, response.text
        assert tenant.request("GET", "/v1/ok").status_code == 200
        assert_clean(gateway)


class Pipe:
    """A named pipe that stands for the file of a log."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)

    def fill(self) -> None:
        """Leave no room, so that each write blocks until somebody reads."""
        for size in (4096, 1):
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(self._writer, b"\n" * size)

    def read(self) -> bytes:
        """The bytes that wait in it."""
        pieces = []
        with contextlib.suppress(BlockingIOError):
            while True:
                pieces.append(os.read(self._reader, 65_536))
        return b"".join(pieces)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Read all that is written during the block."""
        over = threading.Event()

        def drain() -> None:
            while not over.wait(0.05):
                self.read()

        thread = threading.Thread(target=drain)
        thread.start()
        yield
        over.set()
        thread.join()

    def close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    (tmp_path / "data").mkdir()
    with contextlib.closing(Pipe(tmp_path / "data" / "proxy.log")) as made:
        yield made


def test_blocked_log_changes_no_response_and_the_missing_lines_are_counted(
    pipe: Pipe, tmp_path: Path, upstream: LoadUpstream
) -> None:
    with RunningGateway(tmp_path / "data") as gateway:
        caller = Caller.of(limited(gateway, upstream))
        with pipe.reading():
            before = p99(caller, "/v1/ok", RATE, ROUNDS)
        pipe.fill()
        compare(caller, "blocked log", before)
        tally = Tally()
        going = for_seconds(6 * PATIENCE)
        more = closed_loop(caller, "/v1/ok", 16, lambda: going() and tally.statuses.total() < TOO_MANY, tally)
        uvloop.run(more)
        assert tally.errors == 0, tally.failed[:5]
        seen = b""
        for _ in until(PATIENCE):
            seen += pipe.read()
            if b"log lines were dropped" in seen:
                break
        [told] = [json.loads(line) for line in seen.splitlines() if b"log lines were dropped" in line]
        figure("R25", f"blocked log: {told['dropped']} lines were dropped and counted")
        assert told["dropped"] > 0
        assert b"Traceback" not in seen
        with pipe.reading():
            gateway.stop()
