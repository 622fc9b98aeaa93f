"""Entries of one chain that cannot work together."""

from typing import Any

import pytest

from shared.model.config import Stage
from shared.pipeline.chain import ChainEntry, EntryConflict, check_together, parse_chain
from tests.pipeline.catalogue import CATALOGUE, TENANT, placed


def problems_together(*chain: ChainEntry, streams: str = "buffer") -> list[EntryConflict]:
    return check_together(list(parse_chain(chain, TENANT, CATALOGUE)), streams)


def together(*chain: ChainEntry, streams: str = "buffer") -> list[str]:
    """The names of the entries at fault."""
    found = problems_together(*chain, streams=streams)
    assert all(one.why.endswith(".") for one in found)
    return [one.entry.config.name for one in found]


class TestParallelGroups:
    @pytest.mark.parametrize(
        ("first", "second", "culprit"),
        [
            ("reader", "head_reader", []),
            ("head_reader", "body_writer", []),
            ("head_writer", "body_writer", []),
            ("head_writer", "head_reader", ["head_writer"]),
            ("head_reader", "head_writer", ["head_writer"]),
            ("reader", "body_writer", ["body_writer"]),
            ("head_writer", "head_writer", ["head_writer"]),
        ],
    )
    def test_parallel_entry_that_changes_input_of_another_is_rejected(
        self, first: str, second: str, culprit: list[str]
    ) -> None:
        assert together(placed(first, parallel=True), placed(second, parallel=True)) == culprit

    @pytest.mark.parametrize(
        "other",
        [
            {"parallel": False},
            {"parallel": True, "priority": 5},
            {"parallel": True, "stage": Stage.POST_REQUEST},
            {"parallel": True, "origin": "required"},
            {"parallel": True, "enabled": False},
            {"parallel": True, "mode": "shadow"},
        ],
    )
    def test_parallel_entries_of_different_groups_are_accepted(self, other: dict[str, Any]) -> None:
        first = placed("head_writer", stage=Stage.PRE_RESPONSE, parallel=True)
        second = placed("head_reader", **{"stage": Stage.PRE_RESPONSE, **other})
        assert together(first, second) == []

    def test_two_of_different_origin_meet_in_one_group(self) -> None:
        assert together(
            placed("head_reader", "tenant", parallel=True), placed("head_writer", "rule", parallel=True)
        ) == ["head_writer"]


OUT, HEAD, BODY, END = Stage


class TestRequiredEntries:
    @pytest.mark.parametrize(
        ("judge", "stage", "rejected"),
        [
            (OUT, OUT, True), (OUT, HEAD, False), (OUT, BODY, False), (OUT, END, False),
            (HEAD, OUT, False), (HEAD, HEAD, True), (HEAD, BODY, True), (HEAD, END, False),
            # They stand last there, and judge what the others made.
            (BODY, OUT, False), (BODY, HEAD, False), (BODY, BODY, False), (BODY, END, False),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("origin", ["tenant", "rule"])
    def test_only_a_writer_that_changes_judged_data_is_rejected(
        self, judge: Stage, stage: Stage, rejected: bool, origin: str
    ) -> None:
        chain = placed("head_reader", "required", judge), placed("head_writer", origin, stage)
        assert together(*chain) == (["head_writer"] if rejected else [])


@pytest.mark.parametrize("name", ["reader", "body_writer"])
def test_an_entry_that_needs_whole_responses_works_only_where_streams_are_collected(name: str) -> None:
    item = placed(name, stage=Stage.PRE_RESPONSE)
    assert together(item, streams="pass") == [name]
    assert together(item, streams="buffer") == []
    [(_, why, at)] = problems_together(item, streams="pass")
    assert why.endswith('Set the rule\'s "streams" to "buffer".')
    assert at == ""


def test_an_entry_that_judges_events_works_on_streams_unless_its_settings_need_the_whole() -> None:
    item = placed("streaming", stage=Stage.PRE_RESPONSE, settings={"whole": True})
    [(_, why, at)] = problems_together(item, streams="pass")
    assert why.startswith(
        "streaming has a setting that needs it, but this rule forwards streams event by event. "
        "Set whole to false, or set the rule's"
    )
    assert at == "/settings/whole"
    assert together(item, streams="buffer") == []


@pytest.mark.parametrize(
    "chain",
    [
        (placed("head_reader", "required", mode="shadow"), placed("head_writer")),
        (placed("head_reader", "required"), placed("head_writer", mode="shadow")),
        (placed("head_reader", "required"), placed("body_writer")),
        (placed("head_writer", "required"), placed("reader", "required")),
        (placed("reader", stage=Stage.PRE_RESPONSE, mode="shadow"),),
        (placed("head_reader", stage=Stage.PRE_RESPONSE),),
        (placed("reader", stage=Stage.PRE_REQUEST),),
        (placed("streaming", stage=Stage.PRE_RESPONSE),),
    ],
    ids=["a shadow does not judge", "a shadow does not change", "changes what is not read", "both required",
         "a shadow sees what has passed", "the head is there at once", "a request", "judges events"],
)  # fmt: skip
def test_entries_that_do_not_disturb_each_other_work_on_streams(chain: tuple[ChainEntry, ...]) -> None:
    assert together(*chain, streams="pass") == []


def test_entries_that_disturb_each_other_are_both_named() -> None:
    [(_, why, _)] = problems_together(placed("head_writer", parallel=True), placed("reader", parallel=True))
    assert why == (
        "head_writer and reader run at the same time, but one changes the headers that the other uses. "
        "Give them different priorities."
    )
    [(_, why, _)] = problems_together(placed("reader", "required"), placed("head_writer"))
    assert why == "head_writer changes the headers that the required reader has judged before it."
