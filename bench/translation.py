"""`python -m bench.translation`: the CPU time of the translation between APIs.

An event of a stream is parsed, translated and written, as it is for each client. Times are CPU times, so that
other programs on the machine make little difference.
"""

import time
from collections.abc import Callable
from typing import Any

import click
import orjson

from bench.report import Target, end_with
from shared.bodies.json.parse import dump_json, parse_json
from shared.providers.calls import ANTHROPIC_MESSAGES, OPENAI_CHAT, OPENAI_RESPONSES
from shared.translation import chat_to_messages, chat_to_responses, messages_to_chat, responses_to_chat
from shared.translation.framing import read_event, write_event
from shared.translation.notes import DEFAULTS, Context
from shared.translation.pairs import TRANSLATIONS
from shared.translation.translation import Translation

_EVENTS = 20_000
_REQUESTS = 200
_TURNS = 20
_WORDS = "word " * 200

_CHUNK = (
    '{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":0,"model":"bench","choices":'
    '[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}]}'
)
_START = '{"type":"message_start","message":{"id":"msg_bench","model":"bench","usage":{"input_tokens":1}}}'
_DELTA = '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" word"}}'
_CREATED = '{"type":"response.created","response":{"id":"resp_bench","model":"bench"}}'
_OUTPUT = (
    '{"type":"response.output_text.delta","sequence_number":9,"item_id":"msg_bench","output_index":0,'
    '"content_index":0,"delta":" word","logprobs":[]}'
)
_CALL_CHUNK = (
    '{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":0,"model":"bench","choices":'
    '[{"index":0,"delta":{"tool_calls":[{"index":0,%s"function":{%s"arguments":%s}}]},"finish_reason":null}]}'
)
_CALL = _CALL_CHUNK % ('"id":"call_1","type":"function",', '"name":"tool",', '"{\\"a\\": \\""')
_PIECE = _CALL_CHUNK % ("", "", '" word"')


def per_event(translation: Translation, api: str, first: str, data: str) -> float:
    """The microseconds of one event of many that are alike, for clients of that API."""
    events = translation.events(Context(now=0, token="0" * 32))
    if not (events.feed(read_event(first)) and events.feed(read_event(data))):
        raise RuntimeError("An event of the stream became none.")
    began = time.thread_time_ns()
    for _ in range(_EVENTS):
        for event in events.feed(read_event(data)):
            write_event(event, api)
    return (time.thread_time_ns() - began) / _EVENTS / 1e3


def per_request(translation: Translation, body: bytes) -> float:
    """The microseconds of one request, parsed, translated and written."""

    def step() -> None:
        document, _ = translation.request(parse_json(body), {}, DEFAULTS)
        dump_json(document)

    return _per_step(step)


def _per_step(step: Callable[[], None]) -> float:
    began = time.thread_time_ns()
    for _ in range(_REQUESTS):
        step()
    return (time.thread_time_ns() - began) / _REQUESTS / 1e3


def conversation() -> dict[str, Any]:
    """A request of chat with turns in which the model calls a tool, about 50 kB."""
    messages: list[Any] = [{"role": "system", "content": _WORDS}]
    for number in range(_TURNS):
        function = {"name": "tool", "arguments": '{"words":"' + _WORDS + '"}'}
        messages += [
            {"role": "user", "content": _WORDS},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": f"call_{number}", "type": "function", "function": function}],
            },
            {"role": "tool", "tool_call_id": f"call_{number}", "content": _WORDS},
        ]
    tool = {"name": "tool", "parameters": {"type": "object", "properties": {"words": {"type": "string"}}}}
    return {"model": "m", "messages": messages, "tools": [{"type": "function", "function": tool}]}


def measure(rounds: int) -> list[Target]:
    """The figures of the rounds, in microseconds."""
    to_messages, to_chat = messages_to_chat.TRANSLATION, chat_to_messages.TRANSLATION
    chat = conversation()
    messages = to_chat.request(chat, {}, DEFAULTS)[0]
    of_chat, of_messages = orjson.dumps(chat), orjson.dumps(messages)
    size = f"{len(of_chat) / 1000:.0f} kB"
    steps: dict[str, tuple[float, Callable[[], float]]] = {
        "a text from chat to messages, us": (
            10,
            lambda: per_event(to_messages, ANTHROPIC_MESSAGES, _CHUNK, _CHUNK),
        ),
        "a text from messages to chat, us": (10, lambda: per_event(to_chat, OPENAI_CHAT, _START, _DELTA)),
        "arguments from chat to messages, us": (
            15,
            lambda: per_event(to_messages, ANTHROPIC_MESSAGES, _CALL, _PIECE),
        ),
        f"a request of {size} from chat to messages, us": (2_000, lambda: per_request(to_chat, of_chat)),
        "the same back, us": (2_000, lambda: per_request(to_messages, of_messages)),
    }
    steps |= _of_responses(chat)
    return [Target(text, [step() for _ in range(rounds)], bound) for text, (bound, step) in steps.items()]


def _of_responses(chat: dict[str, Any]) -> dict[str, tuple[float, Callable[[], float]]]:
    """The steps with OpenAI's responses, each with the most microseconds that it may take."""
    to_responses, to_chat = responses_to_chat.TRANSLATION, chat_to_responses.TRANSLATION
    twice = TRANSLATIONS[OPENAI_RESPONSES, ANTHROPIC_MESSAGES]
    responses = to_chat.request(chat, {}, DEFAULTS)[0]
    of_chat, of_responses = orjson.dumps(chat), orjson.dumps(responses)
    return {
        "a text from chat to responses, us": (
            10,
            lambda: per_event(to_responses, OPENAI_RESPONSES, _CHUNK, _CHUNK),
        ),
        "a text from responses to chat, us": (
            10,
            lambda: per_event(to_chat, OPENAI_CHAT, _CREATED, _OUTPUT),
        ),
        "arguments from chat to responses, us": (
            15,
            lambda: per_event(to_responses, OPENAI_RESPONSES, _CALL, _PIECE),
        ),
        "a text from messages to responses, us": (
            20,
            lambda: per_event(twice, OPENAI_RESPONSES, _START, _DELTA),
        ),
        "the request from chat to responses, us": (2_000, lambda: per_request(to_chat, of_chat)),
        "the request from responses to chat, us": (2_000, lambda: per_request(to_responses, of_responses)),
    }


@click.command()
@click.option("--rounds", default=5, help="How often each is measured.")
def main(rounds: int) -> None:
    """Measure the translation of events and requests. Exit code 1 when a target is missed."""
    found = measure(rounds)
    end_with(found)


if __name__ == "__main__":
    main()
