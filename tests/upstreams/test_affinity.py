"""The affinity key: the same for the calls of one conversation, and different between tenants."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.messages import Headers
from shared.upstreams.affinity import AffinityKeys
from tests.upstreams.pools import SECRET

NO_HEADERS = Headers()
EVERY = ("header:x-session-id", "prompt_cache_key", "user_id", "prefix")
SESSION = Headers([("X-Session-Id", "s1")])


def key(
    body: Any, headers: Headers = NO_HEADERS, *, by: tuple[str, ...] = EVERY, tenant: str = "t1"
) -> bytes | None:
    return AffinityKeys(by, tenant, SECRET).key(headers, body, "gpt-5.6")


def chat(*turns: str, **more: Any) -> dict[str, Any]:
    """A conversation in which user and assistant take turns."""
    roles = ["user", "assistant"] * len(turns)
    messages = [{"role": role, "content": turn} for role, turn in zip(roles, turns, strict=False)]
    return {"messages": [{"role": "system", "content": "Be kind."}, *messages], **more}


def test_first_source_that_the_request_has_counts() -> None:
    body = chat("hi", prompt_cache_key="p", metadata={"user_id": "u"})
    by_header, by_cache_key = key(body, SESSION), key(body)
    assert key({}, SESSION) == by_header
    assert key({"prompt_cache_key": "p"}) == by_cache_key
    assert key(body, by=("user_id",)) == key({"metadata": {"user_id": "u"}})
    assert len({by_header, by_cache_key, key(body, by=("user_id",)), key(body, by=("prefix",))}) == 4


@pytest.mark.parametrize(
    "conversation",
    [
        (chat("hi"), chat("hi", "hello", "how are you?")),
        (
            {
                "system": "Be kind.",
                "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
            },
            {
                "system": "Be kind.",
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "hi"}]},
                    {"role": "assistant", "content": "hello"},
                ],
            },
        ),
        (
            {"instructions": "Be kind.", "input": "hi"},
            {"instructions": "Be kind.", "input": "hi", "stream": True},
        ),
        (
            {"input": [{"role": "user", "content": "hi"}]},
            {"input": [{"role": "user", "content": "hi"}, {"type": "x"}]},
        ),
        (
            {
                "contents": [{"parts": [{"text": "hi"}]}],
                "systemInstruction": {"parts": [{"text": "Be kind."}]},
            },
            {
                "contents": [{"parts": [{"text": "hi"}]}, {"role": "model", "parts": [{"text": "hello"}]}],
                "systemInstruction": {"parts": [{"text": "Be kind."}]},
            },
        ),
    ],
)
def test_turns_of_a_conversation_have_the_same_key(
    conversation: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    first, second = conversation
    assert key(first) == key(second) is not None


def test_other_tools_system_prompt_or_first_message_make_another_key() -> None:
    tool = {"type": "function", "function": {"name": "search", "parameters": {"strict": True, "n": 1}}}
    bodies = [chat("hi"), chat("hello"), chat("hi", tools=[tool]), {**chat("hi"), "system": "Be strict."}]
    assert len({key(body) for body in bodies}) == len(bodies)


def test_prefix_for_another_model_is_another_conversation() -> None:
    keys = AffinityKeys(EVERY, "t1", SECRET)
    assert keys.key(NO_HEADERS, chat("hi"), "a") != keys.key(NO_HEADERS, chat("hi"), "b")
    session = {"prompt_cache_key": "p"}
    assert keys.key(NO_HEADERS, session, "a") == keys.key(NO_HEADERS, session, "b")


def test_keys_of_two_tenants_or_deployments_have_nothing_in_common() -> None:
    assert key(chat("hi"), tenant="t1") != key(chat("hi"), tenant="t2")
    other = AffinityKeys(EVERY, "t1", b"another deployment").key(NO_HEADERS, chat("hi"), "gpt-5.6")
    assert other != key(chat("hi"))


@pytest.mark.parametrize(
    "body",
    [
        *(None, b"", "text", 1, [], {}),
        *({"messages": []}, {"messages": "hi", "input": ""}, {"messages": {"role": "user"}}),
        {"messages": [{"role": "system", "content": "alone"}, "no object"]},
        {"prompt_cache_key": 1, "metadata": {"user_id": None}, "input": 7},
        {"metadata": "u"},
    ],
)
def test_request_without_a_source_has_no_key(body: Any) -> None:
    found = key(body)
    assert found is None or body == {"messages": "hi", "input": ""}


def test_long_texts_are_read_at_their_beginning_only() -> None:
    long = "x" * 5000
    assert key(chat(long + "a")) == key(chat(long + "b"))
    assert key(chat(long[:1000] + "a")) != key(chat(long[:1000] + "b"))
    numbers = [{"n": number} for number in range(100_000)]
    assert key(chat("hi", tools=[*numbers, "a"])) == key(chat("hi", tools=[*numbers, "b"]))


TEXTS = st.none() | st.integers() | st.sampled_from(["", "user", "hi", "\ud800"])
MEMBERS = st.sampled_from(["role", "content", "user_id", "id"])
JSON = TEXTS | st.lists(TEXTS | st.dictionaries(MEMBERS, TEXTS, max_size=2), max_size=3)


@given(
    st.dictionaries(
        st.sampled_from(["messages", "input", "contents", "metadata", "tools", "system"]),
        JSON,
    )
)
def test_any_body_has_one_key_or_none(body: dict[str, Any]) -> None:
    found = key(body)
    assert found == key(body)
    assert found is None or len(found) == 16
