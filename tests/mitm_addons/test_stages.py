"""Headers that plugins add to a response: with and without the values of a response for them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest
from mitmproxy import http

from mitm_addons.forwarding import Forwarding
from mitm_addons.stages import Stages
from shared.core.errors import Rejection
from shared.model.messages import Exchange, Headers, SetHeaders
from shared.pipeline.run import Run
from shared.pipeline.trace import TraceSampler
from shared.services import SystemClock
from tests.mitm_addons.begun import admitted, begun_flow
from tests.pipeline.stagehand import exchange
from tests.pipeline.world import FollowingUp, entry, plan_of

CLOCK = SystemClock()
Added = Mapping[str, str] | SetHeaders


class SeeingResponses(FollowingUp):
    """Adds headers, and gets the response."""


class SeeingRequests(FollowingUp):
    """Adds headers, and gets no response."""

    reads_response = False


def failing(_: Exchange) -> Added:
    raise ValueError("no")


async def responded(
    kind: type[FollowingUp], *heads: Callable[[Exchange], Added], on_error: str = "closed"
) -> tuple[Any, Rejection | None]:
    """The fields of the response with what plugins of that kind add, and why another took its place."""
    forwarding = Forwarding(CLOCK, "gw", Mock(), Mock())
    stages = Stages(CLOCK, Mock(), Mock(), 0, forwarding, Mock(), TraceSampler(0), Mock())
    plan = plan_of(*[entry(kind(heads=head), on_error=on_error) for head in heads])
    assert plan.judges_responses is (kind is SeeingResponses)
    run = Run(plan, exchange(), Mock())
    await run.request_head()
    await run.request_body(b"{}")
    given = admitted()
    flow = begun_flow(run=run, admitted=replace(given, route=replace(given.route, plan=plan)))
    flow.response.headers = http.Headers([(b"X-Mine", b"the upstream's"), (b"Other", b"kept")])
    assert stages.responseheaders(flow) is None
    return flow.response.headers.fields, run.rejection


@pytest.mark.parametrize(
    "heads",
    [
        [lambda _: {}],
        [lambda _: {"x-mine": "ours", "X-More": "1"}],
        [lambda _: SetHeaders.of(((b"x-mine", b"ours"),)), lambda _: {"X-MINE": "the later one"}],
        [lambda _: {"X-Text": "not Latin-1: \u20ac"}, lambda _: SetHeaders.of(((b"A", b"1"), (b"B", b"2")))],
        [failing, lambda _: {"X-More": "1"}],
    ],
    ids=["none", "a map", "fields and a map", "a map and fields", "a fault"],
)
@pytest.mark.parametrize("on_error", ["closed", "open"])
async def test_headers_are_the_same_whether_a_plugin_reads_the_response_or_not(
    heads: list[Callable[[Exchange], Added]], on_error: str
) -> None:
    given, without = [
        await responded(kind, *heads, on_error=on_error) for kind in (SeeingResponses, SeeingRequests)
    ]
    assert given == without
    assert (given[1] is not None) is (heads[0] is failing and on_error == "closed")


async def test_a_field_of_a_plugin_replaces_the_upstreams() -> None:
    fields, _ = await responded(SeeingRequests, lambda _: SetHeaders.of(((b"x-mine", b"ours"),)))
    assert Headers.of(fields) == Headers([("Other", "kept"), ("x-mine", "ours")])
