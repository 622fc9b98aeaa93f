"""A stored value is read back exactly, or rejected; never read as something else."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.config_store.records.codec import decode, encode, encode_around
from shared.config_store.records.contents import Document, Root
from shared.config_store.records.tenants import Version
from shared.model.config import ApiKey, PluginConfig, Rule, Scope, Stage
from shared.model.sealed import Sealed
from tests.config_store.configurations import a_full_tenant, a_tenant, an_api_key

# JSON from outside can hold half a character, as \ud800.
TEXTS = st.text(max_size=5) | st.just("\ud800")
NAMES = TEXTS | st.sampled_from(["sealed", "plain"])
SECRETS = st.builds(Sealed, TEXTS)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
VALUES = st.recursive(
    PLAIN | SECRETS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
ENTRIES = st.builds(
    PluginConfig,
    name=TEXTS,
    enabled=st.booleans(),
    stage=st.sampled_from(Stage),
    priority=st.integers(),
    settings=st.dictionaries(NAMES, VALUES, max_size=3),
    timeout=st.floats(0, 60) | st.integers(0, 60),
)
CHAINS = st.lists(ENTRIES, max_size=2).map(tuple)
RULES = st.builds(
    Rule,
    id=TEXTS,
    path=TEXTS,
    target=TEXTS,
    methods=st.lists(TEXTS, max_size=2).map(tuple),
    headers=st.dictionaries(NAMES, SECRETS, max_size=2),
    ca=st.none() | TEXTS,
    plugin_chain=CHAINS,
)
DOCUMENTS = st.builds(
    Document,
    name=TEXTS,
    tier=TEXTS,
    enabled_plugins=st.none() | st.lists(TEXTS, max_size=2).map(tuple),
    required_plugins=st.dictionaries(NAMES, ENTRIES, max_size=2),
    plugin_chain=CHAINS,
    rules=st.lists(RULES, max_size=2).map(tuple),
)
KEYS = st.builds(
    ApiKey,
    id=TEXTS,
    name=TEXTS,
    prefix=TEXTS,
    hash=TEXTS,
    scopes=st.lists(st.sampled_from(Scope)).map(tuple),
    expires_at=st.none() | st.floats(0, 1e10),
)


@given(DOCUMENTS.map(lambda document: Version(document, "key:1", 1.5)) | KEYS)
def test_every_document_and_key_comes_back(record: Version | ApiKey) -> None:
    assert decode(type(record), encode(record)) == record


@given(DOCUMENTS)
def test_document_around_rules_that_are_encoded_alone_comes_back(document: Document) -> None:
    text = encode_around(document, "rules", map(encode, document.rules))
    assert decode(Document, text) == document


def test_stored_secret_is_distinguished_from_a_setting_of_the_same_form() -> None:
    settings = {"a": Sealed("x"), "b": {"sealed": "x"}, "c": {"plain": {"sealed": "x"}}}
    text = encode(PluginConfig("p", settings=settings))
    assert json.loads(text)["settings"]["a"] == {"sealed": "x"}
    assert decode(PluginConfig, text).settings == settings


def changed(**members: Any) -> str:
    """A stored rule with some members replaced."""
    rule = json.loads(encode(a_full_tenant("acme").rules[0]))
    return json.dumps({**rule, **members})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "Expecting value"),
        ("\xff", "Expecting value"),
        (b"\xff\xff", "codec can't decode"),
        ("[" * 200_000, "nested too deeply"),
        ("[]", "Must be dict, not list"),
        ("null", "Must be dict, not NoneType"),
        ("{}", "Rule lacks id, path, target"),
        (changed(colour="red"), "Rule has no field colour"),
        (changed(path=1), "Must be str, not int"),
        (changed(active=1), "Must be bool, not int"),
        (changed(created_at=True), "Must be float, not bool"),
        (changed(methods="GET"), "Must be list, not str"),
        (changed(headers={"a": "clear"}), "not sealed"),
        (changed(headers={"a": {"sealed": 1}}), "Must be str, not int"),
        (changed(plugin_chain=[{"name": "p", "stage": "later"}]), "not a valid Stage"),
        (changed(plugin_chain=[{"name": "p", "settings": []}]), "Must be dict, not list"),
        (changed(plugin_chain=[{"name": "p", "settings": {"sealed": "x"}}]), "Must be dict, not Sealed"),
    ],
)
def test_invalid_record_is_rejected_with_a_reason(text: str | bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        decode(Rule, text)


def test_fields_added_later_may_be_missing() -> None:
    assert decode(Rule, '{"id": "r", "path": "/", "target": "http://u"}') == Rule("r", "/", "http://u")
    root = decode(
        Root, _without(encode(Root(document=Document.of(a_tenant("a")), actor="a", written_at=1.0)))
    )
    assert (root.budgets, root.document.budgets) == ({}, ())
    key = decode(ApiKey, _without(encode(an_api_key("a"))))
    assert (key.first, key.line) == (None, "key-a")


def _without(text: str) -> str:
    """A stored text as the release before budgets wrote it."""
    members = json.loads(text)
    for one in (members, members.get("document", {})):
        one.pop("budgets", None)
        one.pop("first", None)
    return json.dumps(members)


def test_a_document_holds_neither_keys_nor_status_nor_subdomain() -> None:
    acme = a_tenant("acme")
    other = replace(acme, keys=(), tenant=replace(acme.tenant, status="disabled", subdomain="x"))
    assert Document.of(acme) == Document.of(other)
