"""A plugin returns a verdict that is valid down to the last field, or a fault says what is wrong with it."""

from collections import ChainMap, namedtuple
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.config import Stage
from shared.model.messages import Exchange, Headers, Response
from shared.pipeline.plugin import CONTINUE, Continue, Patch, Plugin, Reject, Respond, Verdict
from shared.pipeline.testing import run_plugin, sample_exchange
from shared.pipeline.validate_verdict import invalid_headers_reason, invalid_reason
from tests.pipeline.world import Acting, Reading

ANY_PLUGIN = Acting()
BEFORE_THE_END = [stage for stage in Stage if stage is not Stage.POST_RESPONSE]


def reject(status: Any = 400, **more: Any) -> Reject:
    return Reject(status, more.pop("code", "no"), more.pop("message", "No."), **more)


def respond(status: Any = 200, headers: Any = None, body: Any = b"") -> Respond:
    return Respond(Response(status, Headers() if headers is None else headers, body))


DEEP: dict[str, Any] = {"headers": {"Retry-After": "1"}, "details": {"deep": [{"x": (1, 2.5, None, True)}]}}
COOKIES = respond(204, Headers([("Set-Cookie", "a=1"), ("Set-Cookie", "b=ü")]), None)


@pytest.mark.parametrize(
    ("verdict", "stage", "plugin"),
    [
        *((Continue({"seen": object()}), stage, ANY_PLUGIN) for stage in Stage),
        *(
            (reject(status, **DEEP), at, ANY_PLUGIN)
            for at in BEFORE_THE_END
            for status in (400, 418, 429, 599)
        ),
        (Continue(ChainMap({"seen": 1})), Stage.PRE_REQUEST, ANY_PLUGIN),
        (COOKIES, Stage.PRE_REQUEST, ANY_PLUGIN),
        (
            Patch(set_headers={"X-A": ""}, remove_headers=("X-B",)),
            Stage.PRE_REQUEST,
            Reading(changes="headers"),
        ),
        (Patch(body=b""), Stage.PRE_REQUEST, Reading(changes="body")),
        (Patch(body=b"x", status=404), Stage.PRE_RESPONSE, Reading(changes="body status")),
        (Patch(), Stage.POST_REQUEST, Reading()),
    ],
)
def test_a_verdict_that_fits_its_stage_is_valid(verdict: object, stage: Stage, plugin: Plugin) -> None:
    assert invalid_reason(verdict, stage, plugin) is None
    assert invalid_headers_reason({"X-A": "1"}) is None


NOTES = "its notes are not a map"


@pytest.mark.parametrize(
    ("verdict", "stage", "plugin", "why"),
    [
        *((COOKIES, at, ANY_PLUGIN, f"Respond is not possible at {at}") for at in BEFORE_THE_END[1:]),
        (reject(), Stage.POST_RESPONSE, ANY_PLUGIN, "Reject is not possible at post_response"),
        (respond(), Stage.POST_RESPONSE, ANY_PLUGIN, "Respond is not possible at post_response"),
        (Patch(), Stage.POST_RESPONSE, ANY_PLUGIN, "Patch is not possible at post_response"),
        *((make(notes=notes), Stage.PRE_REQUEST, ANY_PLUGIN, NOTES)
          for make in (Continue, reject, Patch) for notes in (None, "text", [("a", 1)])),
        *((Patch(status=status), Stage.PRE_RESPONSE, ANY_PLUGIN, f"it set the status {status!r}")
          for status in (0, 101, 199, 600, "200")),
        (Patch(body=b""), Stage.POST_REQUEST, ANY_PLUGIN, "a body cannot be changed at post_request"),
        *((patch, Stage.PRE_RESPONSE, Reading(), f"it changed the {parts}, which it does not declare")
          for patch, parts in ((Patch(set_headers={"X-A": "1"}), "headers"),
                               (Patch(remove_headers=["X-A"]), "headers"),
                               (Patch(body=b"", status=200), "body and status"))),
    ],
)  # fmt: skip
def test_a_verdict_that_does_not_fit_is_a_fault(
    verdict: object, stage: Stage, plugin: Plugin, why: str
) -> None:
    assert invalid_reason(verdict, stage, plugin) == why


@pytest.mark.parametrize("outcome", [None, True, "reject", Reject, {"status": 400}, (400, "no"), object()])
def test_anything_else_is_no_verdict(outcome: object) -> None:
    why = f"it returned {type(outcome).__name__}, not a verdict"
    assert invalid_reason(outcome, Stage.PRE_REQUEST, ANY_PLUGIN) == why


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


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=3) | st.just(Pair(1, 2)),
    lambda inner: st.lists(inner, max_size=3)
    | st.tuples(inner)
    | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(st.text(), st.dictionaries(st.text(max_size=3), JUNK))
def test_valid_reject_can_be_written_as_json(message: str, details: dict[str, Any]) -> None:
    if invalid_reason(reject(message=message, details=details), Stage.PRE_REQUEST, ANY_PLUGIN) is None:
        orjson.dumps({"message": message, **details})


def test_details_are_no_deeper_than_can_be_written() -> None:
    deep: Any = 0
    while invalid_reason(reject(details={"x": deep}), Stage.PRE_REQUEST, ANY_PLUGIN) is None:
        deepest, deep = deep, [deep]
    assert orjson.dumps({"x": deepest}).count(b"[") > 50


@given(st.builds(Patch, JUNK, JUNK, JUNK, JUNK, JUNK) | st.builds(Reject, JUNK, JUNK, JUNK, JUNK, JUNK, JUNK))
def test_verdict_with_junk_in_any_field_is_validated_without_an_error(verdict: object) -> None:
    for stage in Stage:
        assert isinstance(invalid_reason(verdict, stage, ANY_PLUGIN), str | None)


@given(st.text(), st.text())
def test_header_of_a_valid_patch_can_be_sent(name: str, value: str) -> None:
    if invalid_reason(Patch(set_headers={name: value}), Stage.PRE_REQUEST, ANY_PLUGIN) is None:
        assert name.encode("ascii")
        assert not set(value.encode()) & {0, 10, 13}


REJECTION = Reject(403, "no", "No.")


class Two(Plugin):
    """Has two stages."""

    name = "two"

    def pre_request(self, exchange: Exchange) -> Verdict:
        return REJECTION if exchange.request.body == b"bad" else CONTINUE

    async def post_request(self, exchange: Exchange) -> Verdict:
        return REJECTION if exchange.response and exchange.response.status == 500 else CONTINUE

    def pre_response(self, exchange: Exchange) -> Verdict:
        return None  # type: ignore[return-value]


def test_a_plugin_is_asked_as_the_gateway_would() -> None:
    assert run_plugin(Two(), Stage.PRE_REQUEST, sample_exchange()) == CONTINUE
    assert run_plugin(Two(), Stage.PRE_REQUEST, sample_exchange(body=b"bad")) == REJECTION
    assert run_plugin(Two(), Stage.POST_REQUEST, sample_exchange(response=Response(500))) == REJECTION


def test_fault_in_run_plugin_is_raised_with_its_reason() -> None:
    with pytest.raises(ValueError, match="a fault of two: it returned NoneType, not a verdict"):
        run_plugin(Two(), Stage.PRE_RESPONSE, sample_exchange())
    with pytest.raises(ValueError, match="two has no method post_response"):
        run_plugin(Two(), Stage.POST_RESPONSE, sample_exchange())
