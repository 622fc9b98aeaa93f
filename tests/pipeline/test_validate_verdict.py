"""What a plugin returns is a verdict down to the last field, or a fault that says what is wrong with it."""

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.config import Stage
from shared.model.messages import Headers, Response
from shared.pipeline.plugin import CONTINUE, Continue, Exchange, Patch, Plugin, Reject, Respond
from shared.pipeline.validate_verdict import invalid_headers_reason, invalid_reason
from tests.pipeline.world import Acting

ANY_PLUGIN = Acting()
BEFORE_THE_END = [stage for stage in Stage if stage is not Stage.POST_RESPONSE]


def reject(status: Any = 400, **more: Any) -> Reject:
    return Reject(status, more.pop("code", "no"), more.pop("message", "No."), **more)


def respond(status: Any = 200, headers: Any = None, body: Any = b"") -> Respond:
    return Respond(Response(status, Headers() if headers is None else headers, body))


class Changing(Plugin):
    """Declares the parts that a test says."""

    def __init__(self, *changes: str) -> None:
        self.changes = frozenset(changes)

    def pre_request(self, exchange: Exchange) -> Continue:
        return CONTINUE


@pytest.mark.parametrize("stage", list(Stage))
def test_a_continue_is_possible_everywhere(stage: Stage) -> None:
    assert invalid_reason(Continue({"seen": object()}), stage, ANY_PLUGIN) is None


@pytest.mark.parametrize("stage", BEFORE_THE_END)
@pytest.mark.parametrize("status", [400, 418, 429, 599])
def test_a_reject_is_possible_until_the_answer_is_sent(stage: Stage, status: int) -> None:
    verdict = reject(status, headers={"Retry-After": "1"}, details={"deep": [{"x": (1, 2.5, None, True)}]})
    assert invalid_reason(verdict, stage, ANY_PLUGIN) is None


def test_a_respond_is_possible_at_pre_request() -> None:
    verdict = respond(204, Headers([("Set-Cookie", "a=1"), ("Set-Cookie", "b=ü")]), None)
    assert invalid_reason(verdict, Stage.PRE_REQUEST, ANY_PLUGIN) is None
    for stage in (Stage.POST_REQUEST, Stage.PRE_RESPONSE):
        assert invalid_reason(verdict, stage, ANY_PLUGIN) == f"Respond is not possible at {stage}"


@pytest.mark.parametrize("verdict", [reject(), respond(), Patch()])
def test_after_the_last_byte_nothing_can_be_changed(verdict: object) -> None:
    why = f"{type(verdict).__name__} is not possible at post_response"
    assert invalid_reason(verdict, Stage.POST_RESPONSE, ANY_PLUGIN) == why


def test_a_patch_changes_what_its_plugin_declares_and_its_stage_has() -> None:
    head = Patch(set_headers={"X-A": ""}, remove_headers=("X-B",))
    assert invalid_reason(head, Stage.PRE_REQUEST, Changing("headers")) is None
    assert invalid_reason(Patch(body=b""), Stage.PRE_REQUEST, Changing("body")) is None
    assert (
        invalid_reason(Patch(body=b"x", status=404), Stage.PRE_RESPONSE, Changing("body", "status")) is None
    )
    assert invalid_reason(Patch(), Stage.POST_REQUEST, Changing()) is None


def test_answer_headers_need_no_declaration() -> None:
    assert invalid_headers_reason({"X-A": "1"}) is None


@pytest.mark.parametrize("outcome", [None, True, "reject", Reject, {"status": 400}, (400, "no"), object()])
def test_anything_else_is_no_verdict(outcome: object) -> None:
    why = f"it returned {type(outcome).__name__}, not a verdict"
    assert invalid_reason(outcome, Stage.PRE_REQUEST, ANY_PLUGIN) == why


@pytest.mark.parametrize(
    "make",
    [lambda **more: Continue(**more), reject, lambda **more: Patch(**more)],
    ids=["continue", "reject", "patch"],
)
@pytest.mark.parametrize("notes", [None, "text", [("a", 1)]])
def test_notes_are_a_map(make: Callable[..., object], notes: object) -> None:
    assert invalid_reason(make(notes=notes), Stage.PRE_REQUEST, ANY_PLUGIN) == "its notes are not a map"


Pair = namedtuple("Pair", "a b")
CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("verdict", "why"),
    [
        (reject(399), "it rejected with the status 399,"),
        (reject(600), "it rejected with the status 600,"),
        (reject("400"), "it rejected with the status '400',"),
        (reject(400.0), "it rejected with the status 400.0,"),
        (reject(code=None), "a code or a message that is not text"),
        (reject(message=b"No."), "a code or a message that is not text"),
        (reject(message="\ud800"), "cannot be written as JSON"),
        (reject(details=None), "cannot be written as JSON"),
        (reject(details={"x": object()}), "cannot be written as JSON"),
        (reject(details={"x": {1: 2}}), "cannot be written as JSON"),
        (reject(details={"x": 2**64}), "cannot be written as JSON"),
        (reject(details={"x": b""}), "cannot be written as JSON"),
        (reject(details={"x": Pair(1, 2)}), "cannot be written as JSON"),
        (reject(details={"x": CYCLE}), "cannot be written as JSON"),
        (reject(headers=[("X-A", "1")]), "its headers are not a map"),
        (reject(headers={"X A": "1"}), "it named a header 'X A'"),
        (reject(headers={"Content-Length": 3}), "it set the header Content-Length to a value"),
        (Respond(None), "its response is not a Response"),  # type: ignore[arg-type]
        (respond(headers={"X-A": "1"}), "its response is not a Response"),
        (respond(199), "it responded with the status 199,"),
        (respond(600), "it responded with the status 600,"),
        (respond(None), "it responded with the status None,"),
        (respond(body="text"), "its body is not bytes"),
        (respond(headers=Headers([("X-A", "1\r\nX-B: 2")])), "it set the header X-A to a value"),
        (Patch(set_headers=None), "its headers are not a map"),  # type: ignore[arg-type]
        (Patch(set_headers={"X-A": 1}), "it set the header X-A to a value"),  # type: ignore[dict-item]
        (Patch(set_headers={"X-A": "\ud800"}), "it set the header X-A to a value"),
        (Patch(set_headers={"X-A": "\x7f"}), "it set the header X-A to a value"),
        (Patch(set_headers={"": "1"}), "it named a header ''"),
        (Patch(set_headers={b"X-A": "1"}), "it named a header b'X-A'"),  # type: ignore[dict-item]
        (Patch(remove_headers="X-A"), "the headers that it removed are not a list"),
        (Patch(remove_headers=3), "the headers that it removed are not a list"),  # type: ignore[arg-type]
        (Patch(remove_headers=("X-A\n",)), "it named a header"),
        (Patch(remove_headers=[["X-A"]]), "it named a header"),  # type: ignore[list-item]
        (Patch(set_headers={"Connection": "close"}), "it changed connection,"),
        (Patch(remove_headers=("CONTENT-LENGTH",)), "it changed content-length,"),
        (Patch(set_headers={"Transfer-Encoding": "chunked"}), "it changed transfer-encoding,"),
        (Patch(body="text"), "its body is not bytes"),  # type: ignore[arg-type]
        (Patch(status=404), "it set the status 404"),
    ],
)  # fmt: skip
def test_a_verdict_that_cannot_be_carried_out_is_a_fault(verdict: object, why: str) -> None:
    describe_error = invalid_reason(verdict, Stage.PRE_REQUEST, ANY_PLUGIN)
    assert describe_error is not None
    assert why in describe_error


@pytest.mark.parametrize("status", [0, 101, 199, 600, "200"])
def test_an_answer_gets_a_final_status(status: Any) -> None:
    assert (
        invalid_reason(Patch(status=status), Stage.PRE_RESPONSE, ANY_PLUGIN)
        == f"it set the status {status!r}"
    )


def test_a_body_that_is_not_here_yet_cannot_be_changed() -> None:
    why = "a body cannot be changed at post_request"
    assert invalid_reason(Patch(body=b""), Stage.POST_REQUEST, ANY_PLUGIN) == why


@pytest.mark.parametrize(
    ("patch", "parts"),
    [
        (Patch(set_headers={"X-A": "1"}), "headers"),
        (Patch(remove_headers=["X-A"]), "headers"),
        (Patch(body=b"", status=200), "body and status"),
    ],
)
def test_a_change_that_a_plugin_does_not_declare_is_a_fault(patch: Patch, parts: str) -> None:
    why = f"it changed the {parts}, which it does not declare"
    assert invalid_reason(patch, Stage.PRE_RESPONSE, Changing()) == why


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=3) | st.just(Pair(1, 2)),
    lambda inner: st.lists(inner, max_size=3)
    | st.tuples(inner)
    | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(st.text(), st.dictionaries(st.text(max_size=3), JUNK))
def test_what_passes_can_be_written_as_json(message: str, details: dict[str, Any]) -> None:
    if invalid_reason(reject(message=message, details=details), Stage.PRE_REQUEST, ANY_PLUGIN) is None:
        orjson.dumps({"message": message, **details})


def test_details_are_no_deeper_than_can_be_written() -> None:
    deep: Any = 0
    while invalid_reason(reject(details={"x": deep}), Stage.PRE_REQUEST, ANY_PLUGIN) is None:
        deepest, deep = deep, [deep]
    assert orjson.dumps({"x": deepest}).count(b"[") > 50


@given(st.builds(Patch, JUNK, JUNK, JUNK, JUNK, JUNK) | st.builds(Reject, JUNK, JUNK, JUNK, JUNK, JUNK, JUNK))
def test_junk_in_any_field_is_told_and_raises_nothing(verdict: object) -> None:
    for stage in Stage:
        assert isinstance(invalid_reason(verdict, stage, ANY_PLUGIN), str | None)


@given(st.text(), st.text())
def test_what_passes_can_be_sent_as_a_header(name: str, value: str) -> None:
    if invalid_reason(Patch(set_headers={name: value}), Stage.PRE_REQUEST, ANY_PLUGIN) is None:
        assert name.encode("ascii")
        assert not set(value.encode()) & {0, 10, 13}
