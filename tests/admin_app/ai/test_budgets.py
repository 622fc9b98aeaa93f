"""Budgets over HTTP: of a tenant, of the platform, and of a tier."""

from pathlib import Path
from typing import Any

import pytest

from shared.documents.ai import examples
from tests.admin_app.ai.budget_documents import BUDGET
from tests.admin_app.world import NOW, TOKEN, Api, Tenant, World, error_of, make_world, pointers


def test_budget_is_created_read_changed_and_deleted(api: Api, budgets: str) -> None:
    response = api.post(budgets, BUDGET | {"timezone": "Europe/Berlin", "tags": ["a"]})
    assert response.status_code == 201, response.text
    made = response.get_json()
    one = f"{budgets}/{made['id']}"
    assert response.headers["Location"] == f"/api/v1{one}"
    assert made.pop("warnings") == []
    read = api.get(one)
    assert (read.get_json(), read.headers["ETag"]) == (made, response.headers["ETag"])
    assert api.put(one, read.get_json()).get_json() == made | {"warnings": []}
    changed = api.patch(one, {"limit": {"usd": "0.5"}, "at": [100]}).get_json()
    assert (changed["limit"], changed["at"], changed["timezone"]) == ({"usd": "0.5"}, [100], "Europe/Berlin")
    assert api.get(budgets).get_json()["count"] == 1
    assert api.patch(one, {}, headers={"If-Match": '"old"'}).status_code == 412
    assert api.delete(one).status_code == 204
    assert error_of(api.get(one)) == (404, "not_found")


def test_the_examples_of_the_docs_work(api: Api, budgets: str, world: World) -> None:
    made = api.create(budgets, examples.BUDGET)
    response = api.post(f"{budgets}/{made['id']}/increase", examples.INCREASE)
    assert response.status_code == 200, response.text
    shown = {**examples.BUDGET_READ, "state": {**examples.BUDGET_READ["state"]}}
    assert response.get_json().keys() == {*shown, "warnings"}
    assert response.get_json()["state"].keys() == shown["state"].keys()
    assert response.get_json()["increases"] == shown["increases"]


def test_state_shows_what_was_counted_in_the_present_period(api: Api, budgets: str, world: World) -> None:
    made = api.create(budgets, BUDGET | {"timezone": "Europe/Berlin"})
    begin = 1_798_758_000  # the first of January in Berlin
    world.budgets.counted[f"{made['id']}:{begin}"] = (200 * 10**9, 10**9 // 2, 2)
    state = api.get(f"{budgets}/{made['id']}").get_json()["state"]
    assert state == {
        "limit": "250",
        "used": "200",
        "held": "0.5",
        "remaining": "49.5",
        "over": "0",
        "lost": 2,
        "period_start": "2026-12-31T23:00:00.000Z",
        "resets_at": "2027-01-31T23:00:00.000Z",
    }
    [listed] = api.get(budgets).get_json()["budgets"]
    assert listed["state"] == state


def test_state_shows_what_was_used_above_the_limit(api: Api, budgets: str, world: World) -> None:
    made = api.create(budgets, {"name": "all", "limit": {"tokens": 100}, "period": "total"})
    assert made["starts"] == "2027-01-15"
    begin = int(NOW) // 86_400 * 86_400
    world.budgets.counted[f"{made['id']}:{begin}"] = (130, 5, 0)
    state = api.get(f"{budgets}/{made['id']}").get_json()["state"]
    assert (state["remaining"], state["over"], state["resets_at"]) == (0, 30, None)


class TestOwner:
    def test_tenant_reads_a_budget_of_the_platform_and_cannot_change_it(
        self, api: Api, tenants_own: Api, budgets: str
    ) -> None:
        made = api.create(budgets, BUDGET)
        assert made["owner"] == "platform"
        one = f"{budgets}/{made['id']}"
        assert tenants_own.get(one).get_json()["name"] == "monthly"
        for response in (
            tenants_own.patch(one, {}),
            tenants_own.put(one, BUDGET),
            tenants_own.delete(one),
            tenants_own.post(f"{one}/increase", {"usd": "1"}),
            tenants_own.post(f"{one}/reset", {}),
        ):
            assert error_of(response) == (403, "forbidden")
        assert api.get(one).status_code == 200

    def test_tenant_has_budgets_of_its_own(self, api: Api, tenants_own: Api, budgets: str) -> None:
        made = tenants_own.create(budgets, BUDGET)
        assert made["owner"] == "tenant"
        one = f"{budgets}/{made['id']}"
        assert tenants_own.patch(one, {"on_spent": "alert"}).status_code == 200
        assert api.patch(one, {"on_spent": "reject"}).get_json()["owner"] == "tenant"
        assert error_of(tenants_own.patch(one, {"owner": "platform"})) == (403, "forbidden")
        assert error_of(tenants_own.post(budgets, BUDGET | {"name": "x", "owner": "platform"})) == (
            403,
            "forbidden",
        )
        assert tenants_own.delete(one).status_code == 204

    def test_platform_makes_budgets_for_the_tenant_to_change(
        self, api: Api, tenants_own: Api, budgets: str
    ) -> None:
        made = api.create(budgets, BUDGET | {"owner": "tenant"})
        assert tenants_own.patch(f"{budgets}/{made['id']}", {"at": []}).status_code == 200

    def test_key_that_reads_only_cannot_change_and_another_tenant_sees_nothing(
        self, api: Api, tenant: Tenant, budgets: str
    ) -> None:
        reads = api.created_key(tenant, scopes=["read"])
        made = api.create(budgets, BUDGET)
        assert api.get(budgets, key=reads).status_code == 200
        assert error_of(api.post(budgets, BUDGET, key=reads)) == (403, "forbidden")
        other = api.tenant("other").key
        assert error_of(api.get(f"{budgets}/{made['id']}", key=other)) == (404, "not_found")


class TestTier:
    @pytest.fixture
    def world(self, tmp_path: Path) -> World:
        written = {
            "basic": {"budgets": {"daily": {"limit": {"requests": 5}, "period": "day"}}, "max_budgets": 1}
        }
        return make_world(tmp_path, admin__token=TOKEN, tiers=written)

    def test_budgets_of_the_tier_are_read_and_cannot_be_changed(
        self, api: Api, budgets: str, world: World
    ) -> None:
        [shown] = api.get(budgets).get_json()["of_tier"]
        assert (shown["id"], shown["owner"], shown["limit"]) == ("tier_daily", "platform", {"requests": 5})
        one = f"{budgets}/tier_daily"
        assert api.get(one).get_json() == shown
        for response in (api.patch(one, {}), api.delete(one), api.post(f"{one}/increase", {"requests": 1})):
            assert error_of(response) == (403, "forbidden")
            assert "config.yaml" in response.get_json()["detail"]
        assert api.post(f"{one}/reset", {}).get_json()["name"] == "daily"

    def test_tenant_cannot_reset_a_budget_of_the_tier(
        self, tenants_own: Api, budgets: str, world: World
    ) -> None:
        assert error_of(tenants_own.post(f"{budgets}/tier_daily/reset", {})) == (403, "forbidden")

    def test_the_tier_caps_the_budgets_of_a_tenant(self, api: Api, budgets: str, world: World) -> None:
        api.create(budgets, BUDGET)
        assert error_of(api.post(budgets, BUDGET | {"name": "more"})) == (422, "limit_reached")


class TestWhatIsWrong:
    @pytest.mark.parametrize(
        ("members", "where"),
        [
            ({"limit": {"usd": 250}}, ["/limit"]),
            ({"limit": {"usd": "9000000.01"}}, ["/limit"]),
            ({"period": "fortnight", "timezone": "Mars"}, ["/period", "/timezone"]),
            ({"starts": "2027-01-01"}, ["/starts"]),
            ({"on_spent": "downgrade"}, ["/downgrade_to"]),
            ({"downgrade_to": "fast"}, ["/downgrade_to"]),
            ({"at": [50, 101]}, ["/at/1"]),
            ({"at": [80, 50]}, ["/at"]),
            ({"scope": {"key": "key_x", "rule": "rule_x", "provider": "main"}}, ["/scope/key", "/scope/rule", "/scope/provider"]),
            ({"scope": {"tags": {}}}, ["/scope/tags"]),
            ({"increases": []}, ["/increases"]),
            ({"cap_output": 1, "at": [80, 50]}, ["/cap_output", "/at"]),
        ],
    )  # fmt: skip
    def test_wrong_members_are_told_together(
        self, api: Api, budgets: str, members: Any, where: list[str]
    ) -> None:
        assert pointers(api.post(budgets, BUDGET | members)) == where

    def test_two_budgets_of_a_tenant_have_different_names(
        self, api: Api, tenants_own: Api, budgets: str
    ) -> None:
        api.create(budgets, BUDGET)
        assert error_of(tenants_own.post(budgets, BUDGET)) == (409, "name_taken")

    def test_budget_keeps_its_unit(self, api: Api, budgets: str) -> None:
        one = f"{budgets}/{api.create(budgets, BUDGET)['id']}"
        response = api.patch(one, {"limit": {"tokens": 5}})
        assert pointers(response) == ["/limit"]
        assert "Make another budget." in response.get_json()["detail"]

    def test_first_day_stays_unless_another_one_is_sent(self, api: Api, budgets: str, world: World) -> None:
        rolling = BUDGET | {"period": "30d"}
        one = f"{budgets}/{api.create(budgets, rolling)['id']}"
        world.clock.time += 5 * 86_400
        assert api.put(one, rolling).get_json()["starts"] == "2027-01-15"
        assert api.patch(one, {"starts": "2027-02-01"}).get_json()["starts"] == "2027-02-01"
        assert api.patch(one, {"period": "month"}).get_json()["starts"] is None
        assert api.patch(one, {"period": "7d"}).get_json()["starts"] == "2027-01-20"


def test_change_of_a_budget_is_a_version_and_in_the_audit_log(api: Api, tenant: Tenant, budgets: str) -> None:
    made = api.create(budgets, BUDGET)
    api.post(f"{budgets}/{made['id']}/increase", {"usd": "50"})
    [newest, *_] = api.get(f"{tenant.url}/versions").get_json()["versions"]
    assert newest["summary"] == "budget monthly changed (increases)"
    [entry, *_] = api.get(f"/audit?tenant={tenant.id}").get_json()["entries"]
    assert entry["operation"] == "increaseBudget"
    assert entry["changes"][0]["path"] == f"/budgets/{made['id']}/increases/0"
