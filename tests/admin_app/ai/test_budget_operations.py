"""Increases and resets of budgets: each is done once, and is a row of the ledger."""

from typing import Any

import pytest

from admin_app.changes.idempotency import HEADER, REPLAYED
from shared.core.errors import StoreDown
from tests.admin_app.ai.budget_documents import BUDGET
from tests.admin_app.world import Api, Tenant, World, error_of, pointers


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
