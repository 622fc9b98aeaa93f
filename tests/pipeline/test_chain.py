"""What runs for a rule, what cannot work where it stands, and what is refused when a rule or a tenant is saved."""

from dataclasses import replace
from typing import Any

import pytest

from shared.core.errors import Invalid
from shared.model.config import PluginConfig, Rule, Sealed, Stage, Tenant, Tier
from shared.pipeline.chain import (
    ChainEntry,
    Conflict,
    check_together,
    effective_chain,
    masked,
    parse_chain,
    parse_entry,
    resolve_chain,
)
from shared.pipeline.check import chain_warnings, check_rule, check_tenant
from tests.pipeline.catalogue import CATALOGUE, Asking, config

TENANT = Tenant("t1", "T", "t1")
RULE = Rule("r1", "/v1", "http://upstream.example")


def placed(name: str, origin: str = "rule", stage: Stage = Stage.PRE_REQUEST, **more: Any) -> ChainEntry:
    return ChainEntry(config(name, stage, **more), origin, "/plugin_chain/0")


class TestEffectiveChain:
    def test_chain_is_in_the_order_tier_required_tenant_rule(self) -> None:
        tenant = replace(
            TENANT,
            required_plugins={"a/b~c": config("reader"), "counting": config("counting")},
            plugin_chain=(config("asking"), config("reader")),
        )
        rule = replace(RULE, plugin_chain=(config("head_reader"),))
        limits = {"global": {"limit": 1, "window": "1m"}}
        chain = effective_chain(tenant, rule, Tier("basic", limits=limits))
        assert (chain[0].config.settings, chain[0].config.priority) == ({"limits": limits}, -1)
        assert [(item.config.name, item.origin, item.pointer) for item in chain] == [
            ("rate_limiter", "tier", ""),
            ("reader", "required", "/required_plugins/a~1b~0c"),
            ("counting", "required", "/required_plugins/counting"),
            ("asking", "tenant", "/plugin_chain/0"),
            ("reader", "tenant", "/plugin_chain/1"),
            ("head_reader", "rule", "/plugin_chain/0"),
        ]

    @pytest.mark.parametrize("tier", [None, Tier("enterprise")])
    @pytest.mark.parametrize("rule", [None, RULE])
    def test_chain_without_configured_entries_is_empty(self, tier: Tier | None, rule: Rule | None) -> None:
        assert effective_chain(TENANT, rule, tier) == []


class TestParseChain:
    def test_entries_carry_what_was_configured(self) -> None:
        chain = [
            placed("asking", "tenant", Stage.PRE_RESPONSE, settings={"limit": 3}, priority=7, parallel=True),
            placed("counting", on_error="local", timeout=2.5, mode="shadow"),
        ]
        asking, counting = resolve_chain(chain, TENANT, "r1", CATALOGUE)
        assert isinstance(asking.plugin, Asking)
        assert asking.plugin.limit == 3
        assert (asking.stage, asking.priority, asking.parallel) == (Stage.PRE_RESPONSE, 7, True)
        assert (asking.is_shadow, counting.is_shadow) == (False, True)
        assert (asking.origin, asking.tenant_id, asking.rule_id) == ("tenant", "t1", "r1")
        assert (counting.origin, counting.on_error, counting.timeout) == ("rule", "local", 2.5)

    def test_a_disabled_entry_is_left_out_but_must_be_right(self) -> None:
        assert resolve_chain([placed("reader", enabled=False)], TENANT, "r1", CATALOGUE) == []
        with pytest.raises(Invalid):
            resolve_chain([placed("asking", enabled=False)], TENANT, "r1", CATALOGUE)

    def test_secrets_of_an_entry_are_opened_by_the_given_function(self) -> None:
        def unseal(entry: PluginConfig) -> dict[str, Any]:
            return {**entry.settings, "headers": {"X-Key": "opened"}}

        chain = [placed("asking", settings={"limit": 1, "headers": {"X-Key": Sealed("#")}})]
        [entry] = resolve_chain(chain, TENANT, "r1", CATALOGUE, unseal)
        assert isinstance(entry.plugin, Asking)
        assert entry.plugin.headers == {"X-Key": "opened"}

    def test_secrets_of_an_entry_with_problems_stay_sealed(self) -> None:
        def unseal(entry: PluginConfig) -> dict[str, Any]:
            raise AssertionError(entry)

        chain = [placed("asking", on_error="local", settings={"limit": 1})]
        with pytest.raises(Invalid, match=r"^/plugin_chain/0/on_error: "):
            resolve_chain(chain, TENANT, "r1", CATALOGUE, unseal)

    def test_entry_that_exceeds_the_weight_of_the_chain_is_named(self) -> None:
        with pytest.raises(Invalid) as caught:
            resolve_chain([placed("heavy"), placed("heavy", enabled=False)], TENANT, "r1", CATALOGUE)
        assert [problem.pointer for problem in caught.value.problems] == [
            f"{placed('heavy').pointer}/settings"
        ]

    def test_invalid_entry_is_named_with_all_its_problems(self) -> None:
        with pytest.raises(Invalid) as caught:
            resolve_chain([placed("asking", on_error="local")], TENANT, "r1", CATALOGUE)
        pointers = [problem.pointer for problem in caught.value.problems]
        assert pointers == ["/plugin_chain/0/on_error", "/plugin_chain/0/settings/limit"]


def test_secrets_need_not_be_opened_to_be_checked() -> None:
    sealed = config("asking", settings={"limit": 1, "headers": {"X-Key": Sealed("#"), "X-Plain": "p"}})
    assert masked(sealed) == {"limit": 1, "headers": {"X-Key": "sealed", "X-Plain": "p"}}
    assert parse_entry(ChainEntry(sealed, "rule", ""), TENANT, CATALOGUE).problems == ()


class TestEntry:
    @pytest.mark.parametrize(
        ("item", "pointer", "detail"),
        [
            (placed("asking_"), "name", "There is no plugin asking_. There are: asking, body_writer, counting,"
             " head_reader, head_writer, heavy, reader, streaming. Did you mean asking?"),
            (placed("xyz"), "name", "There is no plugin xyz. There are: asking, body_writer, counting,"
             " head_reader, head_writer, heavy, reader, streaming."),
            (placed("counting", stage=Stage.PRE_RESPONSE), "stage",
             "counting cannot act at pre_response, only at: pre_request."),
            (placed("counting", on_error="open"), "on_error",
             "counting has no on_error open. Allowed: closed, local."),
            (placed("counting", parallel=True), "parallel",
             "counting merges its entries and cannot run in parallel. Set parallel to false."),
            (placed("asking", settings={"limit": "1"}), "settings/limit", "Not a valid integer."),
            (placed("asking", settings={"limit": 1, "headers": {"X-A": 1}}), "settings/headers/X-A",
             "Not a valid string."),
        ],
    )  # fmt: skip
    def test_wrong_entry_is_named_with_the_way_out(self, item: ChainEntry, pointer: str, detail: str) -> None:
        [problem] = parse_entry(item, TENANT, CATALOGUE).problems
        assert (problem.pointer, problem.detail) == (f"/plugin_chain/0/{pointer}", detail)

    @pytest.mark.parametrize(
        ("allowed", "listed"), [((), "none"), (("asking", "counting"), "asking, counting")]
    )
    def test_entry_of_a_tenant_or_rule_needs_an_enabled_plugin(
        self, allowed: tuple[str, ...], listed: str
    ) -> None:
        tenant = replace(TENANT, enabled_plugins=allowed)
        for origin in ("tenant", "rule"):
            [problem] = parse_entry(placed("reader", origin), tenant, CATALOGUE).problems
            assert problem.pointer == "/plugin_chain/0/name"
            assert f"enabled_plugins: {listed}." in problem.detail
        for origin in ("tier", "required"):
            assert parse_entry(placed("reader", origin), tenant, CATALOGUE).problems == ()

    def test_entry_whose_plugin_gives_no_reason_is_rejected(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def prepare(self: Asking) -> None:
            raise Invalid([])

        monkeypatch.setattr(Asking, "prepare", prepare)
        [problem] = parse_entry(placed("asking", settings={"limit": 1}), TENANT, CATALOGUE).problems
        assert problem.pointer == "/plugin_chain/0/settings"
        assert problem.detail == "asking cannot work with these settings."

    def test_entry_is_reported_with_all_its_problems(self) -> None:
        item = placed("counting", stage=Stage.POST_REQUEST, on_error="open", parallel=True, settings={"x": 1})
        pointers = [
            problem.pointer.rpartition("0/")[2] for problem in parse_entry(item, TENANT, CATALOGUE).problems
        ]
        assert pointers == ["stage", "on_error", "parallel", "settings/x"]


def problems_together(*chain: ChainEntry, streams: str = "buffer") -> list[Conflict]:
    return check_together(list(parse_chain(chain, TENANT, CATALOGUE)), streams)


def together(*chain: ChainEntry, streams: str = "buffer") -> list[str]:
    """The names of the entries at fault."""
    found = problems_together(*chain, streams=streams)
    assert all(one.why.endswith(".") for one in found)
    return [one.entry.config.name for one in found]


class TestParallelGroups:
    @pytest.mark.parametrize(
        ("first", "second", "culprit"),
        [
            ("reader", "head_reader", []),
            ("head_reader", "body_writer", []),
            ("head_writer", "body_writer", []),
            ("head_writer", "head_reader", ["head_writer"]),
            ("head_reader", "head_writer", ["head_writer"]),
            ("reader", "body_writer", ["body_writer"]),
            ("head_writer", "head_writer", ["head_writer"]),
        ],
    )
    def test_parallel_entry_that_changes_input_of_another_is_rejected(
        self, first: str, second: str, culprit: list[str]
    ) -> None:
        assert together(placed(first, parallel=True), placed(second, parallel=True)) == culprit

    @pytest.mark.parametrize(
        "other",
        [
            {"parallel": False},
            {"parallel": True, "priority": 5},
            {"parallel": True, "stage": Stage.POST_REQUEST},
            {"parallel": True, "origin": "required"},
            {"parallel": True, "enabled": False},
            {"parallel": True, "mode": "shadow"},
        ],
    )
    def test_parallel_entries_of_different_groups_are_accepted(self, other: dict[str, Any]) -> None:
        first = placed("head_writer", stage=Stage.PRE_RESPONSE, parallel=True)
        second = placed("head_reader", **{"stage": Stage.PRE_RESPONSE, **other})
        assert together(first, second) == []

    def test_two_of_different_origin_meet_in_one_group(self) -> None:
        assert together(
            placed("head_reader", "tenant", parallel=True), placed("head_writer", "rule", parallel=True)
        ) == ["head_writer"]


OUT, HEAD, BODY, END = Stage


class TestRequiredEntries:
    @pytest.mark.parametrize(
        ("judge", "stage", "rejected"),
        [
            (OUT, OUT, True), (OUT, HEAD, False), (OUT, BODY, False), (OUT, END, False),
            (HEAD, OUT, False), (HEAD, HEAD, True), (HEAD, BODY, True), (HEAD, END, False),
            # They stand last there, and judge what the others made.
            (BODY, OUT, False), (BODY, HEAD, False), (BODY, BODY, False), (BODY, END, False),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("origin", ["tenant", "rule"])
    def test_only_a_writer_that_changes_judged_data_is_rejected(
        self, judge: Stage, stage: Stage, rejected: bool, origin: str
    ) -> None:
        chain = placed("head_reader", "required", judge), placed("head_writer", origin, stage)
        assert together(*chain) == (["head_writer"] if rejected else [])


@pytest.mark.parametrize("name", ["reader", "body_writer"])
def test_an_entry_that_needs_whole_responses_works_only_where_streams_are_collected(name: str) -> None:
    item = placed(name, stage=Stage.PRE_RESPONSE)
    assert together(item, streams="pass") == [name]
    assert together(item, streams="buffer") == []
    [(_, why, at)] = problems_together(item, streams="pass")
    assert why.endswith('Set the rule\'s "streams" to "buffer".')
    assert at == ""


def test_an_entry_that_judges_events_works_on_streams_unless_its_settings_need_the_whole() -> None:
    item = placed("streaming", stage=Stage.PRE_RESPONSE, settings={"whole": True})
    [(_, why, at)] = problems_together(item, streams="pass")
    assert why.startswith(
        "streaming has a setting that needs it, but this rule forwards streams event by event. "
        "Set whole to false, or set the rule's"
    )
    assert at == "/settings/whole"
    assert together(item, streams="buffer") == []


@pytest.mark.parametrize(
    "chain",
    [
        (placed("head_reader", "required", mode="shadow"), placed("head_writer")),
        (placed("head_reader", "required"), placed("head_writer", mode="shadow")),
        (placed("head_reader", "required"), placed("body_writer")),
        (placed("head_writer", "required"), placed("reader", "required")),
        (placed("reader", stage=Stage.PRE_RESPONSE, mode="shadow"),),
        (placed("head_reader", stage=Stage.PRE_RESPONSE),),
        (placed("reader", stage=Stage.PRE_REQUEST),),
        (placed("streaming", stage=Stage.PRE_RESPONSE),),
    ],
    ids=["a shadow does not judge", "a shadow does not change", "changes what is not read", "both required",
         "a shadow sees what has passed", "the head is there at once", "a request", "judges events"],
)  # fmt: skip
def test_entries_that_do_not_disturb_each_other_work_on_streams(chain: tuple[ChainEntry, ...]) -> None:
    assert together(*chain, streams="pass") == []


def test_entries_that_disturb_each_other_are_both_named() -> None:
    [(_, why, _)] = problems_together(placed("head_writer", parallel=True), placed("reader", parallel=True))
    assert why == (
        "head_writer and reader run at the same time, but one changes the headers that the other uses. "
        "Give them different priorities."
    )
    [(_, why, _)] = problems_together(placed("reader", "required"), placed("head_writer"))
    assert why == "head_writer changes the headers that the required reader has judged before it."


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
