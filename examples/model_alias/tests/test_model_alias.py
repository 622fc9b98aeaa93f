"""The plugin model_alias: which model the upstream sees, and what is rejected."""

import json

import pytest
from model_alias import ModelAlias

from shared.core.errors import Invalid
from shared.model.config import Stage
from shared.pipeline.plugin import CONTINUE, Patch, Reject, Verdict
from shared.pipeline.testing import run_plugin, sample_exchange


def verdict(body: bytes, **settings: object) -> Verdict:
    plugin = ModelAlias.parse({"models": {"fast": "gpt-4o-mini"}, **settings})
    return run_plugin(plugin, Stage.PRE_REQUEST, sample_exchange(body=body))


def test_alias_in_a_body_is_replaced_and_all_else_stays() -> None:
    said = verdict(b'{"model": "fast", "messages": []}')
    assert isinstance(said, Patch)
    assert json.loads(said.body or b"") == {"model": "gpt-4o-mini", "messages": []}


@pytest.mark.parametrize(
    "body", [b'{"model": "other"}', b'{"model": 1}', b"{}", b"[]", b"", b"\xff", b"[" * 9999]
)
def test_body_without_a_known_model_passes_or_is_rejected(body: bytes) -> None:
    assert verdict(body) == CONTINUE
    said = verdict(body, unknown="reject")
    assert isinstance(said, Reject)
    assert said.message == "The model does not exist. Use one of: fast."


def test_response_to_an_alias_names_the_model() -> None:
    plugin = ModelAlias.parse({"models": {"fast": "gpt-4o-mini"}})
    assert plugin.response_headers(sample_exchange(notes={"model": "gpt-4o-mini"})) == {
        "X-Model": "gpt-4o-mini"
    }
    assert plugin.response_headers(sample_exchange()) == {}


@pytest.mark.parametrize("settings", [{}, {"models": {"a": ""}}, {"models": {"a": "b"}, "unknown": "maybe"}])
def test_settings_that_make_no_sense_are_rejected(settings: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        ModelAlias.parse(settings)
