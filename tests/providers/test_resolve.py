"""From the name of a model to the targets that may serve it."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import Rejection
from shared.model.config import ApiKey
from shared.model.providers import AiRule, Model, ModelTarget, Provider, ProviderKey, ProviderModel
from shared.providers.resolve import MAX_LISTS, MAX_NAME, KnownProvider, Resolution, Resolver, SearchOrder
from shared.providers.shipped.presets import Endpoint

CHAT, MESSAGES = "openai.chat", "anthropic.messages"


def known(
    name: str,
    models: Iterable[str] = (),
    *,
    kind: str = "openai",
    globs: tuple[str, ...] | None = None,
    discovered: Iterable[str] = (),
    enabled: bool = True,
    aliases: tuple[str, ...] = (),
) -> KnownProvider:
    provider = Provider(
        f"prv_{name}",
        name,
        kind,
        keys=(ProviderKey(id="pk_1", name="k", models=globs),),
        models=tuple(ProviderModel(id=one, aliases=aliases) for one in models),
        enabled=enabled,
    )
    return KnownProvider(provider, "platform", Endpoint.of(provider), frozenset(discovered))


def resolver(
    *providers: KnownProvider,
    models: Iterable[Model] = (),
    allowed: tuple[str, ...] | None = None,
    **rule: Any,
) -> Resolver:
    settings = AiRule(models=allowed, **rule)
    named = {one.name: one for one in providers}
    order = [named[name] for name in settings.providers or named if named[name].provider.enabled]
    return Resolver(settings, SearchOrder(order), named, {model.name: model for model in models})


def key(**members: Any) -> ApiKey:
    return ApiKey("key_1", "k", "gw_", "hash", **members)


def targets(found: Resolution | Rejection) -> list[str]:
    assert isinstance(found, Resolution), found
    return [target.full_name for target in found.targets]


def code(found: Resolution | Rejection) -> str:
    assert isinstance(found, Rejection), found
    return found.code


OPENAI = known("openai", ["gpt-5.6", "gpt-6-luna"])
ANTHROPIC = known("anthropic", ["claude-sonnet-5"], kind="anthropic")
FAST = Model(
    "fast",
    (
        ModelTarget(provider="openai", model="gpt-6-luna", weight=3),
        ModelTarget(provider="anthropic", model="claude-sonnet-5", priority=1),
    ),
)


def test_a_bare_name_is_served_by_the_provider_that_has_it() -> None:
    both = resolver(OPENAI, ANTHROPIC)
    assert targets(both.resolve("gpt-5.6", CHAT, None)) == ["openai/gpt-5.6"]
    assert targets(both.resolve("claude-sonnet-5", MESSAGES, None)) == ["anthropic/claude-sonnet-5"]


def test_the_order_of_the_rule_decides_between_two_providers_of_a_name() -> None:
    a, b = known("a", ["m"]), known("b", ["m"])
    assert targets(resolver(a, b).resolve("m", CHAT, None)) == ["a/m"]
    assert targets(resolver(a, b, providers=("b", "a")).resolve("m", CHAT, None)) == ["b/m"]


def test_a_provider_that_the_rule_does_not_name_serves_no_name() -> None:
    only = resolver(OPENAI, ANTHROPIC, providers=("anthropic",))
    assert code(only.resolve("gpt-5.6", CHAT, None)) == "model_not_found"
    assert code(only.resolve("openai/gpt-5.6", CHAT, None)) == "model_not_found"


def test_a_model_of_the_gateway_has_all_its_targets_that_speak_the_api() -> None:
    both = resolver(OPENAI, ANTHROPIC, models=[FAST])
    found = both.resolve("fast", CHAT, None)
    assert targets(found) == ["openai/gpt-6-luna"]
    assert isinstance(found, Resolution)
    assert (found.model, found.targets[0].weight, found.targets[0].id) == ("fast", 3, "prv_openai/gpt-6-luna")
    assert targets(both.resolve("fast", MESSAGES, None)) == ["anthropic/claude-sonnet-5"]


def test_a_model_of_the_gateway_comes_before_a_model_of_a_provider() -> None:
    model = Model("gpt-5.6", (ModelTarget(provider="anthropic", model="claude-sonnet-5"),))
    found = resolver(OPENAI, ANTHROPIC, models=[model]).resolve("gpt-5.6", MESSAGES, None)
    assert targets(found) == ["anthropic/claude-sonnet-5"]


def test_a_name_with_slashes_belongs_to_a_provider_only_if_the_first_part_is_one() -> None:
    router = known("openrouter", ["openai/gpt-5.6", "a:free@preset/b"])
    both = resolver(OPENAI, router)
    assert targets(both.resolve("openai/gpt-5.6", CHAT, None)) == ["openai/gpt-5.6"]
    assert targets(both.resolve("openrouter/openai/gpt-5.6", CHAT, None)) == ["openrouter/openai/gpt-5.6"]
    assert targets(both.resolve("a:free@preset/b", CHAT, None)) == ["openrouter/a:free@preset/b"]


def test_an_alias_is_sent_as_the_name_that_the_provider_knows() -> None:
    one = known("openai", ["gpt-5.6"], aliases=("quick",))
    assert targets(resolver(one).resolve("quick", CHAT, None)) == ["openai/gpt-5.6"]
    assert targets(resolver(one).resolve("openai/quick", CHAT, None)) == ["openai/gpt-5.6"]


@pytest.mark.parametrize(
    ("members", "name", "is_found"),
    [
        ({}, "anything", True),
        ({"globs": ("*",)}, "anything", True),
        ({"globs": ("gpt-*",)}, "gpt-9", True),
        ({"globs": ("gpt-*",)}, "o9", False),
        ({"discovered": ["m"]}, "m", True),
        ({"discovered": ["m"]}, "n", False),
        ({"discovered": ["m"], "globs": ("n*",)}, "n", True),
        ({"models": ["m"]}, "n", False),
        ({"models": ["m"]}, "M", False),
    ],
)
def test_a_provider_has_the_models_that_it_declares_lists_or_has_a_key_for(
    members: dict[str, Any], name: str, is_found: bool
) -> None:
    found = resolver(known("p", **members)).resolve(name, CHAT, None)
    assert isinstance(found, Resolution) is is_found


def test_a_second_key_for_all_models_is_not_broken_by_the_list_of_the_first() -> None:
    keys = (ProviderKey(id="1", name="a", models=("gpt-*",)), ProviderKey(id="2", name="b"))
    provider = Provider("prv_1", "p", "openai", keys=keys)
    one = KnownProvider(provider, "platform", Endpoint.of(provider))
    assert targets(resolver(one).resolve("o9", CHAT, None)) == ["p/o9"]


def test_a_disabled_provider_serves_nothing() -> None:
    off = resolver(known("openai", ["gpt-5.6"], enabled=False), models=[FAST])
    for name in ("gpt-5.6", "openai/gpt-5.6", "fast"):
        assert code(off.resolve(name, CHAT, None)) == "model_not_found"
    assert off.allowed_names(None) == ()


def test_a_request_without_a_model_gets_the_default_of_the_rule() -> None:
    assert code(resolver(OPENAI).resolve(None, CHAT, None)) == "missing_model"
    found = resolver(OPENAI, default_model="gpt-5.6").resolve(None, CHAT, None)
    assert targets(found) == ["openai/gpt-5.6"]


def test_an_unknown_model_is_404_with_near_names() -> None:
    found = resolver(OPENAI).resolve("gpt-5.7", CHAT, None)
    assert code(found) == "model_not_found"
    assert isinstance(found, Rejection)
    assert "gpt-5.6" in found.message


def test_a_model_outside_the_list_of_the_rule_or_the_key_is_403_with_the_allowed_ones() -> None:
    by_rule = resolver(OPENAI, allowed=("gpt-6*",)).resolve("gpt-5.6", CHAT, None)
    by_key = resolver(OPENAI).resolve("gpt-5.6", CHAT, key(models=("gpt-6*",)))
    for found in (by_rule, by_key):
        assert code(found) == "model_not_allowed"
        assert isinstance(found, Rejection)
        assert found.message.endswith("Allowed: gpt-6-luna.")


@pytest.mark.parametrize("denied", ["quick", "openai/gpt-6*", "gpt-6-luna"])
def test_a_denied_model_is_denied_by_every_name(denied: str) -> None:
    quick = Model("quick", (ModelTarget(provider="openai", model="gpt-6-luna"),))
    found = resolver(OPENAI, models=[quick]).resolve("quick", CHAT, key(deny_models=(denied,)))
    assert code(found) == "model_not_allowed"


def test_another_model_than_the_denied_one_is_served() -> None:
    assert targets(resolver(OPENAI).resolve("gpt-6-luna", CHAT, key(deny_models=("gpt-5*",)))) == [
        "openai/gpt-6-luna"
    ]


def test_a_denied_target_is_left_out_of_a_model_with_several() -> None:
    model = Model("best", (ModelTarget(provider="a", model="m"), ModelTarget(provider="b", model="n")))
    found = resolver(known("a"), known("b"), models=[model]).resolve("best", CHAT, key(deny_models=("a/*",)))
    assert targets(found) == ["b/n"]


def test_a_key_for_one_provider_does_not_use_another() -> None:
    both = resolver(OPENAI, ANTHROPIC, models=[FAST])
    assert code(both.resolve("gpt-5.6", CHAT, key(providers=("anthropic",)))) == "model_not_allowed"
    assert targets(both.resolve("fast", CHAT, key(providers=("openai",)))) == ["openai/gpt-6-luna"]


def test_an_api_that_no_target_speaks_is_400_with_the_apis_that_they_speak() -> None:
    found = resolver(OPENAI).resolve("gpt-5.6", MESSAGES, None)
    assert code(found) == "untranslatable"
    assert isinstance(found, Rejection)
    assert "openai.chat" in found.message


def test_the_list_of_models_has_real_names_only_and_those_that_the_key_may_use() -> None:
    hidden = Model("hidden", FAST.targets, visible=False)
    both = resolver(OPENAI, known("p", globs=("gpt-*",)), models=[FAST, hidden])
    assert both.allowed_names(None) == ("fast", "gpt-5.6", "gpt-6-luna")
    assert both.allowed_names(key(models=("gpt-*",), deny_models=("openai/gpt-6*",))) == ("gpt-5.6",)
    assert resolver(known("empty")).allowed_names(None) == ()


@pytest.mark.parametrize("asked", [" real", "real ", "/real", "models/real", "models/ REAL/", "real:latest"])
def test_denied_model_is_denied_with_marks_around_its_name(asked: str) -> None:
    one = resolver(known("p", ["real"], aliases=("quick",), globs=("*",)))
    for denied in ("real", "p/real", "quick"):
        assert code(one.resolve(f"p/{asked}", CHAT, key(deny_models=(denied,)))) == "model_not_allowed"


_WORD = st.text("ab*", min_size=1, max_size=3)


@pytest.mark.parametrize("name", [".", "..", "../x", "x/./y", "x/.."])
def test_a_name_that_leads_to_another_path_is_404_by_every_way(name: str) -> None:
    """Azure's addresses with a date have the name in their path."""
    azure = known("azure", [name], aliases=("nice",))
    public = Model("fast", (ModelTarget(provider="azure", model=name),))
    asked = resolver(azure, models=[public])
    for one in (name, f"azure/{name}", "nice", "azure/nice", "fast"):
        assert code(asked.resolve(one, CHAT, None)) == "model_not_found"
    assert not asked.allowed_names(None)
    assert targets(resolver(known("azure", globs=("*",))).resolve("a..b", CHAT, None)) == ["azure/a..b"]


@given(
    st.lists(st.tuples(st.lists(_WORD, max_size=3), st.none() | st.lists(_WORD, max_size=2)), max_size=4),
    st.text("ab", min_size=1, max_size=3),
)
def test_the_first_provider_that_has_a_name_serves_it(
    providers: list[tuple[list[str], list[str] | None]], name: str
) -> None:
    order = [
        known(f"p{at}", models, globs=globs and tuple(globs)) for at, (models, globs) in enumerate(providers)
    ]
    first = next((one for one in order if one.has_model(name)), None)
    assert SearchOrder(order).find(name) is first


@given(st.text(max_size=2 * MAX_NAME))
def test_any_name_is_resolved_or_rejected_and_kept_in_bounds(name: str) -> None:
    found = resolver(OPENAI, models=[FAST]).resolve(name, CHAT, None)
    if isinstance(found, Rejection):
        assert found.code in ("model_not_found", "missing_model")
        assert len(found.message) < 2 * MAX_NAME


@pytest.mark.parametrize("name", ["p/a\r\nX-Evil: 1", "p/a\0", "a\x7f", "a\x85b", "a\u2028b"])
def test_a_name_with_a_character_that_is_not_printed_is_rejected(name: str) -> None:
    found = resolver(known("p")).resolve(name, CHAT, None)
    assert code(found) == "model_not_found"


@pytest.mark.parametrize("denied", ["quick", "p/QUICK", "p/Qui*", "p/real", "real"])
@pytest.mark.parametrize("asked", ["quick", "real", "p/quick", "p/REAL", "other", "p/other", "best"])
def test_a_model_that_is_denied_by_one_of_its_names_is_denied_by_all(denied: str, asked: str) -> None:
    best = Model("best", (ModelTarget(provider="p", model="quick"),))
    one = resolver(known("p", ["real"], aliases=("quick", "other")), models=[best])
    assert code(one.resolve(asked, CHAT, key(deny_models=(denied,)))) == "model_not_allowed"


def test_names_that_clients_invent_do_not_fill_the_memory() -> None:
    anything = resolver(known("p"))
    for number in range(3_000):
        assert targets(anything.resolve(f"m{number}", CHAT, None)) == [f"p/m{number}"]
    assert len(anything._kept) <= 1_000


def test_denied_names_match_in_any_case_and_allowed_ones_only_as_written() -> None:
    anything = resolver(known("p"))
    assert code(anything.resolve("GPT-6-Luna", CHAT, key(deny_models=("gpt-6*",)))) == "model_not_allowed"
    assert code(anything.resolve("GPT-6-Luna", CHAT, key(models=("gpt-6*",)))) == "model_not_allowed"


def test_keys_without_lists_of_their_own_share_the_list_of_models_and_all_lists_are_bounded() -> None:
    listing = resolver(OPENAI)
    for number in range(2 * MAX_LISTS):
        listing.allowed_names(ApiKey(f"key_{number}", "k", "gw_", "hash"))
    assert len(listing._shown) == 1
    for number in range(2 * MAX_LISTS):
        listing.allowed_names(key(deny_models=(f"m{number}",)))
    assert len(listing._shown) <= MAX_LISTS


@pytest.mark.parametrize(
    "asked", ["main/ gpt-5", "main/gpt-5 ", "main//gpt-5", "main/models/gpt-5", "main/gpt-5:latest"]
)
def test_names_of_a_target_are_also_those_that_a_provider_reads_in_the_same_way(asked: str) -> None:
    found = resolver(known("main", ["gpt-5"], aliases=("fast",))).resolve(asked, CHAT, None)
    assert isinstance(found, Resolution)
    assert {"gpt-5", "main/gpt-5", "fast", "main/fast"} <= {*found.names}
