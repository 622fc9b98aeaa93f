"""The external validator: what it sends, and what it makes of the answer."""

import json
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any, cast
from unittest.mock import Mock

import pytest
import requests
import responses
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import Invalid, OutsideError, TargetForbidden
from shared.net.fetch import GuardedFetch
from shared.net.policy import Policy
from shared.net.port import FetchResponse
from shared.pipeline.plugin import CONTINUE, Continue, Reject, Tools, Verdict
from shared.plugins.external_validator import ExternalValidator
from tests.plugins.exchanges import exchange
from tests.plugins.gate import Hands

ENDPOINT = "http://127.0.0.1:9/check"
CHAT = {"model": "gpt", "messages": [{"role": "user", "content": "Hello!"}], "user": "me"}
LARGE = {"field": "a", "operator": "matches", "value": "[a-z]{1,500}x"}
REJECT = {"field": "allowed", "operator": "eq", "value": False, "message": "Not this."}
HIGH = {"field": "score", "operator": "gt", "value": 0.5, "message": "Too high."}


@pytest.fixture
def service() -> Iterator[responses.RequestsMock]:
    """The outside service; nothing else can be reached."""
    with responses.RequestsMock() as mock:
        yield mock


def plugin(settings: dict[str, Any], fetch: Any = None) -> ExternalValidator:
    made = ExternalValidator.parse({"endpoint": ENDPOINT, **settings})
    policy = Policy(allowed_networks=(ip_network("127.0.0.0/8"),))
    made.start(Tools(cast(Any, None), fetch or GuardedFetch(policy, Hands()), Hands()))
    return made


def ask(settings: dict[str, Any], body: Any = CHAT, fetch: Any = None) -> Verdict:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content_type": "application/json", "authorization": "[redacted]", "x_other": "1"}
    return plugin(settings, fetch).pre_request(exchange(raw, **headers))


def test_exactly_the_mapped_fields_and_configured_headers_are_sent(service: responses.RequestsMock) -> None:
    service.post(ENDPOINT, json={"allowed": True})
    settings = {
        "headers": {"Authorization": "Bearer validator-key"},
        "fields": ["model", "missing"],
        "field_maps": [
            {"source": "messages", "destination": "input.messages"},
            {"source": "/messages/0/content", "destination": "/input/first"},
        ],
        "conditions": [REJECT],
    }
    assert ask(settings) == CONTINUE
    [call] = service.calls
    sent = cast(requests.PreparedRequest, call.request)
    assert json.loads(cast(bytes, sent.body)) == {
        "model": "gpt",
        "input": {"messages": CHAT["messages"], "first": "Hello!"},
    }
    assert dict(sent.headers) == {
        "User-Agent": "ai-gateway",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "Authorization": "Bearer validator-key",
        "Content-Length": str(len(cast(bytes, sent.body))),
    }


def test_a_condition_that_holds_rejects_with_its_message(service: responses.RequestsMock) -> None:
    service.add("PUT", ENDPOINT, json={"allowed": False})
    verdict = ask({"method": "PUT", "conditions": [REJECT]})
    assert verdict == Reject(422, "validation_failed", "Not this.")


def test_a_hit_that_does_not_stop_is_noted(service: responses.RequestsMock) -> None:
    service.post(ENDPOINT, json={"allowed": False, "score": 0.9})
    noted = {**REJECT, "stop_flow": False, "message": "Watch this."}
    assert ask({"conditions": [noted]}) == Continue({"flagged": ("Watch this.",)})
    verdict = ask({"conditions": [noted, HIGH]})
    assert verdict == Reject(422, "validation_failed", "Too high.", notes={"flagged": ("Watch this.",)})


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        *(({"status": 500}, "."), ({"status": 404}, ".")),
        ({"status": 302, "headers": {"Location": ENDPOINT}}, "."),
        *(
            ({"body": "yes"}, "."),
            ({"body": ""}, "."),
            ({"body": '{"allowed": true, "allowed": false}'}, "."),
        ),
        *(({"body": requests.ConnectionError()}, "."), ({"body": requests.ReadTimeout()}, ".")),
        ({"body": '"' + "x" * 1024 * 1024 + '"'}, "."),
        ({"json": {"allowed": True, "score": "high"}}, "cannot be checked"),
    ],
)
def test_invalid_response_of_the_service_is_a_fault(
    service: responses.RequestsMock, response: Any, reason: str
) -> None:
    service.post(ENDPOINT, **response)
    with pytest.raises(OutsideError, match=reason):
        ask({"conditions": [REJECT, HIGH]})


def test_a_failed_attempt_is_repeated_as_often_as_allowed(service: responses.RequestsMock) -> None:
    service.post(ENDPOINT, status=503)
    service.post(ENDPOINT, body=requests.ConnectionError())
    service.post(ENDPOINT, json={"allowed": False})
    assert isinstance(ask({"retries": 2, "conditions": [REJECT]}), Reject)
    assert len(service.calls) == 3


def test_a_forbidden_address_is_asked_once() -> None:
    fetch = Mock(side_effect=TargetForbidden("No."))
    with pytest.raises(TargetForbidden):
        ask({"retries": 5}, fetch=fetch)
    fetch.assert_called_once()


def test_each_attempt_has_its_own_time_and_a_bounded_response() -> None:
    fetch = Mock(return_value=FetchResponse(200, {}, b"{}"))
    assert ask({"attempt_timeout": "300ms"}, fetch=fetch) == CONTINUE
    [request] = [call.args[0] for call in fetch.mock_calls]
    assert (request.timeout, request.max_bytes, request.body) == (0.3, 1024 * 1024, b"{}")


def test_a_body_that_is_no_strict_json_is_never_half_sent() -> None:
    verdict = ask({"fields": ["messages"]}, b'{"messages":[],"messages":["x"]}', fetch=pytest.fail)
    assert isinstance(verdict, Reject)
    assert (verdict.status, verdict.code) == (400, "invalid_json")


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (["messages"], {"Messages": [{"role": "user", "content": "x"}]}),
        (["messages.0.content"], {"MESSAGES": []}),
        (["own"], {"Own": 1, "messages": []}),
        (["own"], {"own": 1, "Model": "m"}),
    ],
)
def test_a_name_in_another_case_does_not_take_the_validator_out_of_play(fields: list[str], body: Any) -> None:
    verdict = ask({"fields": fields}, body, fetch=pytest.fail)
    assert isinstance(verdict, Reject)
    assert (verdict.status, verdict.code) == (400, "invalid_json")
    assert "Write it as: " in verdict.message


def test_validator_without_mapped_fields_does_not_read_the_body(service: responses.RequestsMock) -> None:
    service.post(ENDPOINT, json={})
    assert plugin({}).reads == frozenset()
    assert ask({}, b"\x00 no json") == CONTINUE
    assert cast(requests.PreparedRequest, service.calls[0].request).body == b"{}"


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("wxyz")), unique_by=lambda pair: pair[1]))
def test_every_mapped_field_arrives_at_its_place_and_nothing_else(pairs: list[tuple[str, str]]) -> None:
    document = {"a": 1, "b": {"deep": [None]}, "c": "text", "other": "hidden"}
    fetch = Mock(return_value=FetchResponse(200, {}, b"{}"))
    maps = [{"source": source, "destination": f"out.{destination}"} for source, destination in pairs]
    ask({"field_maps": maps}, document, fetch=fetch)
    expected = {destination: document[source] for source, destination in pairs if source in document}
    assert json.loads(fetch.call_args.args[0].body) == ({"out": expected} if expected else {})


@pytest.mark.parametrize(
    ("settings", "pointer"),
    [
        ({}, "/endpoint"),
        ({"endpoint": "ftp://x"}, "/endpoint"),
        ({"endpoint": "http://user:pass@example.com"}, "/endpoint"),
        ({"endpoint": "http://2130706433/"}, "/endpoint"),
        ({"method": "GET"}, "/method"),
        ({"headers": {"Host": "x"}}, "/headers/Host"),
        ({"headers": {"X_Tenant-Id": "x"}}, "/headers/X_Tenant-Id"),
        ({"headers": {"X-Consumer-Id": "x"}}, "/headers/X-Consumer-Id"),
        ({"headers": {"Via": "x"}}, "/headers/Via"),
        ({"headers": {"X-A": "a\r\nb"}}, "/headers/X-A"),
        ({"retries": 6}, "/retries"),
        ({"attempt_timeout": 0}, "/attempt_timeout"),
        ({"fields": ["a..b"]}, "/fields/0"),
        ({"fields": ["a", "a.b"]}, "/fields/1"),
        ({"fields": ["a"], "field_maps": [{"source": "b", "destination": "a"}]}, "/field_maps/0/destination"),
        ({"field_maps": [{"source": "/~", "destination": "a"}]}, "/field_maps/0/source"),
        ({"field_maps": [{"source": "a"}]}, "/field_maps/0/destination"),
        ({"conditions": [{"field": "a", "operator": "is", "value": 1}]}, "/conditions/0/operator"),
        ({"conditions": [{"field": "a", "operator": "gt"}]}, "/conditions/0"),
        ({"conditions": [{"field": "a", "operator": "matches", "value": "("}]}, "/conditions/0"),
        ({"conditions": [LARGE] * 20}, "/conditions/19"),
        ({"url": "x"}, "/url"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], pointer: str) -> None:
    with pytest.raises(Invalid) as caught:
        ExternalValidator.parse({"endpoint": ENDPOINT, **settings} if settings else {})
    assert [problem.pointer for problem in caught.value.problems] == [pointer]


def test_a_pattern_that_never_matches_other_letters_is_told_at_its_condition() -> None:
    conditions = [
        {"field": "a", "operator": operator, "value": "\\b\u00e9tat\\b"} for operator in ("eq", "matches")
    ]
    [warning] = plugin({"conditions": conditions}).warnings()
    assert warning.pointer == "/conditions/1/value"
    assert "knows ASCII only" in warning.detail
