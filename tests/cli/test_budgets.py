"""Budgets are listed, increased and reset from the shell."""

import pytest

from tests.admin_app.world import Api, Tenant, World
from tests.cli.conftest import Shell

BEGIN = 1_798_761_600


@pytest.fixture
def budget(api: Api, tenant: Tenant) -> str:
    sent = {"name": "monthly", "limit": {"usd": "250"}, "period": "month"}
    return str(api.create(f"{tenant.url}/budgets", sent)["id"])


def test_budgets_are_listed_with_what_they_have_counted(shell: Shell, budget: str, world: World) -> None:
    world.budgets.counted[f"{budget}:{BEGIN}"] = (12 * 10**9, 0, 0)
    for command in ("budgets list", "get budgets"):
        listed = shell.run(*command.split(), "-t", "acme").out
        assert "monthly" in listed
        assert "12 USD" in listed
    [one] = shell.run("get", "budgets", "-t", "acme", "-o", "json").json["budgets"]
    assert one["state"]["remaining"] == "238"
    assert shell.run("get", "budgets", "monthly", "-t", "acme", "-o", "name").out == "monthly\n"


def test_budget_is_increased_in_its_unit(shell: Shell, api: Api, tenant: Tenant, budget: str) -> None:
    ended = shell.run("budgets", "increase", "monthly", "50.5", "-t", "acme", "-m", "A launch.")
    assert ended.out == "The limit of the budget monthly is 300.5 USD now.\n"
    assert api.get(f"{tenant.url}/budgets/{budget}").get_json()["state"]["limit"] == "300.5"
    assert api.get("/audit").get_json()["entries"][0]["message"] == "A launch."
    api.create(f"{tenant.url}/budgets", {"name": "t", "limit": {"tokens": 5}, "period": "day"})
    changed = shell.run(
        "budgets", "increase", "t", "7", "-t", "acme", "--until", "2027-02-01T00:00:00Z", "-o", "json"
    )
    assert changed.json["increases"][0]["tokens"] == 7
    assert "1.5 is not a whole number." in shell.fails(1, "budgets", "increase", "t", "1.5", "-t", "acme")
    assert "Must be more than 0." in shell.fails(1, "budgets", "increase", "t", "0", "-t", "acme")
    shell.fails(4, "budgets", "increase", "nothing", "1", "-t", "acme")


def test_budget_is_reset_after_a_question(shell: Shell, budget: str, world: World) -> None:
    world.budgets.counted[f"{budget}:{BEGIN}"] = (12 * 10**9, 0, 0)
    assert "Nobody can be asked" in shell.fails(1, "budgets", "reset", "monthly", "-t", "acme")
    ended = shell.run("budgets", "reset", "monthly", "-t", "acme", "--yes")
    assert ended.out == "The budget monthly begins again. Until now it had used 12 USD.\n"
    assert (
        shell.run("budgets", "reset", "monthly", "-t", "acme", "--yes", "-o", "json").json["state"]["used"]
        == "0"
    )


def test_tenant_does_not_increase_a_budget_of_the_platform(shell: Shell, tenant: Tenant, budget: str) -> None:
    shell.variables["GW_TOKEN"] = tenant.key
    assert "Only the platform" in shell.fails(1, "budgets", "increase", "monthly", "5")
