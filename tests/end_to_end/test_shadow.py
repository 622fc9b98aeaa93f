"""Entries in shadow mode on real traffic: the client notices nothing, the log tells what they would have done."""

import contextlib
from typing import Any

import pytest
import requests

from tests.bodies.streams import ENDPOINTS
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream

CHAT = ENDPOINTS[0]


@pytest.fixture
def owner(gateway: RunningGateway) -> TenantInUse:
    return gateway.create_tenant()


def shadow(name: str, settings: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "mode": "shadow", "settings": settings, **more}


def called(owner: TenantInUse, path: str, name: str, **more: Any) -> list[Any]:
    """Call, and see that it passed. Returns what would have been done."""
    request_id = f"{owner.id}-{name}"
    response = owner.request("POST", path, headers={"X-Request-ID": request_id}, **more)
    assert response.status_code == 200, response.text
    noted: list[Any] = owner.gateway.access_line(request_id)["shadow"]
    return noted


def test_a_rejection_is_only_noted(gateway: RunningGateway, owner: TenantInUse, upstream: Upstream) -> None:
    chain = [
        shadow("security_validator", {"blocked_headers": ["X-Debug"]}, priority=1),
        shadow("content_validator", {"required_fields": ["model"]}),
        {"name": "content_validator", "settings": {"max_size": "1KB"}},
    ]
    owner.create_rule("/v1", upstream.url, plugin_chain=chain)
    assert called(owner, "/v1/x", "good", json={"model": "m"}) == []
    request_id = f"{owner.id}-bad"
    headers = {"X-Debug": "1", "X-Request-ID": request_id}
    assert owner.request("POST", "/v1/x", json={}, headers=headers).status_code == 200
    assert gateway.access_line(request_id)["shadow"] == [
        {"plugin": "security_validator", "stage": "pre_request", "would": "reject", "code": "forbidden"},
        {
            "plugin": "content_validator",
            "stage": "pre_request",
            "would": "reject",
            "code": "validation_failed",
        },
    ]
    # Those that are enforced still are.
    assert owner.request("POST", "/v1/x", data=b"{" + b" " * 2000 + b"}").status_code == 413


def test_a_limit_can_be_tried_out_and_takes_nothing(
    gateway: RunningGateway, owner: TenantInUse, upstream: Upstream
) -> None:
    chain = [
        {"name": "rate_limiter", "settings": {"limit": 4, "window": "1m"}},
        shadow("rate_limiter", {"limit": 2, "window": "1m"}),
    ]
    owner.create_rule("/v1", upstream.url, plugin_chain=chain)
    would = [[note["would"] for note in called(owner, "/v1/x", str(number))] for number in range(4)]
    assert would == [[], [], ["reject"], ["reject"]]
    assert owner.request("POST", "/v1/x").status_code == 429


@pytest.mark.parametrize("path", ["/v1/x", "/v1/stream"])
def test_response_judged_in_shadow_mode_passes_and_is_noted(
    owner: TenantInUse, upstream: Upstream, path: str
) -> None:
    entry = shadow("content_validator", {"blocked_patterns": ["ok|data|n"]}, stage="pre_response")
    owner.create_rule("/v1", upstream.url, plugin_chain=[entry])
    [note] = called(owner, path, path[-2:])
    assert note == {
        "plugin": "content_validator",
        "stage": "pre_response",
        "would": "reject",
        "code": "content_rejected",
    }


def judging(pattern: str, **more: Any) -> dict[str, Any]:
    """An entry that judges answers, event by event where they come so."""
    settings = {"blocked_patterns": [pattern]}
    return {"name": "content_validator", "stage": "pre_response", "settings": settings, **more}


def streamed(owner: TenantInUse, *pieces: str) -> dict[str, Any]:
    """The line in the log of a chat answer that comes in such pieces."""
    request_id = f"{owner.id}-streamed"
    headers = {"X-Request-ID": request_id, "X-Type": CHAT.content_type, "X-Size": "60"}
    with contextlib.suppress(requests.RequestException):  # a stream that is cut shows it
        owner.request("POST", "/v1/tell", headers=headers, data=CHAT.stream(pieces))
    return owner.gateway.access_line(request_id)


@pytest.mark.parametrize(
    ("enforced", "in_shadow", "code", "would"),
    [("nothing like it", "secret", None, ["reject"]), ("secret", "It is", "content_rejected", [])],
    ids=["the whole stream", "not a rejected one"],
)
def test_shadow_beside_an_event_judge_sees_streams_that_pass(
    owner: TenantInUse, upstream: Upstream, enforced: str, in_shadow: str, code: str | None, would: list[str]
) -> None:
    chain = [judging(enforced), judging(in_shadow, mode="shadow")]
    owner.create_rule("/v1", upstream.url, plugin_chain=chain)
    line = streamed(owner, "It is a sec", "ret. Really.")
    assert (line["code"], [note["would"] for note in line["shadow"]]) == (code, would)


def test_shadow_entry_that_hangs_delays_no_request(
    owner: TenantInUse, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = {"file": str(tmp_path_factory.mktemp("record") / "r"), "wait": 1.0}
    slow = shadow("recorder", settings, timeout="5s")
    owner.create_rule("/v1", upstream.url, plugin_chain=[slow] * 3)
    response = owner.request("GET", "/v1/x")
    assert response.status_code == 200
    assert response.elapsed.total_seconds() < 0.8


def test_shadow_entry_that_fails_is_logged_as_a_shadow(
    gateway: RunningGateway,
    owner: TenantInUse,
    upstream: Upstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    settings = {"file": str(tmp_path_factory.mktemp("record") / "r"), "fault": "pre_request"}
    owner.create_rule("/v1", upstream.url, plugin_chain=[shadow("recorder", settings)])
    assert called(owner, "/v1/x", "fault") == [
        {"plugin": "recorder", "stage": "pre_request", "would": "fault"}
    ]
    assert gateway.access_line(f"{owner.id}-fault")["faults"] == []
