"""The names of the platform that tenants use, and the tenants that a change of the platform concerns."""

from dataclasses import replace
from typing import Any

import pytest

from shared.core.errors import NamesInUse
from shared.model.budgets import Budget, BudgetScope
from shared.model.config import Rule, Snapshot, Tenant
from shared.model.platform_change import PlatformChanges
from shared.model.providers import (
    AiRule,
    Discovered,
    Model,
    ModelTarget,
    PlatformDocument,
    Provider,
    Shared,
)
from shared.model.uses import model_use, provider_use, uses_of, uses_offered

EVERYONE = Shared(all=True)
MAIN = Provider("prv_1", "main", "openai", shared=EVERYONE)
FAST = Model("fast", (ModelTarget(provider="main", model="m"),), shared=EVERYONE)
BEFORE = PlatformDocument((MAIN,), (FAST,))


def tenant(number: int = 1, own: Any = (), models: Any = (), **ai: Any) -> Snapshot:
    """A tenant with one rule for AI."""
    made = Tenant(f"ten_{number}", "T", f"t{number}", providers=own, models=models)
    return Snapshot(made, (Rule("r1", "/v1", "", ai=AiRule(**ai)), Rule("r2", "/x", "http://x")))


def test_a_tenant_uses_the_names_that_its_document_has_and_does_not_define() -> None:
    own = (Provider("prv_2", "own", "openai"),)
    models = (
        Model("mine", (ModelTarget(provider="main", model="m"), ModelTarget(provider="own", model="n"))),
    )
    found = uses_of(tenant(own=own, models=models, providers=("own", "other"), default_model="fast"))
    assert found == {provider_use("main"), provider_use("other"), model_use("fast")}


def test_a_glob_is_no_use_and_a_name_with_a_slash_may_be_one_of_a_provider() -> None:
    snapshot = tenant()
    rule = replace(snapshot.rules[0], ai=AiRule(models=("gpt-*", "main/m")))
    assert uses_of(replace(snapshot, rules=(rule,))) == {model_use("main/m"), provider_use("main")}
    assert uses_offered(BEFORE) == {provider_use("main"), model_use("fast")}


def test_budget_uses_its_provider_and_the_model_that_it_goes_on_with() -> None:
    plain = Budget(id="bud_1", name="all", unit="usd", limit=1, period="day")
    scoped = replace(plain, scope=BudgetScope(provider="main", model="gpt-*"), downgrade_to="other/m")
    snapshot = Snapshot(Tenant("ten_1", "T", "t1", budgets=(plain, scoped)))
    assert uses_of(snapshot) == {provider_use("main"), provider_use("other"), model_use("other/m")}


def test_names_in_use_are_told_with_their_tenants() -> None:
    error = NamesInUse({provider_use("main"): ["ten_1", "ten_2"]})
    assert "provider main is used by ten_1, ten_2" in str(error)
    assert error.users == {"provider:main": ["ten_1", "ten_2"]}


def concerned(after: PlatformDocument, *snapshots: Snapshot) -> list[str]:
    return PlatformChanges(BEFORE, after).concerned(snapshots)


def test_the_same_document_concerns_nobody() -> None:
    assert not PlatformChanges(BEFORE, BEFORE)
    assert concerned(BEFORE, tenant()) == []


@pytest.mark.parametrize(
    "after",
    [
        replace(BEFORE, prices={"openai/m": {"input": "1"}}),
        replace(BEFORE, providers=(replace(MAIN, enabled=False),)),
        replace(BEFORE, providers=()),
        replace(BEFORE, models=(replace(FAST, description="x"),)),
        replace(BEFORE, discovered={"prv_1": Discovered(("m",), 1.0)}),
    ],
)
def test_a_change_concerns_the_tenants_that_may_use_what_changed(after: PlatformDocument) -> None:
    plain = Snapshot(Tenant("ten_9", "T", "t9"), (Rule("r", "/", "http://x"),))
    assert PlatformChanges(BEFORE, after)
    assert concerned(after, tenant(1), tenant(2, providers=("main",)), plain) == ["ten_1", "ten_2"]


def test_a_change_does_not_concern_a_tenant_with_its_own_or_without_a_share() -> None:
    after = replace(BEFORE, providers=(replace(MAIN, enabled=False),), models=())
    own = tenant(1, own=(Provider("prv_2", "main", "openai"),), models=(replace(FAST, shared=Shared()),))
    assert concerned(after, own) == []
    only = PlatformDocument((replace(MAIN, shared=Shared(tenants=("ten_7",))),))
    changes = PlatformChanges(only, replace(only, providers=(replace(only.providers[0], enabled=False),)))
    assert changes.concerned([tenant(1), tenant(7)]) == ["ten_7"]


def test_a_tenant_that_names_other_providers_is_not_concerned() -> None:
    only = PlatformDocument((MAIN,))
    changes = PlatformChanges(only, replace(only, providers=(replace(MAIN, enabled=False),)))
    own = (Provider("prv_2", "own", "openai"),)
    assert changes.concerned([tenant(1, own=own, providers=("own",))]) == []


def test_a_share_includes_tenants_and_tiers_and_a_model_has_its_name_as_id() -> None:
    assert Shared(tiers=("pro",)).includes("ten_1", "pro")
    assert not Shared(tenants=("ten_2",)).includes("ten_1", "pro")
    assert FAST.id == "fast"
