"""The plugin pipeline: chains are checked when saved, planned when compiled, run for each exchange."""

from shared.core.pipeline.chain import Catalogue, effective_chain, parse_chain
from shared.core.pipeline.check import check_rule, check_tenant
from shared.core.pipeline.plan import Group, Plan, Step, make_plan
from shared.core.pipeline.run import Run
from shared.core.pipeline.stream import Stream
from shared.core.pipeline.trace import Trace, server_timing

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
    "parse_chain",
    "server_timing",
]
