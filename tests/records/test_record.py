"""A record is short, says all that the log says, and is read back."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.records.record import CUT, MAX_EVENT, MAX_TRACE, encoded, whole_line
from tests.records.lines import AI, NOW, access_line, line


def stored(one: dict[str, Any], decision: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    event, trace = encoded(NOW, access_line(one), decision)
    assert len(event) <= MAX_EVENT
    assert len(trace) <= MAX_TRACE
    return json.loads(event), json.loads(trace)


@pytest.mark.parametrize("ai", [None, AI])
def test_record_has_the_whole_line_of_the_log(ai: dict[str, Any] | None) -> None:
    one = line(ai=ai)
    event, trace = stored(one, {"limits": [{"name": "global"}]})
    assert whole_line(event, trace) == {**one, "time": NOW}
    assert trace["decision"] == {"limits": [{"name": "global"}]}
    assert event["attempts"] == 1


@pytest.mark.parametrize("text", [',"trace_id":', '",\\"trace_id":"', '\\",\\"trace_id\\":'])
def test_text_of_a_client_does_not_move_the_end_of_the_event(text: str) -> None:
    one = line(path=text, model_asked=text, user_agent=text)
    assert whole_line(*stored(one, {})) == {**one, "time": NOW}


def test_record_of_a_call_of_a_model_shows_its_use_and_cost_in_lists() -> None:
    event, _ = stored(line(ai=AI), {})
    shown = ("model", "provider", "input", "cached", "output", "cost")
    assert [event[name] for name in shown] == ["gpt-5.6", "openai", 1_000, 400, 50, "0.0015"]


_TEXT = st.text(max_size=2_000)


@given(_TEXT, _TEXT, st.text('\x00"\\', max_size=3_000))
def test_record_of_any_texts_of_a_client_is_bounded_and_keeps_its_ids(
    path: str, model: str, fault: str
) -> None:
    steps = [{"plugin": f"plugin_{number}_{'x' * 40}", "fault": fault} for number in range(50)]
    ai = {**AI, "model": model}
    one = line(request_id="r" * 128, path=path, model_asked=model, user_agent=fault, ai=ai)
    event, trace = stored(one, {"steps": steps})
    ids = {name: event[name] for name in ("request_id", "tenant", "rule", "key")}
    assert ids == {"request_id": "r" * 128, "tenant": "acme", "rule": "rule_1", "key": "key_1"}
    assert trace[CUT]


def test_record_is_made_of_what_json_does_not_have() -> None:
    event, _ = stored(line(path="/\ud800", ai={**AI, "input": 10**30}), {})
    assert event["path"] == "/\\ud800"
