"""A budget that reaches a percentage is told once, and the fullest ones are shown."""

import pytest

from mitm_addons.ai.budget_watch import BudgetWatch
from shared.alerts.alert import Alert
from shared.budgets.reservation import Reservation
from shared.model.budgets import Budget
from shared.model.config import Tenant
from tests.budgets.requests import NOW, budget, budget_admission, decided

TENANT = Tenant("t1", "T", "acme")
START = 1796083200


class Watch(BudgetWatch):
    """A watch that keeps what it tells."""

    def __init__(self, *budgets: Budget) -> None:
        self.told: list[Alert] = []
        self.seconds = NOW
        super().__init__(self.told.append, lambda: self.seconds)
        self.admit(*budgets)

    def admit(self, *budgets: Budget) -> None:
        """A request reserves in these budgets."""
        one = budget_admission(*budgets)
        assert one.prepare() is None
        found = one.judge(decided([hold.limit for hold in one.holds], {}))
        assert isinstance(found, Reservation)
        self.note(TENANT, found)

    def uses(self, used: int, id: str = "bud_1") -> list[int]:
        """The percentages that are told when so much is used."""
        self.told.clear()
        self.settled("t1", f"{id}:{START}", used)
        return [int(alert.about["percent"]) for alert in self.told]


def test_each_percentage_of_a_budget_is_told_once() -> None:
    watch = Watch(budget(at=(50, 80)))
    assert [watch.uses(used) for used in (499, 500, 799, 800, 1_000, 1_200)] == [
        [],
        [50],
        [],
        [80],
        [100],
        [],
    ]


def test_percentages_that_are_passed_at_once_are_all_told() -> None:
    assert Watch(budget(at=(50, 80))).uses(2_000) == [50, 80, 100]


def test_an_alert_names_the_budget_with_its_numbers_and_its_period() -> None:
    watch = Watch(budget(at=(50,), name="team-a", unit="usd", limit=2 * 10**9))
    assert watch.uses(10**9) == [50]
    [alert] = watch.told
    assert (alert.kind, alert.tenant, alert.at) == ("budget.reached", "t1", NOW)
    assert alert.about == {
        "budget_id": "bud_1",
        "name": "team-a",
        "unit": "usd",
        "percent": 50,
        "used": "1",
        "limit": "2",
        "period_start": "2026-12-01T00:00:00.000Z",
        "resets_at": "2027-01-01T00:00:00.000Z",
    }


def test_a_budget_that_only_counts_is_told_by_its_own_limit() -> None:
    assert Watch(budget(at=(50,), on_spent="alert")).uses(500) == [50]


def test_a_raised_limit_counts_from_the_next_request_on() -> None:
    watch = Watch(budget(at=(50,)))
    watch.admit(budget(at=(50,), limit=2_000))
    assert [watch.uses(used) for used in (500, 1_000)] == [[], [50]]


def test_a_budget_that_no_request_has_named_is_not_told() -> None:
    assert Watch(budget(at=(50,))).uses(900, "other") == []


def test_the_fullest_budgets_of_the_present_periods_are_shown() -> None:
    watch = Watch(
        budget("a"), budget("b"), budget("none", limit=0, on_spent="alert"), budget("day", period="day")
    )
    watch.uses(100, "a")
    watch.uses(700, "b")
    assert watch.ratios(2) == [("acme", "b", 0.7), ("acme", "a", 0.1)]
    assert [name for _, name, _ in watch.ratios(9)] == ["b", "a", "day"]
    watch.seconds += 86_400
    assert [name for _, name, _ in watch.ratios(9)] == ["b", "a"]


@pytest.mark.parametrize("used", [0, 10])
def test_a_budget_of_nothing_is_reached_with_the_first_settle(used: int) -> None:
    assert Watch(budget(limit=0, on_spent="alert")).uses(used) == [100]
