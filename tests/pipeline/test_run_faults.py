"""Whatever a plugin does wrong, wherever it stands, its entry's `on_error` decides what happens."""

import logging
from concurrent.futures import Executor

import pytest

from shared.model.config import Stage
from shared.model.messages import Exchange, Response
from shared.pipeline import Run, make_plan
from shared.pipeline.plugin import CONTINUE, Verdict
from tests.pipeline.faults import FAULTS, Fault
from tests.pipeline.stagehand import run_loop
from tests.pipeline.world import ActingInPlace, entry, exchange
from tests.support.cases import pairwise


async def whole(run: Run) -> None:
    """All hooks of an exchange, as the proxy calls them."""
    await run.request_head()
    await run.request_body(b"{}")
    response = Response(200)
    await run.response_head(response)
    await run.response_body(response.body or b"")
    await run.finish()


@pytest.mark.parametrize(
    ("fault", "stage", "on_error", "parallel"),
    pairwise(FAULTS, list(Stage), ["closed", "open", "local"], [False, True]),
    ids=lambda value: value.name if isinstance(value, Fault) else str(value),
)
def test_each_fault_has_the_configured_outcome(
    fault: Fault, stage: Stage, on_error: str, parallel: bool, caplog: pytest.LogCaptureFixture
) -> None:
    after: list[str] = []

    def note(_: Exchange) -> Verdict:
        after.append("next")
        return CONTINUE

    chain = [
        entry(fault.plugin(), stage, parallel=parallel, on_error=on_error, timeout=fault.timeout),
        entry(ActingInPlace(), stage, parallel=parallel),
        entry(ActingInPlace(note), stage, priority=200),
    ]

    async def main(pool: Executor) -> Run:
        with pool:
            run = Run(make_plan(chain, buffer_streams=False), exchange(), pool)
            await whole(run)
        return run

    with caplog.at_level(logging.ERROR):
        run = run_loop(main(fault.pool()))
    assert run.faults == ["faulty"]
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"The plugin faulty failed at {stage} ({on_error}): ")
    if on_error == "open" or stage is Stage.POST_RESPONSE:
        assert (run.rejection, after) == (None, ["next"])
    else:
        assert after == []
        assert run.rejection is not None
        assert (run.rejection.status, run.rejection.code) == (503, "plugin_failure")
        assert run.rejection.source == "plugin:faulty"
        assert run.rejection.headers["Retry-After"] == "1"
        assert "broken" not in run.rejection.message
