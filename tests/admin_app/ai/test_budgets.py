"""Budgets over HTTP: of a tenant, of the platform, and of a tier."""

from pathlib import Path
from typing import Any

import pytest

from admin_app.changes.idempotency import HEADER, REPLAYED
from shared.core.errors import StoreDown
from shared.documents.ai import examples
from tests.admin_app.world import NOW, TOKEN, Api, Tenant, World, error_of, make_world, pointers

BUDGET: dict[str, Any] = {"name": "monthly", "limit": {"usd": "250"}, "period": "month"}
PROVIDER = {
    "name": "main",
    "kind": "openai",
    "keys": [{"secret": "sk-0123456789abcdef012345"}],
    "models": [{"id": "gpt-5.6"}, {"id": "home-made"}],
}
AI_RULE: dict[str, Any] = {"path": "/ai", "ai": {"providers": ["main"], "models": ["gpt-*", "home-*"]}}


@pytest.fixture
def budgets(tenant: Tenant) -> str:
    return f"{tenant.url}/budgets"


@pytest.fixture
def tenants_own(api: Api, tenant: Tenant) -> Api:
    """The API in the tenant's hands."""
    return Api(api.client.application, tenant.key)


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


class TestReferences:
    def test_key_that_was_rotated_is_that_of_the_first_one(
        self, api: Api, tenant: Tenant, budgets: str
    ) -> None:
        first = api.create(f"{tenant.url}/api-keys", {})["id"]
        second = api.create(f"{tenant.url}/api-keys/{first}/rotate", {})["id"]
        made = api.create(budgets, BUDGET | {"scope": {"key": second}})
        assert made["scope"] == {"key": first}
        assert api.delete(f"{tenant.url}/api-keys/{first}").status_code == 204

    def test_key_of_a_budget_can_be_revoked_with_a_warning(
        self, api: Api, tenant: Tenant, budgets: str
    ) -> None:
        key = api.create(f"{tenant.url}/api-keys", {})["id"]
        made = api.create(budgets, BUDGET | {"scope": {"key": key}})
        revoked = api.delete(f"{tenant.url}/api-keys/{key}")
        assert revoked.status_code == 200
        assert [one["detail"] for one in revoked.get_json()["warnings"]] == [
            "The budget monthly counts nothing any more. Delete it, or give it another key."
        ]
        changed = api.patch(f"{budgets}/{made['id']}", {"limit": {"usd": "5"}}).get_json()
        assert [one["pointer"] for one in changed["warnings"]] == ["/scope/key"]

    def test_rule_of_a_budget_cannot_be_deleted(self, api: Api, tenant: Tenant, budgets: str) -> None:
        rule = api.rule(tenant)["id"]
        made = api.create(budgets, BUDGET | {"scope": {"rule": rule}})
        response = api.delete(f"{tenant.url}/rules/{rule}")
        assert error_of(response) == (409, "in_use")
        assert "the budget monthly" in response.get_json()["detail"]
        api.delete(f"{budgets}/{made['id']}")
        assert api.delete(f"{tenant.url}/rules/{rule}").status_code == 204

    def test_provider_and_model_of_a_budget_cannot_be_deleted(
        self, api: Api, tenant: Tenant, budgets: str
    ) -> None:
        provider = api.create(f"{tenant.url}/providers", PROVIDER)["id"]
        api.create(
            f"{tenant.url}/models", {"name": "cheap", "targets": [{"provider": "main", "model": "gpt-5.6"}]}
        )
        api.create(
            budgets,
            BUDGET | {"scope": {"provider": "main"}, "on_spent": "downgrade", "downgrade_to": "cheap"},
        )
        for path in ("models/cheap", f"providers/{provider}"):
            response = api.delete(f"{tenant.url}/{path}")
            assert error_of(response) == (409, "in_use")
            assert "the budget monthly" in response.get_json()["detail"]

    def test_platform_cannot_take_away_the_provider_of_a_budget(self, api: Api, budgets: str) -> None:
        provider = api.create("/providers", PROVIDER | {"shared": "all"})["id"]
        api.create(budgets, BUDGET | {"scope": {"provider": "main"}})
        assert error_of(api.patch(f"/providers/{provider}", {"shared": "none"})) == (409, "in_use")

    @pytest.mark.parametrize(
        ("members", "detail"),
        [
            ({"downgrade_to": "nothing"}, "There is no model nothing here."),
            ({"downgrade_to": "main/gpt-5.6"}, "The model main/gpt-5.6 is not allowed here."),
            (
                {"downgrade_to": "gpt-5.6", "scope": {"key": "strict"}},
                "The model gpt-5.6 is not allowed here.",
            ),
        ],
    )
    def test_other_model_must_pass_the_lists_of_rule_and_key(
        self, api: Api, tenant: Tenant, budgets: str, members: Any, detail: str
    ) -> None:
        api.create(f"{tenant.url}/providers", PROVIDER)
        api.create(f"{tenant.url}/rules", AI_RULE)
        key = api.create(f"{tenant.url}/api-keys", {"models": ["home-*"]})["id"]
        scope = {"key": key} if "scope" in members else {}
        response = api.post(budgets, BUDGET | members | {"on_spent": "downgrade", "scope": scope})
        assert pointers(response) == ["/downgrade_to"]
        assert detail in response.get_json()["detail"]

    def test_rule_that_does_not_allow_the_other_model_is_a_warning(
        self, api: Api, tenant: Tenant, budgets: str
    ) -> None:
        api.create(f"{tenant.url}/providers", PROVIDER)
        api.create(f"{tenant.url}/rules", AI_RULE)
        api.create(f"{tenant.url}/rules", {"path": "/own", "ai": {"models": ["home-*"]}})
        made = api.create(
            budgets,
            {
                "name": "n",
                "limit": {"tokens": 5},
                "period": "day",
                "on_spent": "downgrade",
                "downgrade_to": "gpt-5.6",
            },
        )
        [warning] = made["warnings"]
        assert warning["pointer"] == "/downgrade_to"
        assert "requests to own are rejected" in warning["detail"]

    def test_models_without_a_price_are_a_warning_for_a_limit_in_usd(
        self, api: Api, tenant: Tenant, budgets: str
    ) -> None:
        api.create(f"{tenant.url}/providers", PROVIDER)
        api.create(f"{tenant.url}/rules", AI_RULE)
        made = api.create(budgets, BUDGET)
        assert made["warnings"] == [
            {
                "pointer": "/unpriced",
                "detail": "No price is known of main/home-made: calls are rejected. Set prices of these models.",
            }
        ]
        assert api.create(budgets, BUDGET | {"name": "b", "scope": {"model": "gpt-*"}})["warnings"] == []
        assert api.create(budgets, BUDGET | {"name": "c", "limit": {"tokens": 1}})["warnings"] == []
        allowed = api.patch(f"{budgets}/{made['id']}", {"unpriced": "allow"}).get_json()["warnings"]
        assert "calls are not counted" in allowed[0]["detail"]

    def test_rules_that_call_no_models_are_a_warning(self, api: Api, tenant: Tenant, budgets: str) -> None:
        plain = api.rule(tenant, "/plain")
        sent = {"limit": {"requests": 5}, "period": "day"}
        made = [
            api.create(budgets, sent | {"name": "all"}),
            api.create(budgets, sent | {"name": "one", "scope": {"rule": plain["id"]}}),
        ]
        warnings = [(one["pointer"], one["detail"]) for each in made for one in each["warnings"]]
        why = "so the budget counts nothing yet. Budgets count calls of models."
        assert warnings == [
            ("/scope", f"The rules have no `ai`, {why}"),
            ("/scope/rule", f"This rule has no `ai`, {why}"),
        ]
        api.create(f"{tenant.url}/providers", PROVIDER)
        api.create(f"{tenant.url}/rules", AI_RULE)
        assert api.create(budgets, sent | {"name": "again"})["warnings"] == []

    def test_scope_that_no_key_fits_is_a_warning(self, api: Api, budgets: str) -> None:
        made = api.create(budgets, BUDGET | {"scope": {"user": "ann", "tag": {"project": "x"}}})
        assert [one["pointer"] for one in made["warnings"]] == ["/scope/user", "/scope/tag"]


class TestIncrease:
    @pytest.fixture
    def one(self, api: Api, budgets: str) -> str:
        return f"{budgets}/{api.create(budgets, BUDGET)['id']}"

    def test_increase_is_added_for_the_rest_of_the_period(self, api: Api, one: str, world: World) -> None:
        increased = api.post(f"{one}/increase", {"usd": "50.00"}).get_json()
        assert increased["limit"] == {"usd": "250"}
        assert increased["state"]["limit"] == "300"
        assert increased["increases"] == [
            {
                "usd": "50",
                "until": "2027-02-01T00:00:00.000Z",
                "by": "platform",
                "at": "2027-01-15T08:00:00.000Z",
            }
        ]
        world.clock.time += 30 * 86_400
        assert api.get(one).get_json()["state"]["limit"] == "250"

    def test_increase_of_a_total_never_ends(self, api: Api, budgets: str) -> None:
        made = api.create(budgets, BUDGET | {"period": "total"})
        increased = api.post(f"{budgets}/{made['id']}/increase", {"usd": "1"}).get_json()
        assert increased["increases"][0]["until"] is None

    def test_author_of_an_increase_is_the_caller(self, tenants_own: Api, budgets: str, world: World) -> None:
        made = tenants_own.create(budgets, BUDGET)
        [one] = tenants_own.post(f"{budgets}/{made['id']}/increase", {"usd": "1"}).get_json()["increases"]
        assert one["by"].startswith("key:key_")

    @pytest.mark.parametrize(
        ("sent", "where"),
        [
            ({}, [""]),
            ({"tokens": 5}, ["/tokens"]),
            ({"usd": "0"}, ["/usd"]),
            ({"usd": 5}, ["/usd"]),
            ({"tokens": "many"}, ["/tokens"]),
            ({"usd": "1", "tokens": 5}, [""]),
            ({"usd": "8999999"}, ["/usd"]),
            ({"usd": "1", "until": "2026-01-01T00:00:00Z"}, ["/until"]),
            ({"usd": "1", "by": "me"}, ["/by"]),
        ],
    )
    def test_increase_that_is_wrong_says_where(self, api: Api, one: str, sent: Any, where: list[str]) -> None:
        assert pointers(api.post(f"{one}/increase", sent)) == where

    def test_increases_that_were_read_can_be_sent_back_or_left_out(self, api: Api, one: str) -> None:
        for _ in range(2):
            api.post(f"{one}/increase", {"usd": "50"})
        api.post(f"{one}/increase", {"usd": "7"})
        increases = api.get(one).get_json()["increases"]
        assert len(api.put(one, BUDGET).get_json()["increases"]) == 3
        left = api.patch(one, {"increases": increases[2:]}).get_json()
        assert left["increases"] == increases[2:]
        assert pointers(api.patch(one, {"increases": [increases[2] | {"usd": "9"}]})) == ["/increases/0"]

    def test_increases_that_have_ended_make_room(self, api: Api, one: str, world: World) -> None:
        for _ in range(50):
            assert api.post(f"{one}/increase", {"usd": "0.5"}).status_code == 200
        assert error_of(api.post(f"{one}/increase", {"usd": "1"})) == (422, "limit_reached")
        world.clock.time += 30 * 86_400
        assert len(api.post(f"{one}/increase", {"usd": "1"}).get_json()["increases"]) == 1


def test_change_of_a_budget_is_a_version_and_in_the_audit_log(api: Api, tenant: Tenant, budgets: str) -> None:
    made = api.create(budgets, BUDGET)
    api.post(f"{budgets}/{made['id']}/increase", {"usd": "50"})
    [newest, *_] = api.get(f"{tenant.url}/versions").get_json()["versions"]
    assert newest["summary"] == "budget monthly changed (increases)"
    [entry, *_] = api.get(f"/audit?tenant={tenant.id}").get_json()["entries"]
    assert entry["operation"] == "increaseBudget"
    assert entry["changes"][0]["path"] == f"/budgets/{made['id']}/increases/0"


class TestReset:
    def test_reset_lets_the_period_begin_again_and_is_noted(
        self, api: Api, tenant: Tenant, budgets: str, world: World
    ) -> None:
        made = api.create(budgets, BUDGET)
        name = f"{made['id']}:1798761600"
        world.budgets.counted[name] = (200 * 10**9, 5 * 10**9, 0)
        state = api.post(f"{budgets}/{made['id']}/reset", {}).get_json()["state"]
        assert (state["used"], state["held"], state["remaining"]) == ("0", "5", "245")
        [row] = world.budgets.noted
        assert (row["name"], row["amount"], row["actor"]) == (name, -200 * 10**9, "platform")
        [entry, *_] = api.get(f"/audit?tenant={tenant.id}").get_json()["entries"]
        assert (entry["operation"], entry["summary"]) == ("resetBudget", "budget monthly reset")

    def test_reset_sent_again_changes_nothing_and_gets_the_same_response(
        self, api: Api, tenant: Tenant, budgets: str, world: World
    ) -> None:
        made = api.create(budgets, BUDGET)
        name = f"{made['id']}:1798761600"
        world.budgets.counted[name] = (200 * 10**9, 0, 0)
        first = api.post(f"{budgets}/{made['id']}/reset", {}, headers={HEADER: "once"})
        world.budgets.counted[name] = (7 * 10**9, 0, 0)
        again = api.post(f"{budgets}/{made['id']}/reset", {}, headers={HEADER: "once"})
        assert (again.status_code, again.data) == (200, first.data)
        assert again.headers[REPLAYED] == "true"
        assert world.budgets.counted[name] == (7 * 10**9, 0, 0)
        assert len(world.budgets.noted) == 1
        entries = api.get(f"/audit?tenant={tenant.id}").get_json()["entries"]
        assert [one["operation"] for one in entries].count("resetBudget") == 1

    def test_reset_that_failed_half_way_is_the_same_reset_when_it_is_sent_again(
        self, api: Api, budgets: str, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The ledger makes a change of one id once."""
        made = api.create(budgets, BUDGET)

        def lost(*_: object) -> None:
            raise StoreDown("Redis is away.")

        with monkeypatch.context() as broken:
            broken.setattr(world.store, "finish", lost)
            assert api.post(f"{budgets}/{made['id']}/reset", {}, headers={HEADER: "a"}).status_code == 503
        assert api.post(f"{budgets}/{made['id']}/reset", {}, headers={HEADER: "a"}).status_code == 200
        assert api.post(f"{budgets}/{made['id']}/reset", {}, headers={HEADER: "b"}).status_code == 200
        [first, again, other] = [row["row_id"] for row in world.budgets.noted]
        assert first == again != other

    @pytest.mark.parametrize(("change", "sent"), [("reset", {}), ("increase", {"usd": "5"})])
    def test_change_of_a_budget_that_was_modified_since_is_412(
        self, api: Api, budgets: str, world: World, change: str, sent: Any
    ) -> None:
        made = api.create(budgets, BUDGET)
        one = f"{budgets}/{made['id']}"
        match = {"If-Match": api.get(one).headers["ETag"]}
        api.patch(one, {"cap_output": True})
        rejected = api.post(f"{one}/{change}", sent, headers=match)
        assert error_of(rejected) == (412, "precondition_failed")
        assert world.budgets.noted == []
        match = {"If-Match": api.get(one).headers["ETag"]}
        assert api.post(f"{one}/{change}", sent, headers=match).status_code == 200

    def test_increase_sent_again_is_added_once(self, api: Api, budgets: str, world: World) -> None:
        made = api.create(budgets, BUDGET)
        sent = [
            api.post(f"{budgets}/{made['id']}/increase", {"usd": "5"}, headers={HEADER: "x"}) for _ in "ab"
        ]
        assert sent[0].data == sent[1].data
        assert len(sent[1].get_json()["increases"]) == len(world.budgets.noted) == 1

    def test_increase_is_a_row_of_the_ledger(self, api: Api, budgets: str, world: World) -> None:
        made = api.create(budgets, BUDGET)
        api.post(f"{budgets}/{made['id']}/increase", {"usd": "50"})
        [row] = world.budgets.noted
        assert (row["name"], row["amount"], row["actor"]) == (
            f"{made['id']}:1798761600",
            50 * 10**9,
            "platform",
        )

    def test_budget_that_is_not_there_is_not_reset(self, api: Api, budgets: str, world: World) -> None:
        assert error_of(api.post(f"{budgets}/bud_x/reset", {})) == (404, "not_found")
        assert world.budgets.noted == []
