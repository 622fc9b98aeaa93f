"""The capabilities that requests need of a model, and the targets that are known to lack them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.upstreams.fit import Fit, needs_of
from shared.upstreams.target import Caps, Target

CHAT, RESPONSES, MESSAGES = "openai.chat", "openai.responses", "anthropic.messages"


def target(name: str, **caps: Any) -> Target:
    return Target(id=name, caps=Caps.of(caps))


def user(*parts: Any) -> Any:
    return {"messages": [{"role": "user", "content": [*parts]}]}


def result(*parts: Any) -> Any:
    return user({"type": "tool_result", "content": [*parts]})


def item(**members: Any) -> Any:
    return {"input": [members]}


@pytest.mark.parametrize(
    ("document", "needs"),
    [
        (user({"type": "text", "text": "Hi"}), ""),
        (user({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}), "vision"),
        (user({"type": "image", "source": {"type": "base64", "media_type": "image/png"}}), "vision"),
        (result({"type": "image", "source": {}}), "vision"),
        (item(role="user", content=[{"type": "input_image"}]), "vision"),
        (item(type="function_call_output", output=[{"type": "input_image"}]), "vision"),
        (user({"type": "input_audio", "input_audio": {}}), "audio"),
        (user({"type": "file", "file": {"file_data": "data:application/pdf;base64,AA"}}), "pdf"),
        (user({"type": "file", "file": {"filename": "A.PDF", "file_data": "AA"}}), "pdf"),
        (user({"type": "file", "file": {"file_id": "file_1"}}), ""),
        (item(content=[{"type": "input_file", "file_url": "https://x.example/a.pdf"}]), "pdf"),
        (item(content=[{"type": "input_file", "filename": "a.csv"}]), ""),
        (user({"type": "document", "source": {"type": "base64", "media_type": "application/pdf"}}), "pdf"),
        (user({"type": "document", "source": {"type": "url", "url": "https://x.example/1"}}), "pdf"),
        (user({"type": "document", "source": {"type": "text", "media_type": "text/plain"}}), ""),
        (user({"type": "document", "source": "text"}), ""),
        ({"tools": [{"type": "function"}], "input": "Hi"}, "tools"),
        ({"functions": [{"name": "f"}], "messages": []}, "tools"),
        ({"tools": [], "messages": None, "input": {}}, ""),
        ({"messages": ["text", {"content": "text"}, {"content": [1, None], "type": 7}]}, ""),
    ],
)
def test_needs_of_a_request_are_those_of_its_parts_and_tools(document: Any, needs: str) -> None:
    assert needs_of(document) == set(needs.split())


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3) | st.sampled_from(["image", "file", "input_audio"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["messages", "input", "content", "type", "file", "source", "tools"]), inner
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["messages", "input", "tools"]), JSON))
def test_any_json_has_needs(document: Any) -> None:
    assert needs_of(document) <= {"vision", "pdf", "audio", "tools"}


def reasons(document: Any, *targets: Target, api: str = CHAT, size: int = 0) -> list[str]:
    fit = Fit.of(targets)
    assert fit is not None
    fits = fit.judge(api, document, size)
    return ["" if fits is None else fits(one) for one in targets]


def test_target_that_is_known_to_lack_what_is_needed_is_left_out() -> None:
    every = target("a", vision=False, tools=True), target("b", vision=True, tools=False), target("c")
    assert reasons(user({"type": "image_url"}), *every) == ["has no vision", "", ""]
    assert reasons({"tools": [{}]}, *every) == ["", "has no tools", ""]
    assert reasons(user({"type": "input_audio"}), *every) == ["", "", ""]
    assert reasons(user({"type": "text", "text": "Hi"}), *every) == ["", "", ""]


@pytest.mark.parametrize("document", [None, [], "text"])
def test_a_body_that_is_no_object_and_another_api_are_not_judged(document: Any) -> None:
    blind = target("a", vision=False)
    assert reasons(document, blind) == [""]
    assert reasons(user({"type": "image_url"}), blind, api="openai.embeddings") == [""]


def test_pool_whose_targets_are_not_known_to_lack_anything_judges_nothing() -> None:
    assert Fit.of([target("a"), target("b", vision=True, max_output=5)]) is None


def words(number: int) -> Any:
    return user({"type": "text", "text": "word " * number})


def test_context_leaves_out_the_smaller_target_and_the_largest_only_far_above_it() -> None:
    small, large = target("a", context=1_000), target("b", context=3_000)
    assert reasons(words(700), small, large, size=4_000) == ["", ""]
    assert reasons(words(2_000), small, large, size=10_000) == [
        "has a context of 1,000 tokens, less than about 2,568",
        "",
    ]
    # The estimate may be too high, and no other target is larger.
    assert reasons(words(4_000), small, large, size=20_000)[1] == ""
    assert reasons(words(5_000), small, large, size=25_000) == [
        "has a context of 1,000 tokens, less than about 6,414",
        "has a context of 3,000 tokens, less than about 6,414",
    ]
    assert reasons(words(5_000), small, target("b"), size=25_000)[1] == ""


def test_tokens_are_not_estimated_for_a_request_with_fewer_bytes_than_the_context_has_tokens() -> None:
    assert reasons(words(5_000), target("a", context=1_000), size=1_000) == [""]
