"""Tenants over HTTP: create, list, read, replace, change, delete."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from werkzeug.datastructures import Headers

from shared.documents import examples
from shared.model.config import Scope
from tests.admin_app.world import TOKEN, Api, Tenant, World, error_of, pointers

VALIDATOR = {
    "name": "external_validator",
    "settings": {"endpoint": "https://checks.example/ask", "headers": {"X-Key": "hunter2"}},
}


FORBIDDEN = {"name": "external_validator", "settings": {"endpoint": "http://169.254.169.254/"}}
WRONG = {"name": "rate_limiter", "settings": {"limit": -1, "window": "1m"}}
NEW: dict[str, Any] = {"name": "A", "subdomain": "a"}


class TestCreate:
    def test_the_seeds_tenant(self, api: Api) -> None:
        entry = {"name": "security_validator", "enabled": True, "priority": 1, "stage": "pre_request"}
        required = {"security_validator": {**entry, "settings": {"required_headers": ["X-Request-ID"]}}}
        sent = {"name": "Test Company", "subdomain": "testcompany", "tier": "pro"}
        sent |= {"enabled_plugins": ["rate_limiter"]}
        response = api.post("/tenants", sent | {"required_plugins": required})
        assert response.status_code == 201, response.text
        made = response.get_json()
        assert response.headers["Location"] == f"/api/v1/tenants/{made['id']}"
        assert made == made | sent
        assert made["version"] == 1
        assert made["created_at"] == made["updated_at"] == "2027-01-15T08:00:00.000Z"
        stored = made["required_plugins"]["security_validator"]
        assert (stored["on_error"], stored["timeout"]) == ("closed", 1.0)

    def test_the_first_key_manages_and_calls_and_is_shown_this_once(self, api: Api, world: World) -> None:
        created = api.create("/tenants", {"name": "A", "subdomain": "shown"})
        assert created["api_key"] == created["key"]
        made = api.tenant()
        assert made.key.startswith("gwk_")
        shown = api.get(made.url)
        assert "api_key" not in shown.get_json()
        assert made.key not in shown.text + api.get(f"{made.url}/api-keys").text
        stored = world.store.read(made.id)
        assert stored is not None
        assert stored.keys[0].scopes == (Scope.ADMIN, Scope.PROXY)
        assert stored.keys[0].hash == world.hasher(made.key)
        assert made.key not in repr(stored)

    def test_a_taken_subdomain_is_rejected_in_every_spelling(self, api: Api, tenant: Tenant) -> None:
        response = api.post("/tenants", {"name": "Other", "subdomain": "ACME"})
        assert error_of(response) == (409, "subdomain_taken")
        assert response.get_json()["detail"] == "The subdomain acme is in use. Choose another one."

    def test_concurrent_creates_of_one_subdomain_succeed_once(self, app: Flask, api: Api) -> None:
        def create(_: int) -> int:
            return Api(app, TOKEN).post("/tenants", {"name": "Rival", "subdomain": "rival"}).status_code

        with ThreadPoolExecutor(10) as pool:
            responses = sorted(pool.map(create, range(50)))
        assert responses == [201] + [409] * 49
        assert api.get("/tenants").get_json()["count"] == 1

    def test_a_freed_subdomain_is_in_quarantine(self, api: Api, tenant: Tenant, world: World) -> None:
        api.delete(tenant.url)
        again = {"name": "Acme", "subdomain": "acme"}
        taken = api.post("/tenants", again)
        assert error_of(taken) == (409, "subdomain_taken")
        assert "in quarantine until 2027-01-16T08:00:00Z" in taken.get_json()["detail"]
        world.clock.time += world.settings.admin.subdomain_quarantine + 1
        assert api.post("/tenants", again).status_code == 201

    @pytest.mark.parametrize(
        ("fields", "pointer", "reason"),
        [
            ({"tier": "gold"}, "/tier", "basic, pro, enterprise"),
            ({"enabled_plugins": ["rate_limiter", "rate_limitr"]}, "/enabled_plugins/1", ""),
            ({"plugin_chain": [{"name": "rate_limitr"}]}, "/plugin_chain/0/name", ""),
            ({"enabled_plugins": [], "plugin_chain": [VALIDATOR]}, "/plugin_chain/0/name", ""),
            ({"required_plugins": [VALIDATOR, WRONG]}, "/required_plugins/1/settings/limit", ""),
            (
                {"required_plugins": {"rate_limiter": WRONG}},
                "/required_plugins/rate_limiter/settings/limit",
                "",
            ),
            ({"required_plugins": [FORBIDDEN]}, "/required_plugins/0/settings/endpoint", ""),
        ],
    )
    def test_wrong_tenant_is_rejected_and_not_stored(
        self, api: Api, world: World, fields: dict[str, Any], pointer: str, reason: str
    ) -> None:
        response = api.post("/tenants", NEW | fields)
        assert pointers(response) == [pointer]
        assert reason in response.get_json()["detail"]
        assert world.store.is_empty()

    def test_required_plugins_may_lie_outside_the_allow_list(self, api: Api) -> None:
        sent = NEW | {"enabled_plugins": [], "required_plugins": [VALIDATOR]}
        assert api.post("/tenants", sent).status_code == 201


class TestList:
    def test_pages_follow_each_other(self, api: Api) -> None:
        made = [api.tenant(name).id for name in ("a1", "b2", "c3", "d4", "e5")]
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            query = f"&cursor={cursor}" if cursor else ""
            page = api.get(f"/tenants?limit=2{query}").get_json()
            assert page["count"] == len(page["tenants"])
            seen += [tenant["id"] for tenant in page["tenants"]]
            cursor = page["next_cursor"]
        assert seen == made

    def test_text_finds_part_of_a_name_a_subdomain_or_an_id_in_any_case(self, api: Api) -> None:
        acme, globex = api.tenant("acme", name="Straße & Söhne").id, api.tenant("globex").id
        for text, wanted in (("STRASSE", acme), ("cme", acme), ("GLOB", globex), (globex[8:], globex)):
            found = api.get("/tenants", query_string={"text": text}).get_json()
            assert ([tenant["id"] for tenant in found["tenants"]], found["next_cursor"]) == ([wanted], None)
        assert api.get("/tenants?text=initech").get_json()["tenants"] == []

    def test_status_selects_tenants(self, api: Api) -> None:
        api.tenant("acme")
        off = api.tenant("globex", status="disabled").id
        assert [one["id"] for one in api.get("/tenants?status=disabled").get_json()["tenants"]] == [off]

    def test_pages_of_a_search_have_each_match_once_and_no_more_than_were_asked_for(self, api: Api) -> None:
        made = [api.tenant(f"{'acme' if i % 3 else 'globex'}-{i}").id for i in range(40)]
        wanted, seen = [one for i, one in enumerate(made) if i % 3], []
        query: dict[str, Any] = {"text": "acme", "limit": 12}
        while True:
            page = api.get("/tenants", query_string=query).get_json()
            assert page["count"] <= 12
            seen += [tenant["id"] for tenant in page["tenants"]]
            if page["next_cursor"] is None:
                break
            query["cursor"] = page["next_cursor"]
        assert seen == wanted

    @pytest.mark.parametrize(
        "query", ["status=off", "limit=0", "limit=501", "limit=x", "cursor=nonsense", "limt=5"]
    )
    def test_a_bad_query_is_rejected(self, api: Api, query: str) -> None:
        assert len(pointers(api.get(f"/tenants?{query}"))) == 1


class TestChange:
    def test_patch_changes_what_was_sent(self, api: Api, tenant: Tenant, world: World) -> None:
        world.clock.time += 60
        before = api.get(tenant.url).get_json()
        after = api.patch(tenant.url, {"name": "New", "tier": "pro"}).get_json()
        assert after.pop("warnings") == []
        changed = {"name": "New", "tier": "pro", "version": 2, "updated_at": "2027-01-15T08:01:00.000Z"}
        assert after == before | changed
        assert api.get(tenant.url).get_json() == after

    def test_put_replaces_and_keeps_rules_and_keys(self, api: Api, world: World) -> None:
        tenant = api.tenant(tier="pro", enabled_plugins=["rate_limiter"])
        assert api.post(f"{tenant.url}/rules", examples.RULE).status_code == 201
        after = api.put(tenant.url, {"name": "Acme", "subdomain": "acme"}).get_json()
        assert (after["tier"], after["enabled_plugins"]) == ("basic", None)
        stored = world.store.read(tenant.id)
        assert stored is not None
        assert (len(stored.rules), len(stored.keys)) == (1, 1)

    def test_a_change_that_breaks_a_rule_is_rejected(self, api: Api, tenant: Tenant) -> None:
        api.post(f"{tenant.url}/rules", examples.RULE)
        assert pointers(api.patch(tenant.url, {"enabled_plugins": []})) == ["/enabled_plugins"]

    def test_a_put_needs_everything(self, api: Api, tenant: Tenant) -> None:
        assert pointers(api.put(tenant.url, {})) == ["/name", "/subdomain"]

    def test_a_taken_subdomain_is_rejected(self, api: Api, tenant: Tenant) -> None:
        api.tenant("other")
        assert api.patch(tenant.url, {"subdomain": "other"}).status_code == 409

    def test_an_unknown_tenant_is_404(self, api: Api) -> None:
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            body: Any = {"name": "A", "subdomain": "a"} if method in ("PUT", "PATCH") else None
            assert api.call(method, "/tenants/tenant_0", body).status_code == 404


class TestDelete:
    def test_deleted_tenant_is_gone_with_its_keys(self, api: Api, tenant: Tenant, world: World) -> None:
        response = api.delete(tenant.url)
        assert (response.status_code, response.data) == (204, b"")
        assert api.get(tenant.url).status_code == 404
        assert api.get(tenant.url, key=tenant.key).status_code == 401
        assert world.store.find_key(world.hasher(tenant.key)) is None


class TestEntityTags:
    def test_an_unchanged_tenant_is_304(self, api: Api, tenant: Tenant) -> None:
        tag = api.get(tenant.url).headers["ETag"]
        again = api.get(tenant.url, headers={"If-None-Match": tag})
        assert (again.status_code, again.data) == (304, b"")
        api.patch(tenant.url, {"name": "New"})
        assert api.get(tenant.url, headers={"If-None-Match": tag}).status_code == 200

    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
    def test_change_with_an_outdated_if_match_is_rejected_with_412(
        self, api: Api, tenant: Tenant, method: str
    ) -> None:
        tag = api.get(tenant.url).headers["ETag"]
        body: Any = {"name": "Mine", "subdomain": "acme"} if method != "DELETE" else None
        newer = api.patch(tenant.url, {"name": "Theirs"}).headers["ETag"]
        late = api.call(method, tenant.url, body, headers={"If-Match": tag})
        assert late.status_code == 412
        assert api.get(tenant.url).get_json()["name"] == "Theirs"
        assert api.call(method, tenant.url, body, headers={"If-Match": newer}).status_code in (200, 204)

    def test_if_match_accepts_a_list_of_tags_and_a_star(self, api: Api, tenant: Tenant) -> None:
        tag = api.get(tenant.url).headers["ETag"]
        assert api.patch(tenant.url, {}, headers={"If-Match": f'"other", {tag}'}).status_code == 200
        assert api.patch(tenant.url, {}, headers={"If-Match": "*"}).status_code == 200
        assert api.patch(tenant.url, {}, headers={"If-Match": ""}).status_code == 412

    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
    def test_change_with_an_if_none_match_that_matches_is_rejected_with_412(
        self, api: Api, tenant: Tenant, method: str
    ) -> None:
        tag = api.get(tenant.url).headers["ETag"]
        body: Any = {"name": "Mine", "subdomain": "acme"} if method != "DELETE" else None
        for sent in (tag, "*", f'"other", W/{tag}'):
            assert api.call(method, tenant.url, body, headers={"If-None-Match": sent}).status_code == 412
        kept = api.call(method, tenant.url, body, headers={"If-None-Match": '"other"'})
        assert kept.status_code in (200, 204)

    @pytest.mark.parametrize("sent", [('"other"', "{tag}"), ("{tag}", '"other"')])
    def test_headers_of_one_name_are_one_list_of_tags(
        self, api: Api, tenant: Tenant, sent: tuple[str, str]
    ) -> None:
        tag = api.get(tenant.url).headers["ETag"]
        tags = [one.format(tag=tag) for one in sent]
        headers = Headers([("Authorization", f"Bearer {TOKEN}"), *(("If-Match", one) for one in tags)])
        changed = api.client.patch(f"/api/v1{tenant.url}", json={}, headers=headers)
        assert changed.status_code == 200
        headers = Headers([("Authorization", f"Bearer {TOKEN}"), *(("If-None-Match", one) for one in tags)])
        assert api.client.get(f"/api/v1{tenant.url}", headers=headers).status_code == 304

    def test_the_tag_of_a_creation_is_that_of_the_next_read(self, api: Api) -> None:
        response = api.post("/tenants", {"name": "A", "subdomain": "a"})
        read = api.get(f"/tenants/{response.get_json()['id']}")
        assert response.headers["ETag"] == read.headers["ETag"]

    def test_lists_have_tags_too(self, api: Api, tenant: Tenant) -> None:
        tag = api.get("/tenants").headers["ETag"]
        assert api.get("/tenants", headers={"If-None-Match": tag}).status_code == 304


def test_tenant_reads_the_limits_of_its_tier(api: Api, tenant: Tenant, world: World) -> None:
    tier = api.get(f"{tenant.url}/tier", key=tenant.key).get_json()
    assert (tier["name"], tier["limits"]) == ("basic", {"global": {"limit": 600, "window": "1m"}})
    assert (tier["concurrent"], tier["max_rules"]) == (20, 100)
    world.settings = replace(world.settings, tiers={})
    removed = api.get(f"{tenant.url}/tier").get_json()
    assert (removed["name"], removed["max_rules"], removed["limits"]) == ("basic", 0, {})
