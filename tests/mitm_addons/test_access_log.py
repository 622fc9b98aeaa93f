"""The line of one request for which no upstream was called."""

import json
from typing import Any, cast

import jsonschema_rs
import pytest

from mitm_addons.flows import FlowState, KnownHead, reject_flow
from mitm_addons.observe.access_log import AccessLog
from shared.core.errors import make_rejection
from shared.http.trace_context import TraceContext
from shared.log_lines import json_schema
from shared.model.config import ApiKey, Rule, Snapshot, Tenant, Tier
from shared.model.messages import Headers
from shared.model.targets import Target
from shared.pipeline.plan import Plan
from shared.records.line import REST, SAME, SHOWN
from shared.routing.admission import Call
from shared.routing.compile import Gateway, Route
from shared.routing.router import Router
from tests.mitm_addons.begun import admitted, begun_flow
from tests.mitm_addons.test_attempts import REFUSED, ask

SCHEMA = jsonschema_rs.validator_for(json_schema())
KEY = ApiKey("key_1", "first", "gwk_12345678", "hash", created_at=0.0)


@pytest.fixture
def gateway() -> Gateway:
    """A tenant with one key, and one rule that cannot be used."""
    rule = Rule("rule_1", "/v1", "http://x")
    route = Route(rule, Target("http", "x", 80), {}, Plan(), fault="its plugin is gone")
    snapshot = Snapshot(Tenant("tenant_1", "T", "t"), (rule,), (KEY,))
    return Gateway(snapshot, Tier("pro"), {"hash": KEY}, Router.build([route]))


def line_of(flow: Any) -> dict[str, Any]:
    lines: list[dict[str, Any]] = []
    log = AccessLog(lambda at, line: lines.append(json.loads(line)))
    log._is_on = True
    log.post_response(flow)
    [line] = lines
    SCHEMA.validate({**line, "time": "2026-01-01T00:00:00.000+00:00"})
    return line


@pytest.mark.parametrize(("status", "written"), [(200, False), (404, True), (503, True), (None, True)])
def test_sample_leaves_out_lines_of_its_class_and_no_record(status: int | None, written: bool) -> None:
    flow = begun_flow(has_response=status is not None)
    if status is not None:
        flow.response.status_code = status
    lines: list[Any] = []
    records: list[Any] = []
    log = AccessLog(
        lambda *line: lines.append(line),
        lambda *record: records.append(record),
        shares={"2xx": 0.25, "4xx": 1.0, "5xx": 0.5},
        random=lambda: 0.4,
    )
    log._is_on = True
    log.post_response(flow)
    assert (bool(lines), len(records)) == (written, 1)


def test_members_are_in_the_order_in_which_the_record_takes_them() -> None:
    kept: list[Any] = []
    AccessLog(lambda *_: None, lambda *record: kept.append(record)).post_response(begun_flow())
    [(_, line, _)] = kept
    assert tuple(line.members)[: len(SAME) + len(SHOWN) + 1] == (*SAME, *SHOWN, REST)


def test_line_of_a_rule_with_targets_has_each_call() -> None:
    tried = ask()
    assert tried.fail(error=REFUSED)
    tried.one.receive(200, 100.0)
    line = line_of(tried.flow)
    assert [(one["status"], one["why"]) for one in line["targets"]] == [(0, "refused"), (200, "")]
    assert line["ai"] is None


def test_line_ends_with_the_last_byte_and_not_with_the_plugins_after_it() -> None:
    assert line_of(begun_flow(over=2.5))["milliseconds"] == 2500


def test_line_of_a_repeated_head_is_as_if_nothing_were_kept() -> None:
    def head(retries: str) -> Headers:
        return Headers.of(Headers([("Host", "t.example.com"), ("X-Stainless-Retry-Count", retries)]).fields)

    call = Call("t", "/v1", "/v1", head("0"), True, None, False)
    known = KnownHead(call, cast(Any, FlowState("first", 0.0, "192.0.2.1")))
    first, changed, trace = admitted("a"), admitted("b"), TraceContext("0" * 32)
    for known.admitted, place, retries in (
        (first, None, "0"),
        (first, trace, "1"),
        (first, None, "1"),
        (changed, None, "0"),
        (first, None, "0"),
    ):
        assert known.admitted is not None
        state = {
            "request_id": f"id-{retries}",
            "trace": place,
            "headers": head(retries),
            "admitted": known.admitted,
            "gateway": known.admitted.gateway,
            "path": "/v1",
        }
        assert line_of(begun_flow(known=known, **state)) == line_of(begun_flow(**state))


@pytest.mark.parametrize(
    ("code", "path", "rule"),
    [
        ("config_unavailable", "/v1/x", "rule_1"),
        ("tenant_disabled", "/v1/x", "rule_1"),
        ("body_too_large", "/v1/x", "rule_1"),
        ("no_matching_rule", "/other", None),
    ],
)
def test_line_of_a_rejection_names_all_that_is_known(
    gateway: Gateway, code: str, path: str, rule: str | None
) -> None:
    flow = begun_flow(has_response=False, gateway=gateway, key_hash="hash", path=path)
    reject_flow(flow, make_rejection(code))
    line = line_of(flow)
    assert (line["code"], line["source"]) == (code, "gateway")
    assert (line["tenant"], line["key"], line["rule"]) == ("tenant_1", "key_1", rule)
    assert (line["upstream"], line["attempts"], line["cause"]) == (None, 0, None)


def test_line_of_a_key_of_nobody_names_the_tenant_of_the_host(gateway: Gateway) -> None:
    flow = begun_flow(has_response=False, gateway=gateway, key_hash="other", path="/v1")
    reject_flow(flow, make_rejection("invalid_api_key"))
    line = line_of(flow)
    assert (line["tenant"], line["key"]) == ("tenant_1", None)


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (b'{"messages": [{"model": "inner"}], "model": "gpt-4o"}', "gpt-4o"),
        (b'{"model": "sk-proj-abcdefghijklmnop"}', "sk-proj…"),
        (b'{"model": ["x"]}', None),
        (b'["model"]', None),
        (b'{"model": ', None),
        (b"", None),
        (b'{"model": "m", "text": "' + b"x" * 300_000 + b'"}', None),
    ],
    ids=["at the top", "masked", "no text", "no object", "no JSON", "no body", "too long"],
)
def test_line_names_the_model_of_a_json_body(gateway: Gateway, body: bytes, model: str | None) -> None:
    flow = begun_flow(gateway=gateway, path="/v1")
    flow.request.data.content = body
    assert line_of(flow)["model_asked"] == model


@pytest.mark.parametrize(
    ("pieces", "kept"),
    [
        ([b'{"model": ', b'"m"}'], b'{"model": "m"}'),
        ([b"", b'{"a": 1}'], b'{"a": 1}'),
        ([b"model=m", b'{"model": "m"}'], b""),
        ([b"{" + b" " * 65_535], b"{" + b" " * 65_535),
        ([b"{" + b" " * 65_535, b"}"], b""),
    ],
    ids=["JSON in pieces", "an empty piece first", "no JSON", "as long as is kept", "longer"],
)
def test_short_json_body_that_is_forwarded_as_it_arrives_is_kept(pieces: list[bytes], kept: bytes) -> None:
    state = FlowState("r", 0.0, "192.0.2.1")
    for piece in pieces:
        assert state.came_in(piece) == piece
    assert state.first_pieces == kept
    assert state.received == sum(map(len, pieces))


@pytest.mark.parametrize(
    ("sent", "count"), [(None, None), ("0", 0), ("2", 2), ("-1", None), ("99999", None), ("x", None)]
)
def test_line_of_a_request_of_an_sdk_says_how_often_it_was_sent_before(
    sent: str | None, count: int | None
) -> None:
    headers = Headers([] if sent is None else [("X-Stainless-Retry-Count", sent)])
    assert line_of(begun_flow(headers=headers))["retry_count"] == count
