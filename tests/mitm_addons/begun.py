"""Flows of the gateway, as its addons see them."""

from typing import Any

from mitmproxy.test import tflow

from mitm_addons.flows import FlowState, begin
from shared.model.config import Rule, Snapshot, Tenant, Tier
from shared.model.targets import Target
from shared.pipeline.plan import Plan
from shared.routing.admission import Admitted
from shared.routing.compile import Gateway, Route
from shared.routing.router import Router


def begun_flow(*, has_response: bool = True, **state: Any) -> Any:
    """A flow with this state, by default with a response."""
    flow = tflow.tflow(resp=has_response)
    begun = begin(flow, FlowState("id", 0.0, "127.0.0.1"))
    for name, value in state.items():
        setattr(begun, name, value)
    return flow


def admitted(tenant: str = "t", *, concurrent: int | None = None, **headers: str) -> Admitted:
    """The admission by a rule that sets `headers`."""
    gateway = Gateway(Snapshot(Tenant(tenant, "T", "t")), Tier("x", concurrent=concurrent), {}, Router())
    route = Route(Rule("r", "/", "http://x"), Target("http", "x", 80), headers, Plan())
    return Admitted(gateway, route, None)
