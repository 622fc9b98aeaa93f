"""Header fields as values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.messages import Headers, Request, Response

NAMES = st.sampled_from(["A", "a", "B", "b", "C"])
ITEMS = st.lists(st.tuples(NAMES, st.sampled_from(["1", "2", ""])), max_size=6)


def test_names_compare_without_case_and_repeated_headers_stay_repeated() -> None:
    head = Headers([("Set-Cookie", "a=1"), ("X", "y"), ("set-cookie", "b=2")])
    assert head["SET-COOKIE"] == head.get("set-Cookie") == "a=1"
    assert head.all("Set-cookie") == ("a=1", "b=2")
    assert "sEt-Cookie" in head
    assert list(head) == [("Set-Cookie", "a=1"), ("X", "y"), ("set-cookie", "b=2")]
    assert len(head) == 3


def test_what_is_absent_is_absent() -> None:
    head = Headers()
    assert head.get("x") is None
    assert head.get("x", "y") == "y"
    assert head.all("x") == ()
    assert "x" not in head
    assert 1 not in head
    with pytest.raises(KeyError):
        head["x"]


def test_headers_are_equal_by_what_they_hold_and_cannot_be_keys() -> None:
    assert Headers([("A", "1")]) == Headers(iter([("A", "1")]))
    assert Headers([("A", "1")]) != Headers([("a", "1")])
    assert Headers() != ()
    with pytest.raises(TypeError):
        hash(Headers())
    assert repr(Headers([("A", "1")])) == "Headers([('A', '1')])"


def test_a_patch_sets_each_name_once_and_removes_every_spelling() -> None:
    head = Headers([("A", "1"), ("B", "2"), ("a", "3"), ("C", "4")])
    patched = head.patched({"a": "new", "D": "5"}, ["b"])
    assert list(patched) == [("C", "4"), ("a", "new"), ("D", "5")]
    assert next(iter(head)) == ("A", "1")
    assert head.patched({}, ()) is head


@given(ITEMS, st.dictionaries(st.sampled_from(["A", "B", "X"]), st.just("set")), st.lists(NAMES, max_size=3))
def test_a_patch_touches_only_what_it_names(
    items: list[tuple[str, str]], put: dict[str, str], gone: list[str]
) -> None:
    patched = Headers(items).patched(put, gone)
    named = {name.lower() for name in (*put, *gone)}
    assert [item for item in patched if item[0].lower() not in named] == [
        item for item in items if item[0].lower() not in named
    ]
    assert {name: patched.all(name) for name in put} == {name: ("set",) for name in put}
    assert all(patched.all(name) == () for name in gone if name.lower() not in {one.lower() for one in put})


@given(ITEMS)
def test_looking_up_finds_what_reading_through_finds(items: list[tuple[str, str]]) -> None:
    head = Headers(items)
    for name in ("A", "b", "C", "x"):
        assert head.all(name) == tuple(value for key, value in items if key.lower() == name.lower())


def test_messages_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Request("GET", "/", Headers()).path = "/x"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Response(200).status = 500  # type: ignore[misc]
