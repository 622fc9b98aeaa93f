"""The plugin pipeline: chains are checked when saved, planned when compiled, run per exchange."""

from shared.pipeline.chain import Catalogue, effective_chain, resolve_chain
from shared.pipeline.check import check_rule, check_tenant
from shared.pipeline.plan import Group, Plan, Step, make_plan
from shared.pipeline.run import Run
from shared.pipeline.stream import Stream
from shared.pipeline.trace import Trace, server_timing

__all__ = [
    "Catalogue",
    "Group",
    "Plan",
    "Run",
    "Step",
    "Stream",
    "Trace",
    "check_rule",
    "check_tenant",
    "effective_chain",
    "make_plan",
    "resolve_chain",
    "server_timing",
]
