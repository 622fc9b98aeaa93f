"""The state of a worker, as its metrics show it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mitm_addons.observe import worker_metrics
from mitm_addons.observe.worker_metrics import WorkerMetrics, Writers
from shared.metrics import names
from shared.metrics.registry import Registry


def test_what_is_lost_is_counted_by_what_was_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry()
    monkeypatch.setattr(worker_metrics, "REGISTRY", registry)
    log, ledger, record = (SimpleNamespace(dropped=0) for _ in range(3))
    services: Any = SimpleNamespace(
        settings=SimpleNamespace(metrics=SimpleNamespace(tenant_labels=True)),
        clock=SimpleNamespace(monotonic=lambda: 1.0),
        known=SimpleNamespace(seen=None),
    )
    plane: Any = SimpleNamespace(
        gateways=SimpleNamespace(last_config_check=None),
        limiter=SimpleNamespace(is_alone=False),
        states=SimpleNamespace(targets={}, keys={}),
    )
    writers: Any = Writers(
        log=log, ledger=ledger, record=record, trace=None, alert=SimpleNamespace(dropped=4)
    )
    metrics = WorkerMetrics(
        services,
        plane,
        writers,
        folder=tmp_path,
        worker=0,
        engine=lambda: None,
        budgets=lambda most: [("acme", "team-a", 0.5)][:most],
    )
    log.dropped, ledger.dropped, record.dropped = 1, 2, 3
    metrics.sample()
    lost = {kind: registry.value(names.DROPPED, kind).value for kind in ("log", "ledger", "record")}
    assert lost == {"log": 1, "ledger": 2, "record": 3}
    assert registry.value(names.BUDGET_USED, "acme", "team-a").value == 0.5
