"""Differences between two states: with them one becomes the other, secrets stay hidden, and times do not count."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.config_store.records.contents import Content, Document, PlatformContent
from shared.documents.history.differences import (
    MAX_SUMMARY,
    Difference,
    content_differences,
    names_of,
    snapshot_differences,
    summary,
)
from shared.documents.rule import rule_document
from shared.model.budgets import Budget, BudgetScope
from shared.model.config import ApiKey, PluginConfig, Rule, Scope, Snapshot
from shared.model.providers import Model, ModelTarget, Provider, ProviderKey
from shared.model.sealed import Sealed
from tests.config_store.configurations import a_full_tenant, a_tenant, an_api_key, with_tenant

RULE = Rule("rule_1", "/v1", "https://u.example", headers={"Authorization": Sealed("v1.a")}, updated_at=1.0)
PROVIDER = Provider("prv_1", "own", "openai", keys=(ProviderKey(id="pk_1", name="k", secret=Sealed("v1.k")),))


def summary_of(differences: Sequence[Difference], *states: Snapshot | Content | None) -> str:
    return summary(differences, names_of(differences, *states))


SETTINGS = st.dictionaries(
    st.sampled_from(["a", "b/c", "~"]),
    st.recursive(
        st.integers(0, 2) | st.builds(Sealed, st.sampled_from(["v1.x", "v1.y"])) | st.none(),
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["k", "l"]), inner, max_size=2)
        ),
        max_leaves=4,
    ),
    max_size=2,
)
CHAINS = st.lists(st.builds(PluginConfig, st.sampled_from(["x", "y"]), settings=SETTINGS), max_size=2).map(
    tuple
)
RULES = st.lists(
    st.builds(
        Rule,
        st.sampled_from(["r1", "r/2"]),
        st.sampled_from(["/a", "/b"]),
        st.just("https://u.example"),
        headers=st.dictionaries(st.just("X"), st.builds(Sealed, st.sampled_from(["v1.x", "v1.y"]))),
        plugin_chain=CHAINS,
        updated_at=st.sampled_from([1.0, 2.0]),
    ),
    unique_by=lambda rule: rule.id,
    max_size=2,
).map(tuple)
MODELS = st.lists(
    st.builds(Model, st.just("m"), st.just((ModelTarget(provider="x", model="y"),))), max_size=1
).map(tuple)
DOCUMENTS = st.builds(
    Document,
    st.sampled_from(["Acme", "Beta"]),
    st.sampled_from(["basic", "pro"]),
    st.none() | st.just(("rate_limiter",)),
    st.just({}),
    CHAINS,
    rules=RULES,
    models=MODELS,
)


def shown(document: Document) -> dict[str, Any]:
    """The document as a reader of the API sees it, without times and ids."""
    rules = {rule.id: dict(rule_document(rule)) for rule in document.rules}
    for rule in rules.values():
        for name in ("id", "created_at", "updated_at"):
            del rule[name]
    [bare] = [content_differences(None, document.bare())]
    fields = {one["path"][1:]: one["after"] for one in bare}
    return {**fields, "rules": rules, "models": {model.name for model in document.models}}


def patched(value: Any, differences: Sequence[Difference]) -> Any:
    """A value with differences applied, which removes from lists at their end only."""
    for one in sorted(differences, key=lambda one: one["path"], reverse=True):
        if one["op"] == "remove" and one["path"].rpartition("/")[2].isdigit():
            value = patched_one(value, one)
    for one in differences:
        if not (one["op"] == "remove" and one["path"].rpartition("/")[2].isdigit()):
            value = patched_one(value, one)
    return value


def patched_one(value: Any, one: Difference) -> Any:
    *steps, last = (step.replace("~1", "/").replace("~0", "~") for step in one["path"][1:].split("/"))
    place = value
    for step in steps:
        place = place[int(step)] if isinstance(place, list) else place[step]
    after = one.get("after")
    if isinstance(after, dict) and after == {"set": True, "changed": True}:
        after = {"set": True}
    if isinstance(place, list):
        at = int(last)
        if one["op"] == "remove":
            del place[at]
        elif one["op"] == "add":
            place.insert(at, after)
        else:
            place[at] = after
    elif one["op"] == "remove":
        del place[last]
    elif isinstance(after, Mapping) and "created_at" in after:
        place[last] = {name: v for name, v in after.items() if name not in ("id", "created_at", "updated_at")}
    else:
        place[last] = after
    return value


@given(DOCUMENTS, DOCUMENTS)
def test_differences_make_one_document_of_the_other(before: Document, after: Document) -> None:
    found = [one for one in content_differences(before, after) if not one["path"].startswith("/models")]
    expected, result = shown(after), patched(shown(before), found)
    del expected["models"], result["models"]
    assert result == expected


def test_change_of_a_budget_names_its_members() -> None:
    budget = Budget(id="bud_1", name="monthly", unit="usd", limit=250 * 10**9, period="month")
    was = Document.of(with_tenant(a_tenant("acme"), budgets=(budget,)))
    scope = BudgetScope(user="ann", tags={"project": "x"})
    raised = replace(budget, limit=3 * 10**11, scope=scope, on_error="open", updated_at=9.0)
    now = replace(was, budgets=(raised,))
    assert content_differences(was, now) == [
        {"op": "add", "path": "/budgets/bud_1/scope/user", "after": "ann"},
        {"op": "add", "path": "/budgets/bud_1/scope/tag", "after": {"project": "x"}},
        {"op": "change", "path": "/budgets/bud_1/limit/usd", "before": "250", "after": "300"},
        {"op": "change", "path": "/budgets/bud_1/on_error", "before": "local", "after": "open"},
    ]
    assert summary_of(content_differences(was, now), was, now) == (
        "budget monthly changed (scope, limit, on_error)"
    )
    assert summary_of(content_differences(now, replace(now, budgets=())), now) == "budget monthly removed"


@given(DOCUMENTS)
def test_equal_documents_differ_in_nothing_whatever_their_times(document: Document) -> None:
    later = replace(document, rules=tuple(replace(rule, updated_at=9.0) for rule in document.rules))
    assert content_differences(document, later) == []


@given(DOCUMENTS, DOCUMENTS)
def test_no_secret_is_shown(before: Document, after: Document) -> None:
    assert "v1." not in str(content_differences(before, after))


def test_secret_that_was_stored_again_is_told_and_not_shown() -> None:
    was, now = (
        replace(a_tenant("acme"), rules=(replace(RULE, headers={"Authorization": Sealed(text)}),))
        for text in ("v1.a", "v1.b")
    )
    assert snapshot_differences(was, now, 0.0) == [
        {
            "op": "change",
            "path": "/rules/rule_1/headers/Authorization",
            "before": {"set": True},
            "after": {"set": True, "changed": True},
        }
    ]


def test_keys_status_and_subdomain_are_told() -> None:
    was = a_tenant("acme")
    now = replace(with_tenant(was, status="disabled", subdomain="new"), keys=(an_api_key("b"),))
    found = snapshot_differences(was, now, 0.0)
    assert [(one["op"], one["path"]) for one in found] == [
        ("change", "/status"),
        ("change", "/subdomain"),
        ("remove", "/api_keys/key-acme"),
        ("add", "/api_keys/key-b"),
    ]
    assert "pepper" not in str(found), "no hash of a key"


def test_new_and_deleted_tenants_differ_in_all_they_have() -> None:
    full = a_full_tenant("acme")
    added, removed = snapshot_differences(None, full, 0.0), snapshot_differences(full, None, 0.0)
    assert {one["op"] for one in added} == {"add"}
    assert {one["op"] for one in removed} == {"remove"}
    assert [one["path"] for one in added] == [one["path"] for one in removed]


def test_platforms_differ_in_providers_models_and_prices() -> None:
    one = PlatformContent((PROVIDER,), (), {"openai/m": {"input": "1"}})
    key = replace(PROVIDER.keys[0], secret=Sealed("v1.other"))
    other = PlatformContent((replace(PROVIDER, keys=(key,)),), (), {"openai/m": {"input": "2"}})
    assert [(found["op"], found["path"]) for found in content_differences(one, other)] == [
        ("change", "/providers/prv_1/keys/0/secret"),
        ("change", "/prices/openai~1m/input"),
    ]


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ({"name": "New"}, "name changed"),
        (
            {"rules": (replace(RULE, target="https://v.example", active=False),)},
            "rule /v1 changed (target, active)",
        ),
        ({"rules": ()}, "rule /v1 removed"),
        ({"rules": (RULE, replace(RULE, id="rule_2", path="/v2"))}, "rule /v2 added"),
        ({"providers": (PROVIDER,), "tier": "pro"}, "tier changed; provider own added"),
    ],
)
def test_summary_says_in_one_line_what_changed(after: dict[str, Any], said: str) -> None:
    was: Content = Document("Acme", "basic", None, {}, (), rules=(RULE,))
    now = replace(was, **after)
    assert summary_of(content_differences(was, now), was, now) == said


def test_summary_of_a_key_names_it() -> None:
    was = a_tenant("acme")
    revoked = replace(was, keys=(replace(was.keys[0], revoked=True, scopes=(Scope.READ,)),))
    assert summary_of(snapshot_differences(was, revoked, 0.0), was, revoked) == (
        "API key acme changed (scopes, status)"
    )


def test_summary_of_a_price_names_its_model_as_it_is_written() -> None:
    was, now = (PlatformContent(prices={"openai/m": {"input": price}}) for price in "12")
    assert summary_of(content_differences(was, now), was, now) == "price openai/m changed (input)"


def test_long_summary_is_cut() -> None:
    rules = tuple(Rule(f"rule_{number}", f"/{number}", "https://u.example") for number in range(50))
    was: Content = Document("Acme", "basic", None, {}, ())
    text = summary(content_differences(was, replace(was, rules=rules)), {})
    assert len(text) == MAX_SUMMARY
    assert text.endswith("…")


def test_unchanged_things_are_not_dumped(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = tuple(Rule(f"rule_{number}", f"/{number}", "https://u.example") for number in range(100))
    was: Content = Document("Acme", "basic", None, {}, (), rules=rules)
    now = replace(was, rules=(*rules[:-1], replace(rules[-1], path="/new")))
    dumped: list[ApiKey | Rule] = []

    def dump(rule: Rule) -> dict[str, Any]:
        dumped.append(rule)
        return rule_document(rule)

    monkeypatch.setattr("shared.documents.history.differences.rule_document", dump)
    assert [one["path"] for one in content_differences(was, now)] == ["/rules/rule_99/path"]
    assert len(dumped) == 2


def test_long_lists_are_compared_in_a_time_that_grows_with_their_length_and_not_its_square() -> None:
    chains = [
        (PluginConfig("content_validator", settings={"enum": [f"{text}{at}" for at in range(10_000)]}),)
        for text in "ab"
    ]
    was, now = (
        Document("Acme", "basic", None, {}, (), rules=(replace(RULE, plugin_chain=chain),))
        for chain in chains
    )
    started = time.process_time()
    assert len(content_differences(was, now)) == 10_000
    assert time.process_time() - started < 4
