"""Counts the verdicts of plugins, for Prometheus."""

from typing import Final

from shared.metrics.names import PLUGIN_VERDICTS
from shared.metrics.registry import REGISTRY
from shared.model.config import ENFORCE, Stage
from shared.pipeline.plan import Step
from shared.pipeline.plugin import Continue, Patch, Reject, Respond

_NAMES: Final = {Continue: "continue", Patch: "patch", Reject: "reject", Respond: "respond"}
_FAULT: Final = "fault"


def count_verdict(
    step: Step, stage: Stage, verdict: object, *, is_fault: bool = False, mode: str = ENFORCE
) -> None:
    """Count a verdict, or a fault in its place. A step keeps its own series."""
    kind = _FAULT if is_fault else verdict.__class__
    try:
        step.counts[kind].value += 1
    except KeyError:
        name = _NAMES.get(kind, _FAULT) if isinstance(kind, type) else _FAULT
        labels = (step.plugin.name, stage.value, name, mode)
        found = step.counts[kind] = REGISTRY.value(PLUGIN_VERDICTS, *labels)
        found.value += 1
