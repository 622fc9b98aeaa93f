"""W3C Trace Context, by the cases of its own test suite (w3c/trace-context, test/test.py)."""

import os
import re

import pytest

from shared.http.trace_context import Tracing, match_traceparent, read_context, trace_state
from shared.http.varying import VARYING
from shared.model.messages import Headers

TRACE, SPAN = "12345678901234567890123456789012", "1234567890123456"
VALID = f"00-{TRACE}-{SPAN}-01"
INVALID = [
    *(f"00-{TRACE}-{SPAN}-01.", f"00-{TRACE}-{SPAN}-01-what-the-future-will-be-like"),
    f"cc-{TRACE}-{SPAN}-01.what-the-future-will-be-like",
    *(f"{version}-{TRACE}-{SPAN}-01" for version in ("ff", ".0", "0.", "000", "0000", "0", "", "0A", "FF")),
    *(
        f"00-{trace}-{SPAN}-01"
        for trace in ("0" * 32, f".{TRACE[1:]}", f"{TRACE[1:]}.", f"{TRACE}3", TRACE[1:])
    ),
    *(f"00-{'abcdef' * 5}ab-{SPAN}-01".upper(), f"00-{TRACE}-{'abcdef12' * 2}-01".upper()),
    *(f"00-{TRACE}-{span}-01" for span in ("0" * 16, f".{SPAN[1:]}", f"{SPAN[1:]}.", f"{SPAN}7", SPAN[1:])),
    *(f"00-{TRACE}-{SPAN}-{flags}" for flags in (".0", "0.", "001", "1", "", "0A")),
    *("", TRACE, VALID.replace("-", "_"), f"{VALID}\n", f"{VALID},{VALID}", "\u0660\u0660" + VALID[2:]),
]


def with_parent(*parents: str, states: tuple[str, ...] = ()) -> Headers:
    return Headers([*(("traceparent", one) for one in parents), *(("tracestate", one) for one in states)])


@pytest.mark.parametrize("value", INVALID)
def test_traceparent_that_is_not_valid_is_not_continued(value: str) -> None:
    assert read_context(with_parent(value)) is None
    assert not match_traceparent(value.encode())


@pytest.mark.parametrize("version", ["00", "01", "cc", "fe"])
def test_traceparent_of_this_and_later_versions_is_continued(version: str) -> None:
    found = read_context(with_parent(f"{version}-{TRACE}-{SPAN}-01"))
    assert found is not None
    assert (found.trace_id, found.parent, found.flags) == (TRACE, SPAN, 1)
    assert match_traceparent(f"{version}-{TRACE}-{SPAN}-01".encode())


def test_traceparent_of_a_later_version_may_have_more_fields_and_is_sent_as_ours() -> None:
    found = read_context(with_parent(f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like"))
    assert found is not None
    assert found.fields(1) == ((b"traceparent", VALID.encode()),)


def test_two_traceparents_name_no_trace() -> None:
    assert read_context(with_parent(VALID, VALID)) is None


def test_flags_that_are_not_known_are_cleared() -> None:
    found = read_context(with_parent(f"00-{TRACE}-{SPAN}-ff"))
    assert found is not None
    assert found.fields(1) == ((b"traceparent", f"00-{TRACE}-{SPAN}-03".encode()),)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (["foo=1,bar=2"], "foo=1,bar=2"),
        (["foo=1,bar=2", "rojo=1,congo=2", "baz=3"], "foo=1,bar=2,rojo=1,congo=2,baz=3"),
        ([""], ""),
        (["foo=1", ""], "foo=1"),
        (["", "foo=1"], "foo=1"),
        (["foo=1 \t , \t bar=2, \t baz=3"], "foo=1,bar=2,baz=3"),
        (["\t foo=1 \t"], "foo=1"),
        (["foo=1,,bar=2,"], "foo=1,bar=2"),
        (["foo=1,foo=1"], ""),
        (["foo=1", "foo=2"], ""),
        (["foo =1"], ""),
        (["FOO=1"], ""),
        (["foo.bar=1"], ""),
        (["foo@=1,bar=2"], ""),
        (["@foo=1,bar=2"], ""),
        (["foo@@bar=1,bar=2"], ""),
        (["foo@bar@baz=1,bar=2"], ""),
        (["foo=bar=baz"], ""),
        (["foo=,bar=3"], ""),
        (["foo"], ""),
        (["foo=\u20ac"], ""),
        (["t61rcWkgMzE@vendor=1"], ""),
        ([f"{'z' * 241}@{'v' * 14}=1"], f"{'z' * 241}@{'v' * 14}=1"),
        ([f"{'z' * 242}@v=1"], ""),
        ([f"t@{'v' * 15}=1"], ""),
        ([f"{'z' * 256}=1"], f"{'z' * 256}=1"),
        ([f"{'z' * 257}=1"], ""),
        ([f"a={'v' * 256}"], f"a={'v' * 256}"),
        ([f"a={'v' * 257}"], ""),
    ],
)
def test_tracestate_is_passed_on_as_one_or_dropped_as_a_whole(sent: list[str], kept: str) -> None:
    assert trace_state(sent) == kept


def test_tracestate_of_all_allowed_characters_is_kept() -> None:
    key = "abcdefghijklmnopqrstuvwxyz0123456789_-*/@a-z0-9_-*/"
    value = "".join(chr(one) for one in range(0x20, 0x7F) if chr(one) not in ",=")
    assert trace_state([f"{key}={value}"]) == f"{key}={value}"


def test_tracestate_has_at_most_32_members() -> None:
    members = [f"bar{number:02}={number:02}" for number in range(33)]
    assert trace_state([",".join(members[:20]), ",".join(members[20:32])]) == ",".join(members[:32])
    assert trace_state([",".join(members)]) == ""


def test_long_tracestate_loses_long_members_first_and_then_the_last_ones() -> None:
    long, short = f"long={'v' * 200}", [f"k{number:02}={'v' * 20}" for number in range(30)]
    found = trace_state([",".join([long, *short])])
    assert len(found) <= 512
    assert found == ",".join(short[: found.count(",") + 1])
    assert trace_state([f"{long},b=1,{long.replace('l', 'm')}"]) == f"{long},b=1,{long.replace('l', 'm')}"


def test_gateway_that_exports_nothing_passes_on_what_is_valid_and_begins_nothing() -> None:
    tracing = Tracing(os.urandom)
    assert tracing.context(with_parent()) is None
    assert tracing.context(with_parent("nonsense", states=("a=1",))) is None
    found = tracing.context(with_parent(VALID, states=("a=1", "b=2")))
    assert found is not None
    assert not found.is_exported
    assert found.fields(1) == ((b"traceparent", VALID.encode()), (b"tracestate", b"a=1,b=2"))


def test_gateway_that_exports_spans_is_the_parent_of_each_attempt() -> None:
    tracing = Tracing(os.urandom, 1.0)
    found = tracing.context(with_parent(VALID, states=("a=1",)))
    assert found is not None
    assert found.is_exported
    assert (found.trace_id, found.parent) == (TRACE, SPAN)
    first, second = (found.fields(number)[0][1].decode() for number in (1, 2))
    for number, sent in ((1, first), (2, second)):
        assert sent == f"00-{TRACE}-{found.span + number:016x}-01"
        assert re.fullmatch("[0-9a-f-]{55}", sent)
    assert found.fields(1)[1] == (b"tracestate", b"a=1")


@pytest.mark.parametrize("sent", [(), ("nonsense",), (VALID, VALID)])
def test_gateway_that_exports_spans_begins_a_trace_without_a_valid_one(sent: tuple[str, ...]) -> None:
    tracing = Tracing(os.urandom, 1.0)
    made = [tracing.context(with_parent(*sent, states=("a=1",))) for _ in range(2)]
    one, other = made
    assert one is not None
    assert other is not None
    assert len({one.trace_id, other.trace_id, TRACE}) == 3
    assert (one.parent, one.state, one.is_exported) == ("", "", True)
    assert match_traceparent(one.fields(1)[0][1])


def test_share_decides_which_traces_are_exported_and_clients_decide_theirs() -> None:
    numbers = iter(range(1_000))

    def evenly(size: int) -> bytes:
        return (b"\1" * 8 + (next(numbers) * 2**64 // 1_000).to_bytes(8) + b"\2" * 8)[:size]

    tracing = Tracing(evenly, 0.25)
    made = [tracing.context(Headers()) for _ in range(1_000)]
    assert sum(one is not None and one.is_exported for one in made) == 250
    never = Tracing(os.urandom, 0.0)
    asked, silent = (never.context(with_parent(f"00-{TRACE}-{SPAN}-{flag}")) for flag in ("01", "00"))
    assert asked is not None
    assert silent is not None
    assert (asked.is_exported, silent.is_exported) == (True, False)


@pytest.mark.parametrize("zeros", [b"\0" * 24, b"\xff" * 24])
def test_ids_are_never_zero_nor_too_long(zeros: bytes) -> None:
    context = Tracing(lambda size: zeros[:size], 1.0).context(with_parent(VALID))
    assert context is not None
    assert match_traceparent(context.fields(1_000)[0][1])


def test_value_that_may_vary_on_a_connection_is_a_valid_one() -> None:
    assert VARYING[b"traceparent"] is match_traceparent
