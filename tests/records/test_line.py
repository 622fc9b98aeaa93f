"""A line is encoded once, for the log and for the record."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.log_lines import ACCESS
from shared.records.line import REST, SAME, SHOWN
from tests.records.lines import AI, access_line, line


@given(st.text(max_size=200), st.text(max_size=200), st.sampled_from([None, AI]))
def test_line_has_all_members_in_their_order(path: str, agent: str, ai: dict[str, Any] | None) -> None:
    one = line(path=path, user_agent=agent, ai=ai)
    found = access_line(one)
    assert json.loads(found.json) == one == found.members
    assert tuple(found.members)[: len(SAME) + len(SHOWN) + 1] == (*SAME, *SHOWN, REST)


def test_line_that_json_cannot_hold_is_escaped() -> None:
    found = json.loads(access_line(line(path="/\ud800", user_agent="\udcff", ai={**AI, "input": 2**70})).json)
    assert (found["path"], found["user_agent"], found["logger"]) == ("/\\ud800", "\\udcff", ACCESS)
    assert found["ai"]["input"] == str(2**70)
