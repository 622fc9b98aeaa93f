"""The list of models as SDKs read it."""

import anthropic.types
import openai.types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.providers.model_list import anthropic_list, anthropic_model, openai_list, openai_model

NAMES = [f"model-{number}" for number in range(30)]


def test_openais_sdk_reads_the_list_and_each_model() -> None:
    shown = openai_list({"fast": "custom", "gpt-5.6": "openai"})
    models = [openai.types.Model.model_validate(one) for one in shown["data"]]
    assert [(one.id, one.owned_by) for one in models] == [("fast", "custom"), ("gpt-5.6", "openai")]
    assert openai.types.Model.model_validate(openai_model("fast", "custom")).id == "fast"
    assert openai_list({}) == {"object": "list", "data": []}


def test_anthropics_sdk_reads_a_model() -> None:
    assert anthropic.types.ModelInfo.model_validate(anthropic_model("fast")).display_name == "fast"


@given(st.integers(1, 40))
def test_pages_in_anthropics_shape_give_every_model_once(limit: int) -> None:
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = anthropic_list(NAMES, {"limit": str(limit), **after})
        seen += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            break
        after = {"after_id": page["last_id"]}
    assert seen == NAMES


def test_a_page_before_a_model_ends_there() -> None:
    page = anthropic_list(NAMES, {"limit": "2", "before_id": "model-5"})
    assert [one["id"] for one in page["data"]] == ["model-3", "model-4"]
    assert (page["has_more"], page["first_id"], page["last_id"]) == (True, "model-3", "model-4")


def test_an_empty_list_is_no_error() -> None:
    assert anthropic_list([], {}) == {"data": [], "has_more": False, "first_id": None, "last_id": None}


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "x"}, {"limit": "1001"}, {"after_id": "nope"}])
def test_a_wrong_page_is_rejected_by_name(query: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(query))):
        anthropic_list(NAMES, query)
