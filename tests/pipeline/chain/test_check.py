"""The chains of a rule or a tenant, checked when it is saved."""

from dataclasses import replace
from typing import Any

import pytest

from shared.model.config import Rule, Stage, Tenant
from shared.pipeline.check import chain_warnings, check_rule, check_tenant
from tests.pipeline.catalogue import CATALOGUE, RULE, TENANT, config

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

    def test_shadow_and_disabled_entries_weigh_as_compiled_ones_do(self) -> None:
        assert of_rule(TENANT, rule(config("heavy"), config("heavy", mode="shadow"))) == ["/plugin_chain/1"]
        assert of_rule(TENANT, rule(config("heavy"), config("heavy", enabled=False))) == ["/plugin_chain/1"]

    def test_entry_after_the_one_that_exceeds_the_weight_is_not_compiled(self) -> None:
        wrong = config("heavy", settings={"weight": "none"})
        assert of_rule(TENANT, rule(config("heavy"), wrong)) == ["/plugin_chain/1/settings/weight"]
        assert of_rule(TENANT, rule(config("heavy"), config("heavy"), wrong)) == ["/plugin_chain/1"]

    def test_a_tenants_entries_are_weighed_alone_and_with_each_rule(self) -> None:
        assert of_tenant(tenant(config("heavy"), config("heavy"))) == [("/plugin_chain/1", False)]
        assert of_tenant(tenant(config("heavy")), rule(config("heavy"))) == [("/required_plugins", True)]


def test_warnings_are_those_of_the_saved_document_with_their_places() -> None:
    owner = tenant(config("reader"), config("head_reader"), required_plugins={"a/b": config("head_reader")})
    saved = rule(config("head_writer"), config("head_reader"))
    told = [(warning.pointer, warning.detail) for warning in chain_warnings(owner, None, CATALOGUE)]
    assert told == [("/required_plugins/a~1b/settings/x", "Hm."), ("/plugin_chain/1/settings/x", "Hm.")]
    assert [one.pointer for one in chain_warnings(owner, saved, CATALOGUE)] == ["/plugin_chain/1/settings/x"]


class TestRule:
    def test_chains_that_work_are_saved(self) -> None:
        owner = tenant(config("head_reader"), required_plugins=JUDGE)
        assert of_rule(owner, rule(config("reader"), config("counting"))) == []

    def test_problem_of_a_rule_is_reported_at_its_entry(self) -> None:
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

    def test_fault_of_a_tenant_entry_is_reported_at_the_field_of_the_rule(self) -> None:
        owner = tenant(config("head_writer", parallel=True))
        assert of_rule(owner, rule(config("head_reader", parallel=True))) == ["/plugin_chain"]
        owner = tenant(config("reader", Stage.PRE_RESPONSE))
        assert of_rule(owner, rule(streams="pass")) == ["/streams"]
        assert of_rule(owner, rule(streams="buffer")) == []

    def test_rule_is_not_rejected_for_problems_of_the_tenant_alone(self) -> None:
        owner = tenant(config("nobody"), config("asking"), required_plugins=JUDGE)
        assert of_rule(owner, rule(config("reader"))) == []
        assert of_rule(owner, rule(config("head_writer"))) == ["/plugin_chain/0"]

    def test_rule_with_a_plugin_not_enabled_for_the_tenant_is_rejected(self) -> None:
        owner = tenant(enabled_plugins=("head_reader",))
        assert of_rule(owner, rule(config("head_reader"), config("reader"))) == ["/plugin_chain/1/name"]


class TestTenant:
    def test_chains_that_work_are_saved(self) -> None:
        saved = tenant(config("head_reader"), required_plugins=JUDGE)
        assert of_tenant(saved, rule(config("reader"))) == []

    def test_problems_of_a_tenant_are_reported_before_those_of_its_rules(self) -> None:
        saved = tenant(config("nobody"), required_plugins={"asking": config("asking")})
        assert of_tenant(saved, rule(config("nobody"))) == [
            ("/required_plugins/asking/settings/limit", False),
            ("/plugin_chain/0/name", False),
        ]

    def test_conflict_in_a_tenant_chain_is_reported_without_any_rule(self) -> None:
        saved = tenant(config("head_writer"), required_plugins=JUDGE)
        assert of_tenant(saved) == [("/plugin_chain/0", False)]

    def test_tenant_entry_that_needs_whole_responses_is_accepted(self) -> None:
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
    def test_tenant_that_breaks_a_stored_rule_names_the_rule(
        self, saved: Tenant, stored: Rule, pointer: str
    ) -> None:
        harmless = rule(streams="buffer")
        assert of_tenant(saved, harmless, stored) == [(pointer, True)]

    def test_a_rule_that_is_broken_anyway_does_not_lock_its_tenant(self) -> None:
        stored = rule(config("nobody"), config("head_writer"))
        assert of_tenant(tenant(required_plugins=JUDGE, enabled_plugins=()), stored) == []
