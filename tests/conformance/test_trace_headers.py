"""The headers of W3C Trace Context, while the gateway exports no spans: what is valid goes on as it came."""

import json
from collections.abc import Sequence

import pytest

from tests.conformance.differences import EXPRESS
from tests.conformance.wire import PATH, Wire
from tests.support.wait import until

TRACE, OTHER = "1" * 32, "a" * 32


def parent(trace: str = TRACE, span: str = "2" * 16) -> str:
    return f"00-{trace}-{span}-01"


def sent_on(wire: Wire) -> tuple[Sequence[str], Sequence[str]]:
    """The headers of the trace in the last request to the upstream."""
    seen = wire.upstream.received[-1]
    return seen.all("traceparent"), seen.all("tracestate")


@pytest.mark.parametrize(
    ("fields", "goes_on"),
    [
        ([], ([], [])),
        ([f"TraceParent: {parent()}"], ([parent()], [])),
        ([f"traceparent:\t {parent()} \t"], ([parent()], [])),
        (
            [f"traceparent: {parent()}", "tracestate: a=1", "TRACESTATE: b=2 , c=3"],
            ([parent()], ["a=1,b=2,c=3"]),
        ),
        ([f"traceparent: {parent()}", "tracestate: a=1,a=2"], ([parent()], [])),
        ([f"traceparent: cc{parent()[2:]}-later"], ([parent()], [])),
        (["tracestate: a=1"], ([], [])),
        ([f"traceparent: {parent()}", f"traceparent: {parent()}", "tracestate: a=1"], ([], [])),
        ([f"traceparent: {parent('0' * 32)}", "tracestate: a=1"], ([], [])),
        ([f"traceparent: {parent(span='0' * 16)}"], ([], [])),
        ([f"traceparent: {parent(OTHER).upper()}"], ([], [])),
        ([f"traceparent: ff{parent()[2:]}"], ([], [])),
        ([f"traceparent: {parent()}0"], ([], [])),
        ([f"trace_parent: {parent()}"], ([], [])),
    ],
)
def test_trace_goes_on_to_the_upstream_if_it_is_valid(
    wire: Wire, fields: list[str], goes_on: tuple[list[str], list[str]]
) -> None:
    assert wire.ask(wire.head("GET", PATH, *fields)).status == 200
    assert sent_on(wire) == goes_on


def test_trace_goes_on_only_to_upstreams_that_the_rule_allows(wire: Wire) -> None:
    wire.tenant.create_rule("/untold", wire.upstream.url, trace_headers=False)
    # Until the rule is known, that of all paths serves the request.
    for _ in until(5.0):
        assert (
            wire.ask(wire.head("GET", "/untold", f"traceparent: {parent()}", "tracestate: a=1")).status == 200
        )
        if sent_on(wire) == ([], []):
            return
    raise AssertionError(sent_on(wire))


def test_each_request_of_a_connection_has_its_own_trace(wire: Wire) -> None:
    client = wire.client()
    traces = [TRACE, TRACE, OTHER, "", "0" * 32, TRACE, OTHER]
    for number, trace in enumerate(traces):
        fields = [f"traceparent: {parent(trace)}"] if trace else []
        assert (
            client.ask(wire.head("GET", PATH, f"X-Request-ID: {wire.engine}-own-{number}", *fields)).status
            == 200
        )
        is_valid = trace in (TRACE, OTHER)
        assert sent_on(wire)[0] == ([parent(trace)] if is_valid else [])
        assert wire.gateway.access_line(f"{wire.engine}-own-{number}")["trace_id"] == (
            trace if is_valid else None
        )


def test_trace_id_is_in_errors_of_the_gateway(wire: Wire) -> None:
    line = f"traceparent: {parent()}"
    unreachable = wire.ask(wire.head("GET", "/unreachable/", line))
    unknown = wire.ask(wire.head("GET", PATH, line).replace(wire.tenant.key.encode(), b"gwk_" + b"x" * 43))
    assert (unreachable.status, unknown.status) == (502, 401)
    # The core of mitmproxy makes this one without a flow.
    assert json.loads(unreachable.body).get("trace_id") == (TRACE if wire.engine == EXPRESS else None)
    assert json.loads(unknown.body)["trace_id"] == TRACE
    assert "trace_id" not in json.loads(wire.ask(wire.head("GET", "/unreachable/")).body)
