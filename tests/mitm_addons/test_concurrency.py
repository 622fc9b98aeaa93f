"""The concurrent limit of a tier."""

from typing import Any

import pytest
from mitmproxy.test import tflow

from mitm_addons.concurrency import Concurrency
from mitm_addons.stock.adapter import LostFlows
from tests.mitm_addons.begun import admitted, begun_flow


def admitted_flow(tenant: str, concurrent: int | None) -> Any:
    return begun_flow(has_response=False, admitted=admitted(tenant, concurrent=concurrent))


def test_requests_above_the_concurrent_limit_are_rejected_until_one_ends() -> None:
    addon = Concurrency()
    first, second, third = (admitted_flow("one", 2) for _ in range(3))
    for flow in (first, second, third):
        addon.requestheaders(flow)
    responses = [flow.response for flow in (first, second, third)]
    assert [response and response.status_code for response in responses] == [None, None, 429]
    addon.post_response(third)  # a rejected request frees no slot
    addon.post_response(first)
    fourth, fifth = admitted_flow("one", 2), admitted_flow("one", 2)
    addon.requestheaders(fourth)
    addon.requestheaders(fifth)
    assert fourth.response is None
    assert fifth.response.status_code == 429


@pytest.mark.parametrize("ending", ["response", "error", "post_response"])
def test_slot_is_free_from_the_first_hook_that_ends_an_exchange(ending: str) -> None:
    addon = Concurrency()
    first, second, third = (admitted_flow("one", 1) for _ in range(3))
    addon.requestheaders(first)
    getattr(addon, ending)(first)
    addon.post_response(first)  # late, and counted once
    addon.requestheaders(second)
    addon.requestheaders(third)
    assert second.response is None
    assert third.response.status_code == 429


def test_tenants_do_not_share_a_concurrent_limit_and_some_have_none() -> None:
    addon = Concurrency()
    for tenant, concurrent in [("one", 1), ("two", 1), *[("three", None)] * 9]:
        flow = admitted_flow(tenant, concurrent)
        addon.requestheaders(flow)
        assert flow.response is None


def test_a_request_that_was_not_admitted_takes_no_slot() -> None:
    addon = Concurrency()
    flow = tflow.tflow()
    addon.requestheaders(flow)
    addon.post_response(flow)
    assert flow.response is None


def test_a_client_that_disconnects_frees_the_slots_of_its_lost_flows() -> None:
    addon = Concurrency()
    lost_flows = LostFlows(addon)
    lost, next_one = admitted_flow("one", 1), admitted_flow("one", 1)
    lost_flows.requestheaders(lost)
    addon.requestheaders(lost)
    lost_flows.client_disconnected(lost.client_conn)
    addon.post_response(lost)  # late, and counted once
    addon.requestheaders(next_one)
    assert next_one.response is None
