"""A document in parts: what is joined is what was split, only what changed is written, nothing else is read."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.config_store.records.codec import encode
from shared.config_store.records.contents import Document, Part, PlatformContent, PlatformRoot, Root
from shared.config_store.records.parts import Held, HeldContents, PartNames, Split, Writing, split
from shared.model.config import Rule, Snapshot
from shared.model.providers import Model, ModelTarget, Provider
from tests.config_store.configurations import a_full_tenant, a_tenant, with_tenant

NAMES = PartNames(b"p" * 32)
ONE, TWO, THREE = (Rule(f"rule-{number}", f"/{number}", "https://u.example") for number in (1, 2, 3))


def written(snapshot: Snapshot, before: Split[Document] | None = None) -> Split[Document]:
    tenant = snapshot.tenant
    writing = Writing(
        owner=tenant.id,
        content=Document.of(snapshot),
        version=tenant.version,
        actor="platform",
        written_at=tenant.updated_at,
    )
    return split(NAMES, writing, before.held if before else None)


def written_platform(
    content: PlatformContent, before: Split[PlatformContent] | None = None
) -> Split[PlatformContent]:
    writing = Writing(owner="platform", content=content, version=1, actor="platform", written_at=1.0)
    return split(NAMES, writing, before.held if before else None)


def read(tenant_id: str, stored: Mapping[str, str], parts: Split[Document]) -> Document:
    """The document as a reader gets it that has nothing yet."""
    root = NAMES.decode_root(tenant_id, parts.held.name, parts.text.encode(), Root)
    found: dict[str, Part] = {
        place[2]: NAMES.decode_part(tenant_id, place, stored[place[2]].encode()) for place in root.places()
    }
    return root.join(found)


RULES = st.lists(
    st.builds(
        Rule,
        st.sampled_from(["r1", "r2", "r3", "plain", "sealed", "\ud800"]),
        st.sampled_from(["/a", "/b"]),
        st.just("https://u.example"),
    ),
    max_size=4,
    unique_by=lambda rule: rule.id,
)
PROVIDERS = st.lists(
    st.builds(Provider, st.sampled_from(["p1", "p2"]), st.sampled_from(["x", "y"]), st.just("openai")),
    max_size=2,
    unique_by=lambda provider: provider.id,
)
MODELS = st.lists(
    st.builds(Model, st.sampled_from(["plain", "m"]), st.just((ModelTarget(provider="x", model="y"),))),
    max_size=2,
    unique_by=lambda model: model.name,
)


@given(st.lists(st.tuples(RULES, PROVIDERS, MODELS, st.sampled_from(["A", "B"])), min_size=1, max_size=5))
def test_any_sequence_of_edits_is_read_back_and_leaves_no_other_part(
    edits: Sequence[tuple[list[Rule], list[Provider], list[Model], str]],
) -> None:
    stored: dict[str, str] = {}
    last = None
    for rules, providers, models, name in edits:
        members: dict[str, Any] = {"name": name, "providers": tuple(providers), "models": tuple(models)}
        snapshot = replace(with_tenant(a_tenant("acme"), **members), rules=tuple(rules))
        last = written(snapshot, last)
        assert not last.new.keys() & stored.keys(), "what is stored is not written again"
        stored.update(last.new)
        for dropped in last.held.root.dropped:
            del stored[dropped]
        assert read("id-acme", stored, last) == last.held.content == Document.of(snapshot)
        assert stored.keys() == {name for _, _, name in last.held.root.places()}


PLATFORMS = st.builds(
    PlatformContent,
    PROVIDERS.map(tuple),
    MODELS.map(tuple),
    st.dictionaries(st.sampled_from(["openai/m", "plain"]), st.dictionaries(st.just("input"), st.just("1"))),
)


@given(st.lists(PLATFORMS, min_size=1, max_size=5))
def test_any_sequence_of_platforms_is_read_back_and_leaves_no_other_part(
    platforms: Sequence[PlatformContent],
) -> None:
    stored: dict[str, str] = {}
    last = None
    for content in platforms:
        last = written_platform(content, last)
        assert not last.new.keys() & stored.keys(), "what is stored is not written again"
        stored.update(last.new)
        for dropped in last.held.root.dropped:
            del stored[dropped]
        root = NAMES.decode_root("platform", last.held.name, last.text.encode(), PlatformRoot)
        found = {one[2]: NAMES.decode_part("platform", one, stored[one[2]].encode()) for one in root.places()}
        assert root.join(found) == last.held.content == content
        assert stored.keys() == found.keys()


def test_one_changed_rule_is_one_new_part_and_one_that_is_dropped() -> None:
    acme = replace(a_tenant("acme"), rules=(ONE, TWO, THREE))
    first = written(acme)
    assert len(first.new) == 3
    changed = replace(acme, rules=(ONE, replace(TWO, path="/other"), THREE))
    second = written(changed, first)
    assert len(second.new) == len(second.held.root.dropped) == 1
    assert second.held.content.rules[0] is first.held.content.rules[0], "it is not decoded again"
    assert written(replace(changed, rules=changed.rules[::-1]), second).new == {}


def test_equal_rules_have_other_names_in_another_tenant_kind_and_deployment() -> None:
    text = encode(ONE).encode()
    names = {
        NAMES("a", "rules", text),
        NAMES("b", "rules", text),
        NAMES("a", "models", text),
        PartNames(b"q" * 32)("a", "rules", text),
        PartNames.of(lambda text: f"id:{text}")("a", "rules", text),
    }
    assert len(names) == 5


def test_two_rules_with_one_id_are_rejected() -> None:
    with pytest.raises(ValueError, match="have the same id"):
        written(replace(a_tenant("acme"), rules=(ONE, replace(TWO, id=ONE.id))))


def test_part_or_root_with_another_text_or_place_is_rejected() -> None:
    stored = written(replace(a_tenant("acme"), rules=(ONE, TWO)))
    (one, first), (_, second) = stored.new.items()
    place = ("rules", "rule-1", one)
    assert NAMES.decode_part("id-acme", place, first.encode()) == ONE
    for tenant_id, wrong, text in (
        ("id-acme", place, second),
        ("id-acme", place, first + " "),
        ("id-beta", place, first),
        ("id-acme", ("providers", *place[1:]), first),
    ):
        with pytest.raises(ValueError, match="not the one that was stored"):
            NAMES.decode_part(tenant_id, wrong, text.encode())
    with pytest.raises(ValueError, match="another id"):
        NAMES.decode_part("id-acme", ("rules", "rule-2", one), first.encode())
    for tenant_id, text in (("id-beta", stored.text), ("id-acme", stored.text.replace("acme", "evil"))):
        with pytest.raises(ValueError, match="not the one that was stored"):
            NAMES.decode_root(tenant_id, stored.held.name, text.encode(), Root)


def test_a_writers_own_values_are_held_as_they_will_be_read() -> None:
    full = a_full_tenant("acme")
    chain = replace(full.rules[0].plugin_chain[0], settings={"list": (1, 2)})
    acme = with_tenant(replace(full, rules=(replace(ONE, plugin_chain=(chain,)),)), plugin_chain=(chain,))
    held = written(acme).held
    assert held.content.rules[0].plugin_chain[0].settings == {"list": [1, 2]}
    assert held.content.plugin_chain[0].settings == {"list": [1, 2]}


def held(parts: int) -> Held[Document]:
    rules = tuple(replace(ONE, id=str(number)) for number in range(parts))
    document = Document.of(replace(a_tenant("acme"), rules=rules))
    root = Root(document=document, actor="a", written_at=0.0)
    return Held(version=1, name="n", root=root, content=document)


def test_documents_that_were_not_used_are_forgotten_first() -> None:
    documents = HeldContents(most=9)
    for tenant_id in ("a", "b", "c"):
        documents.put(tenant_id, held(2))
    assert documents.get("a") is not None
    documents.put("d", held(2))
    assert [one for one in "abcd" if documents.get(one)] == ["a", "c", "d"]
    documents.put("large", held(50))
    assert [one for one in ("a", "c", "d", "large") if documents.get(one)] == ["large"]
    documents.drop("large")
    documents.put("a", held(2))
    assert documents.get("a") is not None
