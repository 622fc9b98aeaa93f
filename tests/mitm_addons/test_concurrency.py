"""The tier's ceiling on exchanges at a time."""

from typing import Any

import pytest
from mitmproxy.test import tflow

from mitm_addons.concurrency import Concurrency
from mitm_addons.flows import FlowState, begin
from mitm_addons.stock.adapter import LostFlows
from shared.model.config import Rule, Snapshot, Tenant, Tier
from shared.model.targets import Target
from shared.pipeline import Plan
from shared.routing.admission import Admitted
from shared.routing.compile import Gateway, Route
from shared.routing.router import Router


def admitted_flow(tenant_id: str, ceiling: int | None) -> Any:
    gateway = Gateway(Snapshot(Tenant(tenant_id, "T", "t")), Tier("x", concurrent=ceiling), {}, Router())
    route = Route(Rule("r", "/", "http://x"), Target("http", "x", 80), {}, Plan())
    flow = tflow.tflow()
    begin(flow, FlowState("id", 0.0, "127.0.0.1", admitted=Admitted(gateway, route, None)))
    return flow


@pytest.mark.parametrize("end", ["response", "error"])
def test_what_is_above_the_ceiling_is_refused_until_one_ends(end: str) -> None:
    addon = Concurrency()
    first, second, third = (admitted_flow("one", 2) for _ in range(3))
    for flow in (first, second, third):
        addon.requestheaders(flow)
    assert [flow.response and flow.response.status_code for flow in (first, second, third)] == [
        None,
        None,
        429,
    ]
    addon.response(third)  # a refused one gives no place back
    getattr(addon, end)(first)
    fourth, fifth = admitted_flow("one", 2), admitted_flow("one", 2)
    addon.requestheaders(fourth)
    addon.requestheaders(fifth)
    assert fourth.response is None
    assert fifth.response.status_code == 429


def test_tenants_do_not_share_a_ceiling_and_some_have_none() -> None:
    addon = Concurrency()
    for flow in (
        admitted_flow("one", 1),
        admitted_flow("two", 1),
        *(admitted_flow("three", None) for _ in range(9)),
    ):
        addon.requestheaders(flow)
        assert flow.response is None


def test_it_counts_nothing_that_was_not_admitted() -> None:
    addon = Concurrency()
    flow = tflow.tflow()
    addon.requestheaders(flow)
    addon.error(flow)
    assert flow.response is None


def test_a_client_that_goes_gives_back_what_its_lost_flows_held() -> None:
    addon = Concurrency()
    lost_flows = LostFlows(addon)
    lost, next_one = admitted_flow("one", 1), admitted_flow("one", 1)
    lost_flows.requestheaders(lost)
    addon.requestheaders(lost)
    lost_flows.client_disconnected(lost.client_conn)
    addon.error(lost)  # late, and counted once
    addon.requestheaders(next_one)
    assert next_one.response is None
