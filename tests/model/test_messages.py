"""Header fields as values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.config import Rule, Tenant
from shared.model.messages import Exchange, Headers, Request, Response, first_value

NAMES = st.sampled_from(["A", "a", "B", "b", "C"])
ITEMS = st.lists(st.tuples(NAMES, st.sampled_from(["1", "2", ""])), max_size=6)


def test_names_compare_without_case_and_repeated_headers_stay_repeated() -> None:
    head = Headers([("Set-Cookie", "a=1"), ("X", "y"), ("set-cookie", "b=2")])
    assert head["SET-COOKIE"] == head.get("set-Cookie") == "a=1"
    assert head.all("Set-cookie") == ("a=1", "b=2")
    assert "sEt-Cookie" in head
    assert list(head) == [("Set-Cookie", "a=1"), ("X", "y"), ("set-cookie", "b=2")]
    assert len(head) == 3


def test_absent_header_is_not_found() -> None:
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
def test_a_patch_changes_only_its_names(
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


@given(
    st.lists(st.tuples(st.sampled_from(["A", "a", "b", "C"]), st.sampled_from("xy"), st.sampled_from("xy"))),
    st.booleans(),
)
def test_renewed_headers_are_found_by_name_as_new_ones(
    values: list[tuple[str, str, str]], is_indexed: bool
) -> None:
    head = Headers([(name, old) for name, old, _ in values])
    fresh = Headers([(name, new) for name, _, new in values])
    if is_indexed:
        head.by_name()
    same = zip(head.fields, fresh.fields, strict=True)
    renewed = head.renewed(tuple([old if old == new else new for old, new in same]))
    assert renewed == fresh
    assert renewed.by_name() == fresh.by_name()
    assert head.renewed(head.fields) is head


def test_messages_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Request("GET", "/", Headers()).path = "/x"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Response(200).status = 500  # type: ignore[misc]


@given(
    ITEMS,
    st.dictionaries(st.sampled_from(["A", "B", "X"]), st.sampled_from(["1", "ä", "€"])),
    st.lists(NAMES),
)
def test_a_head_of_bytes_is_patched_too(
    items: list[tuple[str, str]], put: dict[str, str], gone: list[str]
) -> None:
    plain = Headers(items)
    from_wire = Headers.of(plain.fields).patched(put, gone)
    assert from_wire == plain.patched(put, gone)
    assert from_wire.fields == plain.patched(put, gone).fields


def test_a_part_is_replaced_and_all_else_stays() -> None:
    tenant, rule = Tenant("t1", "T", "t1"), Rule("r1", "/", "http://u.example")
    request = Request("GET", "/a", Headers([("A", "1")]), "q=1", b"body")
    exchange = Exchange("id", tenant, rule, request, "192.0.2.1", None, Response(200), {"n": 1})
    assert request.with_body(b"x") == request._replace(body=b"x")
    assert exchange.with_request(request.with_body(None)) == exchange._replace(
        request=request._replace(body=None)
    )
    assert exchange.with_response(Response(404)) == exchange._replace(response=Response(404))
    assert exchange.with_notes({}) == exchange._replace(notes={})


def test_renewed_headers_have_the_new_values_also_of_a_name_that_stands_twice() -> None:
    same = (b"Host", b"a")
    once = Headers.of((same, (b"X", b"1")))
    twice = Headers.of((same, (b"X", b"1"), (b"x", b"2")))
    assert once.get("x") == "1"
    assert twice.all("x") == ("1", "2")
    assert once.renewed((same, (b"X", b"3"))).get("x") == "3"
    assert twice.renewed((same, (b"X", b"1"), (b"x", b"3"))).all("x") == ("1", "3")


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ((), b""),
        (((b"Accept", b"a"),), b""),
        (((b"Accept", b"a"), (b"Content-TYPE", b"b"), (b"content-type", b"c")), b"b"),
    ],
    ids=["no field", "another field", "several"],
)
def test_first_value_is_found_by_a_name_without_case(
    fields: tuple[tuple[bytes, bytes], ...], value: bytes
) -> None:
    assert first_value(fields, "content-type") == value
