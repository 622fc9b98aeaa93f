"""The bodies about providers and their keys."""

from typing import Any

import pytest

from shared.documents.ai.provider import PlatformProviderInput, ProviderInput, kind_document
from shared.documents.ai.provider_key import Reference, hint_of
from shared.documents.fields import KEEP
from shared.model.providers import ProviderAuth, ProviderModel, Shared
from shared.providers.shipped.presets import presets
from tests.documents.bodies import problems

LEAST = {"name": "openai-main", "kind": "openai"}
SECRET = "sk-proj-0123456789abcdefghij"


def loaded(schema: type[ProviderInput] = ProviderInput, **members: Any) -> dict[str, Any]:
    document: dict[str, Any] = schema().load(LEAST | members)
    return document


def wrong(**members: Any) -> dict[str, str]:
    return problems(ProviderInput(), LEAST | members)


class TestMembers:
    def test_name_and_kind_are_enough(self) -> None:
        found = loaded()
        assert found["keys"] == []
        assert found["discover"] is None

    @pytest.mark.parametrize("name", ["", "OpenAI", "-a", "a b", "a" * 64, "ä"])
    def test_name_is_a_slug(self, name: str) -> None:
        assert "a-z" in wrong(name=name)["/name"]

    def test_unknown_kind_is_told_the_near_one(self) -> None:
        assert "Did you mean openai?" in wrong(kind="opnai")["/kind"]

    def test_unknown_member_is_told_the_near_one(self) -> None:
        assert "did you mean base_url?" in wrong(base_uri="https://a.example")["/base_uri"]

    def test_the_apis_that_the_gateway_responds_to_are_not_a_providers(self) -> None:
        assert loaded(apis=["openai.chat"])["apis"] == ["openai.chat"]
        assert set(wrong(apis=["models"])) == {"/apis/0"}

    @pytest.mark.parametrize(("value", "seconds"), [("off", None), (None, None), ("10m", 600.0), (60, 60.0)])
    def test_discovery_is_off_or_an_interval(self, value: Any, seconds: float | None) -> None:
        assert loaded(discover=value)["discover"] == seconds

    def test_place_of_the_credential_has_a_name_where_it_needs_one(self) -> None:
        found = loaded(auth={"type": "header", "name": "X-Token"})["auth"]
        assert found == ProviderAuth(type="header", name="X-Token")
        assert set(wrong(auth={"type": "query"})) == {"/auth/name"}
        assert set(wrong(auth={"type": "bearer", "name": "X"})) == {"/auth/name"}

    def test_only_the_platform_shares(self) -> None:
        assert "/shared" in wrong(shared="all")
        load = lambda value: loaded(PlatformProviderInput, shared=value)["shared"]  # noqa: E731
        assert load("all") == Shared(all=True)
        assert load("none") == Shared()
        assert load({"tiers": ["pro"]}) == Shared(tiers=("pro",))
        found = problems(PlatformProviderInput(), LEAST | {"shared": {"tenant": ["t"]}})
        assert "did you mean tenants?" in found["/shared/tenant"]


class TestKeys:
    def load(self, secret: Any, schema: type[ProviderInput] = ProviderInput) -> Any:
        return loaded(schema, keys=[{"secret": secret}])["keys"][0]["secret"]

    def test_secret_is_text_or_the_stored_one(self) -> None:
        assert self.load(SECRET) == SECRET
        assert self.load({"set": True}) is KEEP
        assert self.load({"set": True, "hint": "sk-…ghij"}) is KEEP

    @pytest.mark.parametrize("secret", ["", "two words", "line\n", 5, {"set": False}, {}, ["a"]])
    def test_other_secrets_are_rejected(self, secret: Any) -> None:
        assert set(wrong(keys=[{"secret": secret}])) == {"/keys/0/secret"}

    def test_only_the_platform_names_variables_and_files(self) -> None:
        assert "Only the platform" in wrong(keys=[{"secret": {"env": "A"}}])["/keys/0/secret"]
        assert self.load({"env": "OPENAI_API_KEY"}, PlatformProviderInput) == Reference(env="OPENAI_API_KEY")
        assert self.load({"file": "openai"}, PlatformProviderInput) == Reference(file="openai")

    @pytest.mark.parametrize("name", ["", "../etc/passwd", "a/b", 5, None])
    def test_name_of_a_file_has_no_path(self, name: Any) -> None:
        keys = {"keys": [{"secret": {"file": name}}]}
        assert all(
            pointer.startswith("/keys/0/secret")
            for pointer in problems(PlatformProviderInput(), LEAST | keys)
        )

    def test_hint_shows_the_ends_of_long_secrets_only(self) -> None:
        assert hint_of(SECRET) == "sk-…ghij"
        assert hint_of("x" * 20) is None


class TestModels:
    def test_prices_are_decimal_text(self) -> None:
        prices = {"input": "2.00", "output": "8"}
        [model] = loaded(models=[{"id": "gpt-5.6", "aliases": ["fast"], "prices": prices}])["models"]
        assert model == ProviderModel(id="gpt-5.6", aliases=("fast",), prices=prices)

    @pytest.mark.parametrize("price", [2.0, "-1", "1e99", "two", "0.0000001"])
    def test_other_prices_are_rejected(self, price: Any) -> None:
        found = wrong(models=[{"id": "m", "prices": {"input": price}}])
        assert set(found) == {"/models/0/prices/input"}

    def test_unknown_capability_lists_the_known_ones(self) -> None:
        found = wrong(models=[{"id": "m", "caps": {"visoin": True, "vision": "yes", "stream_usage": "auto"}}])
        assert set(found) == {"/models/0/caps/visoin", "/models/0/caps/vision"}
        assert "Allowed: stream_usage" in found["/models/0/caps/visoin"]


def test_kinds_have_a_schema_of_their_parameters() -> None:
    azure = kind_document(presets()["azure"])["params_schema"]
    assert azure["required"] == ["resource"]
    assert azure["properties"]["endpoint"]["enum"] == ["openai", "services"]
    assert azure["additionalProperties"] is False


def test_kinds_list_the_apis_that_their_default_parameters_give() -> None:
    found = {kind: kind_document(preset)["apis"] for kind, preset in presets().items()}
    assert "openai.responses" in found["azure"]
    assert "anthropic.messages" in found["vllm"]
    assert found["custom"] == []
