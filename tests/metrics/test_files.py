"""The files of the processes of a program, and what Prometheus reads from them."""

import os
from pathlib import Path

import pytest

from shared.metrics import names
from shared.metrics.exporter import exposition
from shared.metrics.files import MetricsFolder, SeriesFiles, SupervisorMetrics, forget_worker
from shared.metrics.registry import Registry


def worker(folder: Path, slot: str, requests: float, connections: float) -> SeriesFiles:
    """A worker that has counted this, and has written it."""
    registry = Registry()
    registry.value(names.COST, "t", "p", "m").value = requests
    registry.value(names.CONNECTIONS).value = connections
    registry.histogram(names.OVERHEAD, "request").observe(0.0002)
    files = SeriesFiles(folder, slot, registry)
    files.flush()
    return files


def samples(folder: Path) -> list[str]:
    return [line for line in exposition(folder).decode().splitlines() if not line.startswith("#")]


COST = 'gateway_cost_usd_total{model="m",provider="p",tenant="t"}'


def test_counters_and_gauges_of_workers_are_added(tmp_path: Path) -> None:
    worker(tmp_path, "0", 2, 10)
    worker(tmp_path, "1", 3, 5)
    found = samples(tmp_path)
    assert f"{COST} 5.0" in found
    assert "gateway_connections 15.0" in found
    assert 'gateway_overhead_duration_seconds_bucket{le="0.0001",part="request"} 0.0' in found
    assert 'gateway_overhead_duration_seconds_bucket{le="0.00025",part="request"} 2.0' in found
    assert 'gateway_overhead_duration_seconds_count{part="request"} 2.0' in found


def test_next_worker_of_a_slot_goes_on_with_the_counters_and_not_with_the_gauges(tmp_path: Path) -> None:
    worker(tmp_path, "0", 2, 10)  # killed: it closes nothing
    forget_worker(tmp_path, "0")
    assert f"{COST} 2.0" in samples(tmp_path)
    assert not [line for line in samples(tmp_path) if line.startswith("gateway_connections")]
    worker(tmp_path, "0", 3, 1)
    assert f"{COST} 5.0" in samples(tmp_path)
    assert "gateway_connections 1.0" in samples(tmp_path)
    assert len(list(tmp_path.glob("counter_*"))) == 1


def test_many_series_are_read_as_they_were_written(tmp_path: Path) -> None:
    registry = Registry()
    for number in range(400):
        registry.value(names.COST, f"tenant-{number}", "p", 'quoted "name"\n').value = number
    files = SeriesFiles(tmp_path, "0", registry)
    files.flush()
    registry.value(names.COST, "tenant-7", "p", 'quoted "name"\n').value = 99
    files.close()
    found = samples(tmp_path)
    assert len(found) == 400
    assert 'gateway_cost_usd_total{model="quoted \\"name\\"\\n",provider="p",tenant="tenant-7"} 99.0' in found


def test_full_disk_is_an_error_and_the_next_write_makes_up_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = worker(tmp_path, "0", 2, 10)
    files._registry.value(names.COST, "t", "p", "m").value = 7
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", lambda *_: 3)
        with pytest.raises(OSError, match="disk is full"):
            files.flush()
    files.flush()
    assert f"{COST} 7.0" in samples(tmp_path)


def test_supervisor_counts_the_workers_that_end(tmp_path: Path) -> None:
    worker(tmp_path, "1", 2, 10)
    supervisor = SupervisorMetrics(tmp_path)
    assert "gateway_worker_restarts_total 0.0" in samples(tmp_path)
    supervisor.ended(1)
    assert "gateway_worker_restarts_total 1.0" in samples(tmp_path)
    assert not [line for line in samples(tmp_path) if line.startswith("gateway_connections")]


def test_folder_of_a_program_that_has_ended_is_removed_and_no_other(tmp_path: Path) -> None:
    running, killed = MetricsFolder(tmp_path, "admin"), MetricsFolder(tmp_path, "proxy")
    assert killed._lock is not None
    os.close(killed._lock)  # as the kernel does
    new = MetricsFolder(tmp_path, "proxy")
    assert {path for path in new.path.parent.iterdir()} == {running.path, new.path}
    assert new.path.parent.parent.stat().st_mode & 0o077 == 0
    running.close()
    new.close()
    assert not list(new.path.parent.iterdir())
