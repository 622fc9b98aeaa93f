"""The `on_error` of an entry decides what each fault of its plugin does, at every stage."""

import logging

import pytest

from shared.model.config import Stage
from shared.model.messages import Exchange
from shared.pipeline.plugin import CONTINUE, Verdict
from tests.pipeline.faults import FAULTS, Fault
from tests.pipeline.stagehand import after
from tests.pipeline.world import ActingInPlace, entry
from tests.support.cases import pairwise


@pytest.mark.parametrize(
    ("fault", "stage", "on_error", "parallel"),
    pairwise(FAULTS, list(Stage), ["closed", "open", "local"], [False, True]),
    ids=lambda value: value.name if isinstance(value, Fault) else str(value),
)
def test_each_fault_has_the_configured_outcome(
    fault: Fault, stage: Stage, on_error: str, parallel: bool, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[str] = []

    def note(_: Exchange) -> Verdict:
        ran.append("next")
        return CONTINUE

    chain = [
        entry(fault.plugin(), stage, parallel=parallel, on_error=on_error, timeout=fault.timeout),
        entry(ActingInPlace(), stage, parallel=parallel),
        entry(ActingInPlace(note), stage, priority=200),
    ]

    with caplog.at_level(logging.ERROR), fault.pool() as pool:
        run = after(*chain, pool=pool)
    assert run.faults == ["faulty"]
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"The plugin faulty failed at {stage} ({on_error}): ")
    if on_error == "open" or stage is Stage.POST_RESPONSE:
        assert (run.rejection, ran) == (None, ["next"])
    else:
        assert ran == []
        assert run.rejection is not None
        assert (run.rejection.status, run.rejection.code) == (503, "plugin_failure")
        assert run.rejection.source == "plugin:faulty"
        assert run.rejection.headers["Retry-After"] == "1"
        assert "broken" not in run.rejection.message
