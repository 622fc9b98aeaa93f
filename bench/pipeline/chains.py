"""Chains of plugins that do nothing, or wait."""

import time
from collections.abc import Sequence
from concurrent.futures import Executor

from shared.model.config import Rule, Stage, Tenant
from shared.model.messages import Exchange, Headers, Request
from shared.pipeline import Plan, Run, make_plan
from shared.pipeline.plugin import CONTINUE, Plugin, ResolvedEntry, Verdict

_EXCHANGE = Exchange(
    "id-1",
    Tenant("t1", "T", "t1"),
    Rule("r1", "/v1", "http://upstream.example"),
    Request("POST", "/v1/x", Headers([("Host", "t1.example.com")]), body=b"{}"),
    "192.0.2.1",
)


class InPlace(Plugin):
    """Does nothing, on the loop."""

    blocking = False

    def pre_request(self, exchange: Exchange) -> Verdict:
        return CONTINUE


class InThread(InPlace):
    """Does nothing, in a thread."""

    blocking = True


class Waiting(Plugin):
    """Waits in a thread, for `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def pre_request(self, exchange: Exchange) -> Verdict:
        time.sleep(self.seconds)
        return CONTINUE


def plan_of(*groups: Sequence[Plugin], parallel: bool = True) -> Plan:
    """One group after the other."""
    entries = [
        ResolvedEntry(plugin, Stage.PRE_REQUEST, number, parallel, "closed", 30.0, "rule", "t1", "r1")
        for number, group in enumerate(groups)
        for plugin in group
    ]
    return make_plan(entries, buffer_streams=False)


def run_of(plan: Plan, pool: Executor) -> Run:
    """A new exchange at its beginning."""
    return Run(plan, _EXCHANGE, pool)
