"""The document of a file: what is wrong with it, and its normal form."""

import copy
from functools import cache
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given

from shared.core.errors import Invalid
from shared.documents.file.json_schema import file_schema
from shared.documents.file.normal import normal
from shared.documents.file.parse import parse_file
from shared.plugins import load_catalogue
from tests.documents.file.files import EXAMPLE, FILES

CATALOGUE = load_catalogue()


def problems(document: object) -> dict[str, str]:
    with pytest.raises(Invalid) as rejected:
        parse_file(document)
    return {one.pointer: one.detail for one in rejected.value.problems}


def example(**changes: Any) -> dict[str, Any]:
    """The example with other values, by their places: ``tenants__acme__name``."""
    document = copy.deepcopy(EXAMPLE)
    for place, value in changes.items():
        *steps, last = place.split("__")
        inner = document
        for step in steps:
            inner = inner[step]
        inner[last] = value
    return document


def shown(document: object) -> dict[str, Any]:
    return normal(parse_file(document), CATALOGUE)


@cache
def validator() -> Any:
    return jsonschema_rs.validator_for(file_schema(CATALOGUE))


class TestProblems:
    def test_all_problems_are_told_at_once_with_their_places(self) -> None:
        sent = example(
            budgets={},
            tenants__acme__rules__chat={"path": "/v1", "ai": {"provider": ["openai-main"]}},
            tenants__acme__rules__value={"path": 5, "target": "https://a.example"},
            tenants__globex__teir="pro",
            platform__providers__x={"kind": "nobody"},
        )
        found = problems(sent)
        assert list(found) == [
            "/budgets",
            "/platform/providers/x/kind",
            "/tenants/acme/rules/chat/ai/provider",
            "/tenants/acme/rules/value/path",
            "/tenants/globex/teir",
        ]
        assert found["/tenants/acme/rules/chat/ai/provider"].startswith(
            "Unknown field: did you mean providers?"
        )
        assert found["/tenants/globex/teir"].startswith("Unknown field: did you mean tier?")

    @pytest.mark.parametrize("value", [None, 1, "2", "1.0"])
    def test_the_version_of_the_format_is_a_text(self, value: Any) -> None:
        assert list(problems({"_format_version": value})) == ["/_format_version"]

    @pytest.mark.parametrize("document", [{}, {"tenants": {}}])
    def test_the_version_of_the_format_is_required(self, document: Any) -> None:
        assert problems(document) == {"/_format_version": 'It is missing. Set it to "1".'}

    @pytest.mark.parametrize("document", [5, [], "x"])
    def test_a_file_is_an_object(self, document: Any) -> None:
        assert problems(document)[""] == "Must be an object."

    @pytest.mark.parametrize(
        ("place", "value"),
        [
            *(("tenants", {name: {"name": "A"}}) for name in ("a b", "admin", "-a")),
            *(("tenants__acme__rules", {name: {"path": "/", "target": "http://a"}}) for name in ("A", "a/b")),
            ("platform__models", {"a//b": {"targets": [{"provider": "openai-main", "model": "m"}]}}),
            ("platform__providers", {"Up": {"kind": "openai"}}),
            ("tenants__acme__api_keys", {"": {}}),
        ],
    )
    def test_a_name_that_the_api_does_not_take_is_rejected(self, place: str, value: Any) -> None:
        [name] = value
        step = name.replace("/", "~1")
        assert list(problems(example(**{place: value}))) == [f"/{place.replace('__', '/')}/{step}"]

    def test_a_tenant_is_there_once(self) -> None:
        sent = {"_format_version": "1", "tenants": {"acme": {"name": "A"}, "Acme": {"name": "B"}}}
        assert problems(sent) == {"/tenants/Acme": "acme is there twice. Remove one of them."}

    @pytest.mark.parametrize("value", [[], 5, "x"])
    @pytest.mark.parametrize("place", ["platform", "tenants", "tenants__acme", "tenants__acme__rules__chat"])
    def test_a_part_that_is_not_an_object_is_rejected(self, place: str, value: Any) -> None:
        found = problems(example(**{place: value}))
        assert found[f"/{place.replace('__', '/')}"] == "Must be an object."

    @pytest.mark.parametrize("name", ["id", "status", "subdomain", "created_at", "version"])
    def test_what_is_never_in_a_file_is_rejected(self, name: str) -> None:
        assert list(problems(example(**{f"tenants__acme__{name}": "x"}))) == [f"/tenants/acme/{name}"]

    def test_a_tenants_provider_keeps_no_secret_outside_the_store(self) -> None:
        key = {"secret": {"env": "OPENAI_API_KEY"}}
        sent = example(tenants__acme__providers={"own": {"kind": "openai", "keys": [key]}})
        assert list(problems(sent)) == ["/tenants/acme/providers/own/keys/0/secret"]


class TestMoved:
    def test_names_that_change_are_read_by_section(self) -> None:
        moved = {"rules": {"talk": "chat"}, "api_keys": None}
        [acme] = (
            parse_file(example(tenants={"acme": {**EXAMPLE["tenants"]["acme"], "moved": moved}})).tenants
            or {}
        ).values()
        assert acme.moved == {"rules": {"talk": "chat"}, "api_keys": {}}

    @pytest.mark.parametrize(
        ("moved", "where", "told"),
        [
            ({"rules": {"chat": "search"}}, "rules/chat", "rules has chat, too."),
            ({"rules": {"old": "gone"}}, "rules/old", "rules has no gone."),
            ({"rules": {"a": "chat", "b": "chat"}}, "rules/b", "a gets the name chat, too."),
            ({"rules": {"a": "B c"}}, "rules/a", ""),
            ({"rules": {"A b": "chat"}}, "rules/A b", ""),
            ({"rules": {"a": 5}}, "rules/a", ""),
            ({"rules": ["a"]}, "rules", "Must be an object."),
            ({"models": {"a": "b"}}, "models", "Unknown field"),
            ([], "", "Must be an object."),
        ],
    )
    def test_names_that_cannot_change_are_told(self, moved: Any, where: str, told: str) -> None:
        found = problems(example(tenants__acme__moved=moved))
        [(pointer, detail)] = found.items()
        assert pointer == f"/tenants/acme/moved/{where}".rstrip("/")
        assert detail.startswith(told)


class TestNormalForm:
    def test_defaults_are_left_out_and_secrets_are_hidden(self) -> None:
        acme = shown(EXAMPLE)["tenants"]["acme"]
        assert acme["rules"]["chat"] == {"path": "/v1", "ai": {"providers": ["openai-main"]}}
        assert acme["rules"]["search"] == {
            "path": "/search",
            "headers": {"Authorization": {"set": True}},
            "retry": {"attempts": 4},
            "targets": [{"url": "https://api.openai.com", "weight": 2}],
            "timeouts": {"connect": 5.0},
        }
        assert acme["api_keys"] == {"ci": {"models": ["gpt-*"]}}
        assert "canary" not in str(shown(EXAMPLE))

    def test_an_empty_section_is_as_none(self) -> None:
        assert shown(example(tenants__globex={"name": "G", "rules": None, "providers": {}})) == shown(
            example(tenants__globex={"name": "G"})
        )

    @given(document=FILES)
    def test_a_normal_form_is_its_own_normal_form(self, document: Any) -> None:
        first = shown(document)
        assert shown(first) == first

    @given(document=FILES)
    def test_an_entry_that_is_stored_is_not_read_again(self, document: Any) -> None:
        first = shown(document)
        again = parse_file(first, first)
        entries = [one for owner in (again.tenants or {}).values() for one in (owner.rules or {}).values()]
        assert all(one.sent is None for one in entries)


class TestJsonSchema:
    def test_the_example_is_valid_in_both_forms(self) -> None:
        assert [str(one) for one in validator().iter_errors(EXAMPLE)] == []
        assert [str(one) for one in validator().iter_errors(shown(EXAMPLE))] == []

    @pytest.mark.parametrize(
        ("place", "value"),
        [
            ("budgets", {}),
            ("tenants__acme__teir", "pro"),
            ("tenants__acme__rules__chat", {"path": 5}),
            ("tenants__acme__plugin_chain", [{"name": "rate_limiter", "settings": {"limt": 5}}]),
            ("tenants__acme__plugin_chain", [{"name": "nothing"}]),
            ("tenants__acme__required_plugins", {"rate_limiter": {"settings": {"limt": 5}}}),
            ("tenants__acme__moved", {"models": {"a": "b"}}),
            ("platform__moved", {"rules": {"a": "b"}}),
        ],
    )
    def test_what_is_wrong_is_wrong_in_an_editor(self, place: str, value: Any) -> None:
        assert not validator().is_valid(example(**{place: value}))

    def test_other_names_are_valid(self) -> None:
        sent = example(tenants__acme__moved={"rules": {"a": "chat"}, "webhooks": None}, platform__moved=None)
        assert [str(one) for one in validator().iter_errors(sent)] == []

    @given(document=FILES)
    def test_what_can_be_applied_is_valid(self, document: Any) -> None:
        assert [str(one) for one in validator().iter_errors(document)] == []
