"""The security validator: who asks, how, and with which headers."""

from typing import Any

import pytest

from shared.core.addresses import UNKNOWN
from shared.core.errors import Invalid
from shared.model.messages import Headers
from shared.pipeline.plugin import CONTINUE, Reject
from shared.plugins.security_validator import SecurityValidator
from tests.plugins.exchanges import exchange


def verdict(settings: dict[str, Any], **request: Any) -> tuple[int, str] | None:
    """Status and code of the refusal, None when the request passes."""
    outcome = SecurityValidator.parse(settings).pre_request(exchange(**request))
    if outcome == CONTINUE:
        return None
    assert isinstance(outcome, Reject)
    assert outcome.message.endswith(".")
    return outcome.status, outcome.code


def test_all_missing_headers_are_named() -> None:
    plugin = SecurityValidator.parse({"required_headers": ["X-A", "X-B", "X-C"]})
    outcome = plugin.pre_request(exchange(x_b="1"))
    assert isinstance(outcome, Reject)
    assert "X-A, X-C" in outcome.message


SEED = {"required_headers": ["X-Request-ID"]}
AGENTS = {"blocked_headers": ["X-Debug"], "blocked_user_agents": ["(?i)^bad-?bot", "^$"]}
MISSING, FORBIDDEN = (400, "missing_required_header"), (403, "forbidden")


@pytest.mark.parametrize(
    ("settings", "request_", "expected"),
    [
        ({}, {"body": None}, None),
        (SEED, {"x_request_id": "req-123"}, None),
        (SEED, {}, MISSING),
        (SEED, {"X_REQUEST_ID": " "}, MISSING),
        (SEED, {"X_Request_Id": (" ", "second")}, None),
        (AGENTS, {"user_agent": "curl/8"}, None),
        (AGENTS, {"user_agent": "curl/8", "x_debug": ""}, FORBIDDEN),
        (AGENTS, {"user_agent": "BadBot/1.0"}, FORBIDDEN),
        (AGENTS, {"user_agent": ("curl/8", "bad-bot")}, FORBIDDEN),
        (AGENTS, {}, FORBIDDEN),
        (SEED, {"headers": [("X_Request_ID", "1")]}, MISSING),
        *(
            (AGENTS, {"headers": [("User-Agent", "curl/8"), (name, "1")]}, FORBIDDEN)
            for name in ("X_Debug", "x.debug", "X-DEBUG")
        ),
        (AGENTS, {"headers": [("User-Agent", "curl/8"), ("User_Agent", "BadBot")]}, FORBIDDEN),
        (AGENTS, {"headers": [("User-Agent", "curl/8"), ("X-Debugger", "1")]}, None),
        ({"blocked_headers": ["X_Debug"]}, {"headers": [("x-debug", "1")]}, FORBIDDEN),
    ],
)
def test_headers_are_required_and_blocked(settings: Any, request_: Any, expected: object) -> None:
    spelled = request_.get("headers")
    given = exchange() if spelled else exchange(**request_)
    if spelled:
        given = given.with_request(given.request._replace(headers=Headers(spelled)))
    outcome = SecurityValidator.parse(settings).pre_request(given)
    assert ((outcome.status, outcome.code) if isinstance(outcome, Reject) else None) == expected


def test_user_agents_that_come_again_get_the_same_verdict_and_few_are_kept() -> None:
    plugin = SecurityValidator.parse({"blocked_user_agents": ["(?i)badbot"]})
    agents = [f"{name}/{number}" for name in ("BadBot", "curl") for number in range(100)] * 2
    agents += ["x" * 300 + "badbot", "x" * 300] * 2
    rejected = [isinstance(plugin.pre_request(exchange(user_agent=agent)), Reject) for agent in agents]
    assert rejected == ["badbot" in agent.lower() for agent in agents]
    assert len(plugin._known_agents) <= 64
    assert max(len(agent) for known in plugin._known_agents for agent in known) <= 256


@pytest.mark.parametrize(
    ("settings", "client", "passes"),
    [
        ({"blocked_ips": ["203.0.113.7"]}, "203.0.113.7", False),
        ({"blocked_ips": ["203.0.113.0/24"]}, "203.0.113.200", False),
        ({"blocked_ips": ["203.0.113.9/24"]}, "203.0.113.200", False),
        ({"blocked_ips": ["203.0.113.0/24"]}, "::ffff:203.0.113.200", False),
        ({"blocked_ips": ["::ffff:203.0.113.0/120"]}, "203.0.113.200", False),
        ({"blocked_ips": ["203.0.113.0/24"]}, "198.51.100.1", True),
        ({"blocked_ips": ["2001:db8::/32"]}, "2001:db8:1::9", False),
        ({"blocked_ips": ["::/0"]}, "203.0.113.7", True),
        ({"allowed_ips": ["203.0.113.7", "2001:db8::1"]}, "2001:DB8:0::1", True),
        ({"allowed_ips": ["203.0.113.7"]}, "203.0.113.8", False),
        ({"allowed_ips": ["0.0.0.0/0", "::/0"]}, UNKNOWN, False),
        ({"blocked_ips": ["0.0.0.0/0"]}, UNKNOWN, True),
        ({"allowed_ips": ["203.0.113.0/24"], "blocked_ips": ["203.0.113.8"]}, "203.0.113.8", False),
    ],
)
def test_addresses_are_allowed_and_blocked(settings: dict[str, Any], client: str, passes: bool) -> None:
    assert verdict(settings, client=client) == (None if passes else (403, "ip_blocked"))


def test_a_client_without_an_address_is_a_fault_where_addresses_count() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        verdict({"blocked_ips": ["203.0.113.7"]}, client="nowhere")


def test_other_methods_are_rejected_with_an_allow_header() -> None:
    plugin = SecurityValidator.parse({"allowed_methods": ["post", "GET"]})
    assert plugin.pre_request(exchange()) == CONTINUE
    outcome = plugin.pre_request(exchange(method="DELETE"))
    assert isinstance(outcome, Reject)
    assert (outcome.status, outcome.code) == (405, "method_not_allowed")
    assert dict(outcome.headers) == {"Allow": "POST, GET"}


def test_security_headers_are_added_on_request() -> None:
    added = SecurityValidator.parse({"security_headers": True}).response_headers(exchange())
    assert added["X-Content-Type-Options"] == "nosniff"
    assert added["Strict-Transport-Security"].startswith("max-age=")
    assert SecurityValidator.parse({}).response_headers(exchange()) == {}


@pytest.mark.parametrize(
    ("settings", "pointer"),
    [
        ({"blocked_ips": ["10.0.0.0/33"]}, "/blocked_ips/0"),
        ({"allowed_ips": ["203.0.113.7", "all"]}, "/allowed_ips/1"),
        ({"required_headers": ["X A"]}, "/required_headers/0"),
        ({"allowed_methods": [""]}, "/allowed_methods/0"),
        ({"blocked_user_agents": ["ok", "("]}, "/blocked_user_agents/1"),
        ({"blocked_user_agents": [r"\pL{1,50}"]}, "/blocked_user_agents/0"),
        ({"blocked_ips": ["10.0.0.1"] * 1001}, "/blocked_ips"),
        ({"allowed_ips": ["10.0.0.1"] * 1001}, "/allowed_ips"),
        ({"required_headers": ["a"] * 101}, "/required_headers"),
        ({"blocked_headers": ["a"] * 101}, "/blocked_headers"),
        ({"security_headers": "yes"}, "/security_headers"),
        ({"required_header": []}, "/required_header"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], pointer: str) -> None:
    with pytest.raises(Invalid) as caught:
        SecurityValidator.parse(settings)
    assert [problem.pointer for problem in caught.value.problems] == [pointer]


def test_a_pattern_that_never_matches_other_letters_is_told_at_its_place() -> None:
    agents = [r"\bbot\b", "\\b\u00e9tat\\b"]
    [warning] = SecurityValidator.parse({"blocked_user_agents": agents}).warnings()
    assert warning.pointer == "/blocked_user_agents/1"
    assert "knows ASCII only" in warning.detail
