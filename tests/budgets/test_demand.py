"""The amount that a request may use before it is sent."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.budgets.demand import (
    MAX_ASKED,
    NOTHING,
    USUAL_OUTPUT,
    amount_of,
    choices,
    demand_of,
)
from shared.model.budgets import INPUT_TOKENS, OUTPUT_TOKENS, REQUESTS, TOKENS, USD
from shared.providers.calls import OPENAI_CHAT, OPENAI_COMPLETIONS, ApiCall, match_call
from shared.usage.prices import Rates
from shared.usage.row import Usage

CHEAP, DEAR = Rates.of({"input": "1", "output": "2"}), Rates.of({"input": "3", "output": "9"})
HELLO = {"model": "fast", "messages": [{"role": "user", "content": "Hello, who are you?"}]}


def call(path: str) -> ApiCall:
    found = match_call(path)
    assert found is not None
    return found


CHAT = call("/v1/chat/completions")


@pytest.mark.parametrize(
    ("members", "max_output", "usual_output", "output"),
    [
        ({}, None, None, USUAL_OUTPUT),
        ({}, 1_000, None, 1_000),
        ({}, 128_000, None, USUAL_OUTPUT),
        ({}, 1_000, 300, 300),
        ({"max_tokens": 50}, 1_000, None, 50),
        ({"max_tokens": 50}, 1_000, 300, 50),
        ({"max_tokens": 128_000}, None, None, USUAL_OUTPUT),
        ({"max_completion_tokens": 70, "max_tokens": 50}, None, None, 70),
        ({"max_completion_tokens": 1, "max_tokens": 3_000}, None, None, 3_000),
        ({"max_tokens": 50.0}, 1_000, None, 50),
        ({"max_output_tokens": 70}, None, None, 70),
        ({"max_tokens": 50, "n": 3}, None, None, 150),
        ({"max_tokens": -1}, 1_000, None, 1_000),
        ({"max_tokens": True}, 1_000, None, 1_000),
        ({"max_tokens": "50"}, 1_000, None, 1_000),
    ],
)
def test_the_output_is_what_is_usual_and_at_most_what_is_allowed(
    members: dict[str, object], max_output: int | None, usual_output: int | None, output: int
) -> None:
    demand = demand_of(CHAT, HELLO | members, 80, max_output=max_output, usual_output=usual_output)
    assert demand.of(OUTPUT_TOKENS) == output


def test_at_most_a_request_uses_what_it_and_the_model_allow() -> None:
    demand = demand_of(CHAT, {**HELLO, "max_tokens": 128_000}, 80, max_output=16_000, usual_output=200)
    assert (demand.of(OUTPUT_TOKENS), demand.amount(OUTPUT_TOKENS, demand.most)) == (200, 16_000)


def test_the_least_of_a_request_without_a_bound_is_its_input() -> None:
    free, bounded = demand_of(CHAT, HELLO, 80), demand_of(CHAT, {**HELLO, "max_tokens": 10}, 80)
    assert free.least_of(TOKENS) == free.of(INPUT_TOKENS)
    assert bounded.least_of(TOKENS) == bounded.of(TOKENS) == (free.of(INPUT_TOKENS) or 0) + 10


def test_the_price_is_that_of_the_dearest_target() -> None:
    demand = demand_of(CHAT, {**HELLO, "max_tokens": 10}, 80, rates=(CHEAP, DEAR))
    usage = Usage(input=demand.of(INPUT_TOKENS) or 0, output=10)
    assert demand.of(USD) == max(CHEAP.cost(usage), DEAR.cost(usage)) == DEAR.cost(usage)


def test_the_price_is_not_known_if_that_of_any_target_is_not() -> None:
    demand = demand_of(CHAT, HELLO, 80, rates=(CHEAP, None))
    assert (demand.of(USD), demand.amount(USD, demand.most), demand.least_of(USD)) == (None, None, None)


def test_a_call_that_the_client_pays_costs_nothing() -> None:
    assert demand_of(CHAT, HELLO, 80).of(USD) == 0


@pytest.mark.parametrize(
    ("path", "document", "size", "usage"),
    [
        ("/v1/embeddings", {"input": "Hello"}, 30, Usage(input=1)),
        ("/v1/images/generations", {"prompt": "A cat", "n": 4}, 30, Usage(input=1, images=4)),
        ("/v1/audio/speech", {"input": "Hello"}, 30, Usage(input=1, characters=5)),
        ("/v1/audio/speech", {"input": 1}, 30, Usage(input=1)),
        ("/v1/audio/transcriptions", None, 160_000, Usage(input=100, seconds=10)),
    ],
)
def test_what_is_not_text_is_counted_by_piece(path: str, document: object, size: int, usage: Usage) -> None:
    assert demand_of(call(path), document, size).usual == usage


def test_the_usual_output_counts_for_pictures_too() -> None:
    demand = demand_of(call("/v1/images/generations"), {"prompt": "A cat"}, 30, usual_output=1_056)
    assert demand.of(OUTPUT_TOKENS) == 1_056


@pytest.mark.parametrize("path", ["/v1/models", "/v1/responses/resp_1", "/v1/messages/count_tokens"])
def test_a_call_without_a_model_uses_nothing_but_a_request(path: str) -> None:
    demand = demand_of(call(path), None, 0, rates=(DEAR,))
    assert demand is NOTHING
    assert [demand.of(unit) for unit in (REQUESTS, TOKENS, USD)] == [1, 0, 0]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["n", "max_tokens", "input"]), inner),
    ),
    st.sampled_from(["/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/audio/speech"]),
)
def test_any_body_uses_at_least_a_token_and_at_most_its_most(document: object, path: str) -> None:
    demand = demand_of(call(path), document, 10, rates=(CHEAP,))
    for unit in (TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, USD):
        least, usual, most = demand.least_of(unit), demand.of(unit), demand.amount(unit, demand.most)
        assert 0 <= (least or 0) <= (usual or 0) <= (most or 0)
        assert most is not None
    assert (demand.least_of(INPUT_TOKENS) or 0) >= 1


def test_amounts_are_those_of_the_unit() -> None:
    usage = Usage(input=5, output=2, requests=3)
    units = (REQUESTS, TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, USD)
    assert [amount_of(unit, usage, 70) for unit in units] == [3, 7, 5, 2, 70]
    assert amount_of(USD, usage, None) is None


def test_the_factor_multiplies_the_estimated_input() -> None:
    plain = demand_of(CHAT, HELLO, 80).of(INPUT_TOKENS) or 0
    assert demand_of(CHAT, HELLO, 80, factor=3.0).of(INPUT_TOKENS) == 3 * plain


@pytest.mark.parametrize(
    ("document", "number"),
    [
        *(({}, 1), ({"n": 3}, 3), (None, 1), ({"n": -1}, 1), ({"n": True}, 1), ({"n": 10**12}, MAX_ASKED)),
        # Some providers read these as numbers, too.
        *(({"n": "3"}, 3), ({"n": 3.0}, 3), ({"n": 2.5}, 1), ({"n": "three"}, 1), ({"n": float("nan")}, 1)),
    ],
)
def test_a_request_asks_for_several_responses(document: Any, number: int) -> None:
    assert choices(OPENAI_CHAT, document) == number


@pytest.mark.parametrize(
    ("document", "number"),
    [
        ({"prompt": "a", "best_of": 20}, 20),
        ({"prompt": "a", "n": 3, "best_of": 2}, 3),
        ({"prompt": ["a"] * 5, "n": 2}, 10),
        ({"prompt": [[1, 2]] * 5}, 5),
        ({"prompt": [1, 2, 3]}, 1),
        ({"prompt": []}, 1),
    ],
)
def test_a_request_for_completions_asks_for_one_of_each_prompt_and_for_the_best_of_several(
    document: Any, number: int
) -> None:
    assert choices(OPENAI_COMPLETIONS, document) == number


def test_the_usual_output_is_that_of_each_response() -> None:
    demand = demand_of(CHAT, {**HELLO, "n": 1_000}, 80, max_output=1_000, usual_output=20)
    assert (demand.choices, demand.of(OUTPUT_TOKENS)) == (1_000, 20_000)
    pictures = demand_of(call("/v1/images/generations"), {"prompt": "A cat", "n": 4}, 30, usual_output=1_056)
    assert pictures.of(OUTPUT_TOKENS) == 4 * 1_056
