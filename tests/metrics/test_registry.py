"""The series of a process: bounded, whatever tenants and clients send."""

import doctest

import pytest

from shared.metrics import names, registry
from shared.metrics.registry import MAX_VALUES, OTHER, Registry


def labels_of(registry: Registry, label: str) -> list[str]:
    return [labels[family.labels.index(label)] for (family, labels), _ in registry.series()]


def test_histogram_counts_each_value_in_the_first_bucket_that_holds_it() -> None:
    assert doctest.testmod(registry).failed == 0


def test_same_labels_are_the_same_series() -> None:
    found = Registry()
    found.value(names.COST, "t", "openai", "gpt").value += 2
    assert found.value(names.COST, "t", "openai", "gpt").value == 2
    assert found.value(names.COST, "u", "openai", "gpt").value == 0


def test_minted_names_of_models_share_one_series_beyond_the_bound() -> None:
    found = Registry()
    for number in range(10_000):
        found.value(names.TOKENS, "t", "openai", f"minted-{number}", "input", "reported").value += 1
    shown = labels_of(found, "model")
    assert len(shown) == len(set(shown)) == MAX_VALUES["model"] + 1
    assert found.value(names.TOKENS, "t", "openai", OTHER, "input", "reported").value == 9_500


def test_rules_are_bounded_with_their_tenants() -> None:
    found = Registry()
    for number in range(600):
        for path in ("/v1", "/v2", "/v3", "/v4", "/v5"):
            found.histogram(names.DURATION, f"t{number}", path).observe(1)
    assert len(set(labels_of(found, "tenant"))) == MAX_VALUES["tenant"] + 1
    assert len(found.series()) <= MAX_VALUES["rule"] + 5 + 600


def test_long_value_is_cut() -> None:
    found = Registry()
    found.value(names.COST, "t", "p", "m" * 5000)
    assert labels_of(found, "model") == ["m" * 100]


def test_tenants_are_not_told_apart_when_the_operator_says_so() -> None:
    found = Registry(has_tenants=False)
    for tenant in ("a", "b"):
        found.histogram(names.DURATION, tenant, "/v1").observe(1)
    assert [labels for (_, labels), _ in found.series()] == [("", "")]


@pytest.mark.parametrize(("kind", "family"), [("value", names.DURATION), ("histogram", names.COST)])
def test_series_of_another_type_is_rejected(kind: str, family: names.Family) -> None:
    with pytest.raises(TypeError, match=family.name):
        getattr(Registry(), kind)(family, *family.labels)
