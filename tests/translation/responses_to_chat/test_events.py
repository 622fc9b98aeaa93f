"""A stream of OpenAI's chat for clients of OpenAI's responses."""

from typing import Any

import pytest

from shared.translation.framing import DONE, PING
from shared.translation.notes import HIDE, ClientTool, Context, Settings
from shared.translation.responses_to_chat.events import Events
from tests.translation.contexts import context
from tests.translation.response_streams import read_events
from tests.translation.streams import call_chunk, chunk, run

USAGE = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
END = [chunk({}, "stop"), DONE]
OPEN = ["response.created", "response.in_progress"]


def events_of(*stream: Any, given: Context | None = None) -> list[Any]:
    made = run(Events(given or context()), stream)
    read_events(made)
    return made


def kinds(events: list[Any]) -> list[str]:
    return [event["type"] for event in events]


def final(*stream: Any, given: Context | None = None) -> Any:
    return events_of(*stream, given=given)[-1]["response"]


def calls(*pieces: Any) -> Any:
    return chunk({"tool_calls": list(pieces)})


def begin(index: int | None = 0, piece: str = "", id_: str | None = "call_1", name: str = "weather") -> Any:
    return call_chunk(index, piece, id=id_, name=name)


def arguments(*stream: Any) -> list[str]:
    return [item["arguments"] for item in final(*stream, *END)["output"]]


def test_text_has_all_events_of_its_part_and_item() -> None:
    made = events_of(chunk({"role": "assistant", "content": ""}), chunk({"content": "Hel"}), *END)
    assert kinds(made) == [
        *OPEN,
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert made[0]["response"]["status"] == "in_progress"
    assert made[4] == {
        "type": "response.output_text.delta",
        "sequence_number": 4,
        "item_id": "msg_1_0",
        "output_index": 0,
        "content_index": 0,
        "delta": "Hel",
        "logprobs": [],
    }


def test_thought_is_a_summary_before_the_text() -> None:
    made = events_of(chunk({"reasoning_content": "Hm."}), chunk({"content": "So."}), *END)
    assert kinds(made)[2:9] == [
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.output_item.added",
    ]
    assert [item["type"] for item in made[-1]["response"]["output"]] == ["reasoning", "message"]


def test_thought_is_hidden_by_the_setting_and_sent_once() -> None:
    twice = chunk({"reasoning": "Hm.", "reasoning_content": "Hm.", "content": "So."})
    assert final(twice, *END)["output"][0]["summary"][0]["text"] == "Hm."
    hidden = context(settings=Settings(reasoning=HIDE))
    assert [item["type"] for item in final(twice, *END, given=hidden)["output"]] == ["message"]


def test_function_call_has_its_events() -> None:
    made = events_of(calls(begin(piece='{"a"')), calls(call_chunk(0, ":1}")), chunk({}, "tool_calls"), DONE)
    assert kinds(made) == [
        *OPEN,
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert made[2]["item"]["arguments"] == ""
    assert made[-2]["item"] == made[-1]["response"]["output"][0]
    assert made[-2]["item"]["arguments"] == '{"a":1}'


def test_pieces_of_two_calls_may_come_in_any_order() -> None:
    stream = [
        chunk({"content": "I look."}),
        calls(begin(0), begin(1, id_="call_2")),
        calls(call_chunk(1, '{"b":'), call_chunk(0, '{"a":')),
        calls(call_chunk(0, "1}"), call_chunk(1, "2}")),
    ]
    text, *found = final(*stream, *END)["output"]
    assert (text["type"], [item["arguments"] for item in found]) == ("message", ['{"a":1}', '{"b":2}'])


def test_calls_with_one_number_are_told_apart() -> None:
    assert arguments(calls(begin(0, '{"a":1}')), calls(begin(0, '{"a":2}', "call_2"))) == [
        '{"a":1}',
        '{"a":2}',
    ]
    nameless = [calls(begin(None, '{"a":1}', None)), calls(begin(None, '{"a":2}', None))]
    assert arguments(*nameless) == ['{"a":1}', '{"a":2}']


def test_arguments_that_come_twice_are_there_once() -> None:
    given = context()
    stream = [calls(begin(0, '{"a":1}')), calls(call_chunk(0, '{"a":1}')), *END]
    assert final(*stream, given=given)["output"][0]["arguments"] == '{"a":1}'
    assert given.notes.changed == ["tool_arguments"]


def test_call_waits_for_its_name_and_none_without_one_is_sent() -> None:
    late = [calls(call_chunk(0, '{"a"', id="call_1")), calls(call_chunk(0, ":1}", name="weather"))]
    assert arguments(*late) == ['{"a":1}']
    assert arguments(calls(call_chunk(0, "{}", id="call_1"))) == []


def test_call_without_arguments_has_an_empty_object() -> None:
    made = events_of(calls(begin()), *END)
    assert [event["delta"] for event in made if event["type"].endswith("arguments.delta")] == ["{}"]
    assert made[-1]["response"]["output"][0]["arguments"] == "{}"


@pytest.mark.parametrize("delta", [{"tool_calls": [{"index": 0}, "?", {"function": None}]}, {}, None, "x"])
def test_delta_that_says_nothing_makes_nothing(delta: Any) -> None:
    assert kinds(events_of(chunk(delta), *END)) == [*OPEN, "response.completed"]


def test_custom_tool_gets_its_text_in_one_piece() -> None:
    given = context()
    given.notes.client_tools["patch"] = ClientTool("custom", "patch")
    pieces = [calls(begin(0, '{"input":', name="patch")), calls(call_chunk(0, '"*** Begin"}'))]
    made = events_of(*pieces, *END, given=given)
    assert kinds(made)[2:] == [
        "response.output_item.added",
        "response.custom_tool_call_input.delta",
        "response.custom_tool_call_input.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert made[3]["delta"] == made[4]["input"] == made[5]["item"]["input"] == "*** Begin"
    assert given.notes.changed == []


def test_local_shell_gets_its_command_when_it_is_complete() -> None:
    given = context()
    given.notes.client_tools["local_shell"] = ClientTool("local_shell", "local_shell")
    made = events_of(calls(begin(0, '{"command":["ls"]}', name="local_shell")), *END, given=given)
    assert kinds(made)[2:] == [
        "response.output_item.added",
        "response.output_item.done",
        "response.completed",
    ]
    assert (made[2]["item"]["action"]["command"], made[3]["item"]["action"]["command"]) == ([], ["ls"])
    assert given.notes.changed == []


def test_refusal_is_another_part_of_the_message() -> None:
    made = events_of(chunk({"content": "I"}), chunk({"refusal": "No"}), chunk({"refusal": "."}), *END)
    assert made[-1]["response"]["output"][0]["content"][1] == {"type": "refusal", "refusal": "No."}
    assert kinds(made).count("response.refusal.delta") == 2
    assert kinds(made).count("response.output_item.added") == 1


def test_text_after_a_call_is_another_item() -> None:
    stream = [chunk({"content": "a"}), calls(begin()), chunk({"content": "b"}), *END]
    assert [item["type"] for item in final(*stream)["output"]] == ["message", "function_call", "message"]


@pytest.mark.parametrize(
    ("finish", "kind", "details"),
    [
        ("stop", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_reason_to_stop_is_the_last_event(finish: str, kind: str, details: Any) -> None:
    last = events_of(chunk({"content": "a"}), chunk({}, finish), DONE)[-1]
    assert last["type"] == f"response.{kind}"
    assert (last["response"]["status"], last["response"]["incomplete_details"]) == (kind, details)
    assert last["response"]["output"][0]["status"] == kind


def test_only_the_last_item_of_a_stream_is_incomplete() -> None:
    stream = [calls(begin(0), begin(1, id_="call_2")), chunk({}, "length"), DONE]
    assert [item["status"] for item in final(*stream)["output"]] == ["completed", "incomplete"]
    stream = [calls(begin(0)), chunk({"content": "a"}), chunk({}, "length"), DONE]
    assert [item["status"] for item in final(*stream)["output"]] == ["completed", "incomplete"]
    stream = [chunk({"content": "a"}), calls(begin(0)), chunk({"reasoning": "b"}), calls(begin(1, id_="c"))]
    assert final(*stream, chunk({}, "length"), DONE)["output"][-1]["status"] == "incomplete"


@pytest.mark.parametrize(
    "usage",
    [
        [{"choices": [], "usage": USAGE}, DONE],
        [{"choices": [], "x_groq": {"usage": USAGE}}],
        [{"choices": [], "usage": USAGE}],
    ],
)
def test_usage_comes_after_the_reason_to_stop(usage: Any) -> None:
    made = final(chunk({"content": "a"}, usage=None), chunk({}, "stop"), {"choices": []}, *usage)
    assert (made["status"], made["usage"]["total_tokens"]) == ("completed", 14)


def test_usage_on_the_last_chunk_counts_too() -> None:
    assert final(chunk({}, "stop", usage=USAGE), DONE)["usage"]["input_tokens"] == 9
    assert final(*END)["usage"] is None


def test_stream_without_its_sign_of_the_end_is_complete_after_the_reason_to_stop() -> None:
    assert final(chunk({"content": "a"}), chunk({}, "stop"))["status"] == "completed"


@pytest.mark.parametrize(
    "stream",
    [
        [],
        [DONE],
        [chunk({"content": "a"})],
        [chunk({"content": "a"}), DONE],
        [chunk({"content": "a"}), "not JSON"],
        [chunk({"content": "a"}), 7],
        [chunk({"content": "a"}), chunk({}, "error"), DONE],
    ],
)
def test_stream_that_is_cut_off_has_failed(stream: Any) -> None:
    made = events_of(*stream)
    assert (kinds(made)[0], kinds(made)[-1]) == ("response.created", "response.failed")
    assert made[-1]["response"]["status"] == "failed"
    assert made[-1]["response"]["error"]["code"] == "server_error"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        ({"type": "rate_limit_error", "message": "Slow down."}, "rate_limit_exceeded", "Slow down."),
        ({"type": "invalid_request_error", "message": "Too long."}, "invalid_prompt", "Too long."),
        ("Out of memory.", "server_error", "Out of memory."),
    ],
)
def test_error_in_the_stream_fails_the_response(error: Any, code: str, message: str) -> None:
    made = events_of(chunk({"reasoning": "Hm."}), chunk({"content": "a"}), {"error": error}, *END)
    assert made[-1]["response"]["error"] == {"code": code, "message": message}
    assert [item["type"] for item in made[-1]["response"]["output"]] == ["reasoning"]


def test_sign_of_life_is_passed_on() -> None:
    assert Events(context()).feed(PING) == [PING]


def test_other_choices_are_lost_and_reported() -> None:
    given = context()
    other = {"choices": [{"index": 1, "delta": {"content": "x"}}, 7]}
    assert final(other, chunk({"content": "a"}), *END, given=given)["output"][0]["content"][0]["text"] == "a"
    assert given.notes.dropped == ["choices"]


def test_probabilities_and_citations_stay_with_the_text() -> None:
    token = {"token": "a", "logprob": -0.5, "top_logprobs": [{"token": "b", "logprob": -1.0, "bytes": [98]}]}
    with_logprobs = chunk({"content": "a"})
    with_logprobs["choices"][0]["logprobs"] = {"content": [token]}
    cited = {"start_index": 0, "end_index": 1, "title": "A", "url": "https://a.example"}
    citation = chunk({"annotations": [{"type": "url_citation", "url_citation": cited}]})
    made = events_of(with_logprobs, citation, *END)
    plain = {"token": "a", "logprob": -0.5, "top_logprobs": [{"token": "b", "logprob": -1.0}]}
    assert made[4]["logprobs"] == made[6]["logprobs"] == [plain]
    assert (made[5]["annotation_index"], made[5]["annotation"]) == (0, {"type": "url_citation", **cited})
    part = made[-1]["response"]["output"][0]["content"][0]
    assert (part["annotations"], len(part["logprobs"])) == ([{"type": "url_citation", **cited}], 1)


@pytest.mark.parametrize("before", [[], [chunk({"refusal": "No."})]])
def test_citation_without_a_text_is_lost_and_reported(before: Any) -> None:
    given = context()
    citation = chunk({"annotations": [{"type": "url_citation", "url_citation": {}}]})
    events_of(*before, citation, *END, given=given)
    assert given.notes.dropped == ["annotations"]


def test_letter_that_is_cut_between_two_chunks_is_joined() -> None:
    made = events_of(chunk({"content": "\ud83d"}), chunk({"content": "\ude00"}), *END)
    assert made[-1]["response"]["output"][0]["content"][0]["text"] == "😀"
