"""A line is encoded once: what the log and the record have of it is the same JSON."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.log_lines import ACCESS
from shared.records.line import SAME, SHOWN
from tests.records.lines import AI, access_line, line


@given(st.text(max_size=200), st.text(max_size=200), st.sampled_from([None, AI]))
def test_line_has_all_members_of_both_halves(path: str, agent: str, ai: dict[str, Any] | None) -> None:
    one = line(path=path, user_agent=agent, ai=ai)
    found = access_line(one)
    assert json.loads(found.json) == one == found.members
    shown, rest = [json.loads(b"{%b}" % half) for half in found.halves()]
    assert tuple(shown) == SHOWN
    assert {**SAME, **shown, **rest} == one


@pytest.mark.parametrize("text", [',"trace_id":', '",\\"trace_id":"', '\\",\\"trace_id\\":'])
def test_text_of_a_client_does_not_move_the_end_of_the_first_half(text: str) -> None:
    first, _ = access_line(line(path=text, model_asked=text)).halves()
    assert json.loads(b"{%b}" % first)["model_asked"] == text


def test_line_that_json_cannot_hold_is_escaped() -> None:
    found = json.loads(access_line(line(path="/\ud800", user_agent="\udcff", ai={**AI, "input": 2**70})).json)
    assert (found["path"], found["user_agent"], found["logger"]) == ("/\\ud800", "\\udcff", ACCESS)
    assert found["ai"]["input"] == str(2**70)
