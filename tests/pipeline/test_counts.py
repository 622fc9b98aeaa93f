"""Verdicts of plugins are counted by what they are."""

from typing import Any

import pytest

from shared.metrics import names
from shared.metrics.registry import REGISTRY
from shared.model.config import Stage
from shared.pipeline.counts import count_verdict
from shared.pipeline.plan import Step
from shared.pipeline.plugin import CONTINUE, Patch, Plugin, Reject
from shared.pipeline.run import Run
from tests.pipeline.stagehand import Stagehand, run_loop, whole
from tests.pipeline.world import ActingInPlace, entry, exchange, plan_of


class Counted(Plugin):
    """A plugin with a name of its own."""


@pytest.mark.parametrize(
    ("verdict", "is_fault", "name"),
    [
        (CONTINUE, False, "continue"),
        (Patch(), False, "patch"),
        (Reject(403, "blocked_content", "No."), False, "reject"),
        (CONTINUE, True, "fault"),
        (None, False, "fault"),
    ],
)
def test_verdict_is_counted(verdict: Any, is_fault: bool, name: str) -> None:
    Counted.name = "counted"
    step = Step(
        plugin=Counted(),
        call=print,
        is_async=False,
        in_thread=False,
        timeout=1,
        on_error="closed",
        origin="rule",
    )
    series = REGISTRY.value(names.PLUGIN_VERDICTS, "counted", "pre_request", name, "enforce")
    before = series.value
    for _ in range(2):
        count_verdict(step, Stage.PRE_REQUEST, verdict, is_fault=is_fault)
    assert series.value == before + 2


def test_a_step_that_continues_in_place_is_counted_each_time() -> None:
    plugin = ActingInPlace()
    series = REGISTRY.value(names.PLUGIN_VERDICTS, plugin.name, "pre_request", "continue", "enforce")
    before, plan = series.value, plan_of(entry(plugin))
    for _ in range(2):
        run_loop(whole(Run(plan, exchange(), Stagehand())))
    assert series.value == before + 2
