"""What is refused when a rule or a tenant is saved, and where in the sent document the fault is shown."""

from dataclasses import replace
from typing import Any

import pytest

from shared.model.config import Rule, Stage, Tenant
from shared.pipeline import check_rule, check_tenant
from tests.pipeline.catalogue import CATALOGUE, config

TENANT = Tenant("t1", "T", "t1")
RULE = Rule("r1", "/v1", "http://upstream.example")
JUDGE = {"head_reader": config("head_reader")}


def tenant(*chain: Any, **more: Any) -> Tenant:
    return replace(TENANT, plugin_chain=chain, **more)


def rule(*chain: Any, **more: Any) -> Rule:
    return replace(RULE, plugin_chain=chain, **more)


def of_rule(owner: Tenant, saved: Rule) -> list[str]:
    return [problem.pointer for problem in check_rule(owner, saved, CATALOGUE)]


def of_tenant(saved: Tenant, *rules: Rule) -> list[tuple[str, bool]]:
    """Each problem's pointer, and whether it names the rule."""
    return [
        (problem.pointer, "ule r1: " in problem.detail) for problem in check_tenant(saved, rules, CATALOGUE)
    ]


class TestWeight:
    def test_the_rules_entry_with_which_its_chain_weighs_too_much_is_named(self) -> None:
        assert of_rule(TENANT, rule(config("heavy"))) == []
        assert of_rule(TENANT, rule(config("heavy"), config("heavy"), config("heavy"))) == ["/plugin_chain/1"]
        assert of_rule(tenant(config("heavy")), rule(config("heavy"))) == ["/plugin_chain/0"]

    def test_entries_in_shadow_mode_and_disabled_ones_weigh_for_they_are_compiled_too(self) -> None:
        assert of_rule(TENANT, rule(config("heavy"), config("heavy", mode="shadow"))) == ["/plugin_chain/1"]
        assert of_rule(TENANT, rule(config("heavy"), config("heavy", enabled=False))) == ["/plugin_chain/1"]

    def test_what_follows_the_entry_that_is_too_much_is_not_compiled(self) -> None:
        wrong = config("heavy", settings={"weight": "none"})
        assert of_rule(TENANT, rule(config("heavy"), wrong)) == ["/plugin_chain/1/settings/weight"]
        assert of_rule(TENANT, rule(config("heavy"), config("heavy"), wrong)) == ["/plugin_chain/1"]

    def test_a_tenants_entries_are_weighed_alone_and_with_each_rule(self) -> None:
        assert of_tenant(tenant(config("heavy"), config("heavy"))) == [("/plugin_chain/1", False)]
        assert of_tenant(tenant(config("heavy")), rule(config("heavy"))) == [("/required_plugins", True)]


class TestRule:
    def test_chains_that_work_are_saved(self) -> None:
        owner = tenant(config("head_reader"), required_plugins=JUDGE)
        assert of_rule(owner, rule(config("reader"), config("counting"))) == []

    def test_its_own_faults_are_shown_at_its_entries(self) -> None:
        assert of_rule(TENANT, rule(config("reader"), config("nobody"), config("asking"))) == [
            "/plugin_chain/1/name",
            "/plugin_chain/2/settings/limit",
        ]

    def test_a_clash_with_the_tenants_chain_is_shown_at_the_rules_entry(self) -> None:
        owner = tenant(config("head_reader", parallel=True))
        assert of_rule(owner, rule(config("head_writer", parallel=True))) == ["/plugin_chain/0"]
        assert of_rule(tenant(required_plugins=JUDGE), rule(config("reader"), config("head_writer"))) == [
            "/plugin_chain/1"
        ]

    def test_a_fault_of_the_tenants_entry_is_shown_where_the_rule_meets_it(self) -> None:
        owner = tenant(config("head_writer", parallel=True))
        assert of_rule(owner, rule(config("head_reader", parallel=True))) == ["/plugin_chain"]
        owner = tenant(config("reader", Stage.PRE_RESPONSE))
        assert of_rule(owner, rule(streams="pass")) == ["/streams"]
        assert of_rule(owner, rule(streams="buffer")) == []

    def test_what_is_wrong_with_the_tenant_alone_is_not_the_rules_affair(self) -> None:
        owner = tenant(config("nobody"), config("asking"), required_plugins=JUDGE)
        assert of_rule(owner, rule(config("reader"))) == []
        assert of_rule(owner, rule(config("head_writer"))) == ["/plugin_chain/0"]

    def test_what_is_not_enabled_for_the_tenant_is_refused(self) -> None:
        owner = tenant(enabled_plugins=("head_reader",))
        assert of_rule(owner, rule(config("head_reader"), config("reader"))) == ["/plugin_chain/1/name"]


class TestTenant:
    def test_chains_that_work_are_saved(self) -> None:
        saved = tenant(config("head_reader"), required_plugins=JUDGE)
        assert of_tenant(saved, rule(config("reader"))) == []

    def test_its_own_faults_come_first(self) -> None:
        saved = tenant(config("nobody"), required_plugins={"asking": config("asking")})
        assert of_tenant(saved, rule(config("nobody"))) == [
            ("/required_plugins/asking/settings/limit", False),
            ("/plugin_chain/0/name", False),
        ]

    def test_clashes_in_its_own_chain_are_told_without_any_rule(self) -> None:
        saved = tenant(config("head_writer"), required_plugins=JUDGE)
        assert of_tenant(saved) == [("/plugin_chain/0", False)]

    def test_streams_are_the_rules_affair(self) -> None:
        assert of_tenant(tenant(config("reader", Stage.PRE_RESPONSE))) == []

    @pytest.mark.parametrize(
        ("saved", "stored", "pointer"),
        [
            (tenant(config("reader", Stage.PRE_RESPONSE)), rule(streams="pass"), "/plugin_chain/0"),
            (tenant(required_plugins=JUDGE), rule(config("head_writer")), "/required_plugins"),
            (tenant(config("head_writer", parallel=True)), rule(config("head_reader", parallel=True)),
             "/plugin_chain/0"),
            (tenant(enabled_plugins=()), rule(config("reader")), "/enabled_plugins"),
        ],
    )  # fmt: skip
    def test_a_tenant_that_breaks_a_stored_rule_names_it(
        self, saved: Tenant, stored: Rule, pointer: str
    ) -> None:
        harmless = rule(streams="buffer")
        assert of_tenant(saved, harmless, stored) == [(pointer, True)]

    def test_a_rule_that_is_broken_anyway_does_not_lock_its_tenant(self) -> None:
        stored = rule(config("nobody"), config("head_writer"))
        assert of_tenant(tenant(required_plugins=JUDGE, enabled_plugins=()), stored) == []
