"""Plugins in a dry run: their calls of services, their responses, and their faults."""

import asyncio

import pytest

from shared import explain as core_explain
from shared.model.messages import Exchange, Headers, Response
from shared.pipeline.plugin import CONTINUE, Plugin, Respond, Verdict
from tests.admin_app.dry_runs import (
    ASKING,
    CHAT,
    asked,
    new_rule,
    plugins,
)
from tests.admin_app.world import Api, Tenant, World


class TestOutside:
    def test_explain_calls_services_when_asked_to(self, api: Api, tenant: Tenant, world: World) -> None:
        new_rule(api, tenant, plugin_chain=[ASKING])
        world.outside = b'{"bad": 1}'
        response = asked(api, tenant, call_outside=True)["response"]
        assert (response["code"], response["message"]) == ("validation_failed", "It is bad.")
        assert world.called == [("POST", "https://checks.example/ask", b'{"model":"m"}')]

    def test_a_key_that_only_reads_may_not_ask_for_that(self, api: Api, tenant: Tenant, world: World) -> None:
        new_rule(api, tenant, plugin_chain=[ASKING])
        key = api.created_key(tenant, scopes=["read"])
        sent = {**CHAT, "key_id": api.first_key(tenant)}
        assert api.post(f"{tenant.url}/explain", sent, key=key).status_code == 200
        rejected = api.post(f"{tenant.url}/explain", {**sent, "call_outside": True}, key=key)
        assert rejected.status_code == 403
        assert world.called == []


class Responding(Plugin):
    """Answers itself."""

    name = "answering"

    async def pre_request(self, exchange: Exchange) -> Verdict:
        return Respond(Response(203, Headers([("X-Cache", "hit")]), b"cached"))


class Hanging(Plugin):
    """Never ends."""

    name = "hanging"
    default_timeout = 100.0

    async def pre_request(self, exchange: Exchange) -> Verdict:
        await asyncio.Event().wait()
        return CONTINUE


class Breaking(Plugin):
    """Raises."""

    name = "breaking"

    def pre_request(self, exchange: Exchange) -> Verdict:
        raise ValueError("no such thing")


class TestOtherEnds:
    @pytest.fixture(autouse=True)
    def more(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        extra = {kind.name: kind for kind in (Responding, Hanging, Breaking)}
        monkeypatch.setattr(world, "catalogue", {**world.catalogue, **extra})

    def test_a_plugin_that_responds_itself(self, api: Api, tenant: Tenant) -> None:
        new_rule(api, tenant, plugin_chain=[{"name": "answering"}])
        explained = asked(api, tenant)
        assert explained["outcome"] == "responded"
        headers = explained["response"].pop("headers")
        assert explained["response"] == {
            "status": 203, "source": "plugin:answering", "code": None, "message": None, "details": {},
            "body": "cached",
        }  # fmt: skip
        assert headers[0] == {"name": "X-Cache", "value": "hit"}
        assert "RateLimit-Policy" in [header["name"] for header in headers]

    def test_fault_of_a_plugin_is_shown_with_its_error(self, api: Api, tenant: Tenant) -> None:
        new_rule(api, tenant, plugin_chain=[{"name": "breaking"}])
        explained = asked(api, tenant)
        [plugin] = explained["plan"][0]["groups"][-1]["plugins"]
        assert (plugin["verdict"], plugin["detail"]) == ("fault", "ValueError: no such thing")
        assert explained["response"]["code"] == "plugin_failure"

    def test_hanging_plugin_is_ended(self, api: Api, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(core_explain, "MAX_SECONDS", 0.05)
        new_rule(api, tenant, plugin_chain=[{"name": "hanging"}])
        explained = asked(api, tenant)
        assert explained["outcome"] == "unfinished"
        assert plugins(explained)[-1] == [("hanging", "cancelled")]
        assert (explained["response"], explained["upstream"]) == (None, None)
