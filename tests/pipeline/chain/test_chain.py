"""The plugins that run for a rule: the entries of its chain, and the problems of one of them."""

from dataclasses import replace

import pytest

from shared.core.errors import Invalid
from shared.model.config import PluginConfig, Rule, Stage, Tier
from shared.model.messages import Exchange
from shared.model.sealed import Sealed
from shared.pipeline.chain import (
    ChainEntry,
    ParsedOnce,
    budget_entry,
    effective_chain,
    masked,
    parse_entry,
    resolve_chain,
)
from shared.pipeline.plugin import Plugin
from tests.pipeline.catalogue import CATALOGUE, RULE, TENANT, Asking, config, placed


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


def test_the_entry_of_budgets_runs_behind_all_others() -> None:
    def begin(exchange: Exchange, id: str, now: float) -> None:
        return None

    found = budget_entry({"rate_limiter": Asking}, "t1", "r1", begin)
    assert (found.stage, found.origin, found.begin_admission) == (Stage.PRE_REQUEST, "budgets", begin)
    assert found.priority == 1000


class TestParseChain:
    def test_entries_carry_what_was_configured(self) -> None:
        chain = [
            placed("asking", "tenant", Stage.PRE_RESPONSE, settings={"limit": 3}, priority=7, parallel=True),
            placed("counting", on_error="local", timeout=2.5, mode="shadow"),
        ]
        asking, counting = resolve_chain(chain, TENANT, RULE, CATALOGUE)
        assert isinstance(asking.plugin, Asking)
        assert asking.plugin.limit == 3
        assert (asking.stage, asking.priority, asking.parallel) == (Stage.PRE_RESPONSE, 7, True)
        assert (asking.is_shadow, counting.is_shadow) == (False, True)
        assert (asking.origin, asking.tenant_id, asking.rule_id) == ("tenant", "t1", "r1")
        assert (counting.origin, counting.on_error, counting.timeout) == ("rule", "local", 2.5)

    def test_a_disabled_entry_is_left_out_but_must_be_right(self) -> None:
        assert resolve_chain([placed("reader", enabled=False)], TENANT, RULE, CATALOGUE) == []
        with pytest.raises(Invalid):
            resolve_chain([placed("asking", enabled=False)], TENANT, RULE, CATALOGUE)

    def test_secrets_of_an_entry_are_opened_by_the_given_function(self) -> None:
        def parse(kind: type[Plugin], entry: PluginConfig) -> Plugin:
            return kind.parse({**entry.settings, "headers": {"X-Key": "opened"}})

        chain = [placed("asking", settings={"limit": 1, "headers": {"X-Key": Sealed("#")}})]
        [entry] = resolve_chain(chain, TENANT, RULE, CATALOGUE, parse)
        assert isinstance(entry.plugin, Asking)
        assert entry.plugin.headers == {"X-Key": "opened"}

    def test_secrets_of_an_entry_with_problems_stay_sealed(self) -> None:
        def parse(kind: type[Plugin], entry: PluginConfig) -> Plugin:
            raise AssertionError(entry)

        chain = [placed("asking", on_error="local", settings={"limit": 1})]
        with pytest.raises(Invalid, match=r"^/plugin_chain/0/on_error: "):
            resolve_chain(chain, TENANT, RULE, CATALOGUE, parse)

    def test_entry_that_exceeds_the_weight_of_the_chain_is_named(self) -> None:
        with pytest.raises(Invalid) as caught:
            resolve_chain([placed("heavy"), placed("heavy", enabled=False)], TENANT, RULE, CATALOGUE)
        assert [problem.pointer for problem in caught.value.problems] == [
            f"{placed('heavy').pointer}/settings"
        ]

    def test_invalid_entry_is_named_with_all_its_problems(self) -> None:
        with pytest.raises(Invalid) as caught:
            resolve_chain([placed("asking", on_error="local")], TENANT, RULE, CATALOGUE)
        pointers = [problem.pointer for problem in caught.value.problems]
        assert pointers == ["/plugin_chain/0/on_error", "/plugin_chain/0/settings/limit"]


def test_secrets_need_not_be_opened_to_be_checked() -> None:
    sealed = config("asking", settings={"limit": 1, "headers": {"X-Key": Sealed("#"), "X-Plain": "p"}})
    assert masked(sealed) == {"limit": 1, "headers": {"X-Key": "sealed", "X-Plain": "p"}}
    assert parse_entry(ChainEntry(sealed, "rule", ""), TENANT, CATALOGUE).problems == ()


def test_checks_of_one_change_share_what_an_entry_was_parsed_to() -> None:
    parse, entry = ParsedOnce(), config("asking", settings={"limit": 1})
    assert parse(Asking, entry) is parse(Asking, entry)
    assert parse(Asking, replace(entry)) is not parse(Asking, entry)


def test_checks_of_one_change_share_what_is_wrong_with_an_entry() -> None:
    parse, wrong = ParsedOnce(), placed("asking", settings={"limit": "one"})
    found = [parse_entry(wrong, TENANT, CATALOGUE, parse).problems for _ in range(2)]
    assert [one.pointer for one in found[0]] == ["/plugin_chain/0/settings/limit"]
    assert found[0] == found[1]


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
            (placed("asking", settings={"limit": "1"}), "settings/limit", "Must be a whole number."),
            (placed("asking", settings={"limit": 1, "headers": {"X-A": 1}}), "settings/headers/X-A",
             "Must be text."),
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
