"""With `hide_target`, a client sees no other name of a model than the one that it asked for."""

import json

from mitmproxy import http

from mitm_addons.flows import set_body
from mitm_addons.response_copy import is_collected
from shared.model.messages import Headers, Request
from shared.model.providers import Model, ModelTarget
from shared.routing.ai_exchange import AiExchange
from tests.mitm_addons.ai.calls import CALLS, received
from tests.routing.test_ai_route import provider, route

STREAM = b'data: {"model":"gpt-6-luna","choices":[{"delta":{"content":"Hi"}}],"usage":null}\n\n'


def served(*, hide_target: bool = True) -> AiExchange:
    """A request for the model `fast`, and the head of its response."""
    target = ModelTarget(provider="main", model="gpt-6-luna")
    ai = route(provider(), models={"fast": Model("fast", (target,))}, hide_target=hide_target)
    begun = CALLS.begin("/ai/v1/chat/completions", ai)
    assert isinstance(begun, AiExchange)
    body = b'{"model":"fast","messages":[],"stream":true}'
    head = Headers([("Content-Type", "application/json")])
    request = Request("POST", "/ai/v1/chat/completions", head, "", body)
    assert CALLS.resolve(begun, None, request) is None
    assert isinstance(CALLS.choose(begun, None, request), tuple)
    CALLS.begin_response(begun, 200, ())
    return begun


def test_headers_do_not_name_the_target() -> None:
    names = {name for name, _ in served(hide_target=False).fields()}
    assert {b"X-Gateway-Provider", b"X-Gateway-Model"} <= names
    assert not {name for name, _ in served().fields()} & {b"X-Gateway-Provider", b"X-Gateway-Model"}


def test_a_stream_names_the_model_that_was_asked_for() -> None:
    one = served()
    assert received(one, STREAM[:20], STREAM[20:]) == b'data: {"model":"fast","choices":' + (
        b'[{"delta":{"content":"Hi"}}]}\n\n'
    )
    assert b"gpt-6-luna" in received(served(hide_target=False), STREAM)


def test_a_whole_response_names_the_model_that_was_asked_for_and_costs_the_same() -> None:
    body = b' {"model": "gpt-6-luna", "usage":{"prompt_tokens":1000000}}'
    one, plain = served(), served(hide_target=False)
    assert CALLS.end_response(one, body) == b' {"model": "fast", "usage":{"prompt_tokens":1000000}}'
    assert CALLS.end_response(plain, body) is body
    assert one.cost == plain.cost


def test_a_stream_that_was_collected_names_the_model_that_was_asked_for() -> None:
    assert b"gpt-6-luna" not in (CALLS.end_response(served(), STREAM * 2) or b"gpt-6-luna")


def test_json_of_unknown_length_is_collected_to_be_renamed() -> None:
    response = http.Response.make(200, b"", {"Content-Type": "application/json"})
    del response.headers["content-length"]
    assert is_collected(served(), response, is_stream=False)
    assert not is_collected(served(hide_target=False), response, is_stream=False)
    response.headers["content-type"] = "audio/mpeg"
    assert not is_collected(served(), response, is_stream=False)


def test_the_length_of_a_response_is_that_of_its_new_body() -> None:
    response = http.Response.make(200, json.dumps({"model": "a"}))
    set_body(response, b"{}")
    assert (response.raw_content, response.headers["content-length"]) == (b"{}", "2")
