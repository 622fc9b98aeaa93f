"""The gateway key of a request: where it is found, and that it travels nowhere else."""

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.messages import Headers
from shared.routing.client_keys import (
    has_key,
    own_credentials,
    query_without_keys,
    sent_key,
    without_stray_keys,
)
from shared.secrets.api_keys import mint_key

KEY = mint_key(lambda count: bytes(range(count))).text
OTHER = mint_key(lambda count: bytes(count)).text
PLACES = ["X-Gateway-Key", "Authorization", "x-api-key", "api-key", "x-goog-api-key"]


def found(*items: tuple[str, str], query: str = "") -> tuple[bool, str | None, bool]:
    return tuple(sent_key(Headers(items), query))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", f"Bearer {KEY}"),
        ("AUTHORIZATION", f"bearer   {KEY} "),
        ("Authorization", KEY),
        ("x-api-key", KEY),
        ("X-API-Key", f" {KEY}"),
        ("api-key", KEY),
        ("x-goog-api-key", KEY),
    ],
)
def test_key_is_found_in_each_header_of_an_sdk(name: str, value: str) -> None:
    assert found((name, value)) == (True, KEY, False)


def test_key_is_found_in_the_gateways_own_header() -> None:
    assert found(("X-Gateway-Key", KEY)) == (True, KEY, True)


@pytest.mark.parametrize("query", [f"key={KEY}", f"alt=sse&key={KEY}", f"key={KEY}&x", f"key={quote(KEY)}"])
def test_key_is_found_in_the_query(query: str) -> None:
    assert found(query=query) == (True, KEY, False)


@pytest.mark.parametrize("query", [f"monkey={KEY}", f"KEY={KEY}", f"x=1&apikey={KEY}", KEY])
def test_key_under_another_name_of_the_query_is_not_taken(query: str) -> None:
    assert found(query=query) == (False, None, False)


@pytest.mark.parametrize(
    "foreign", ["Bearer sk-ant-oat01-x", "Basic dTpw", "Bearer", "Digest x", f"Token {OTHER}"]
)
@pytest.mark.parametrize("name", ["x-api-key", "api-key", "x-goog-api-key", "X-Gateway-Key"])
def test_foreign_credential_beside_a_key_does_not_hide_it(foreign: str, name: str) -> None:
    assert found(("Authorization", foreign), (name, KEY))[:2] == (True, KEY)
    assert found((name, KEY), ("Authorization", foreign))[:2] == (True, KEY)


def test_foreign_keys_in_all_places_but_the_last_do_not_hide_it() -> None:
    foreign = [(name, "AIzaSomethingElse") for name in PLACES]
    assert found(*foreign, query=f"key=AIza&key={KEY}") == (True, KEY, False)


@pytest.mark.parametrize("first", range(len(PLACES)))
def test_first_of_two_keys_counts_whatever_their_order_in_the_head(first: int) -> None:
    items = [(name, OTHER) for name in PLACES[first + 1 :]] + [(PLACES[first], KEY)]
    assert found(*items, query=f"key={OTHER}")[1] == KEY


@pytest.mark.parametrize(
    "items", [[], [("Authorization", "Bearer")], [("Authorization", "Bearer ")], [("x-api-key", "")]]
)
def test_request_without_a_key_has_no_credential(items: list[tuple[str, str]]) -> None:
    assert found(*items) == (False, None, False)


@pytest.mark.parametrize("text", ["gwk_", KEY[:-1], KEY + "x", KEY[:-1] + "0", "sk-abc", "ä" * 61])
def test_malformed_key_is_a_credential_and_no_key(text: str) -> None:
    assert found(("x-api-key", text)) == (True, None, False)


@pytest.mark.parametrize(
    ("name", "value", "left"),
    [
        ("X-Note", KEY, None),
        ("X-Auth", f"Bearer {KEY}", None),
        ("x_api_key", KEY, None),
        ("X-Note", f"before {KEY} after", "before  after"),
        ("Cookie", f"a=1; key={KEY}; b=2", "a=1; b=2"),
        ("Cookie", f"key={KEY}", None),
        ("Referer", f"https://a.example/?key={KEY}", "https://a.example/?key="),
        ("X-Two", f"{KEY},{OTHER}", None),
        ("X-Note", KEY[:-1], KEY[:-1]),
        ("X-Note", "gwk_ is how keys begin", "gwk_ is how keys begin"),
    ],
)
def test_key_in_another_header_is_cut_out(name: str, value: str, left: str | None) -> None:
    head = without_stray_keys(Headers([("Host", "a"), (name, value), ("X-Empty", "")]))
    assert head.get(name) == left
    assert (head["host"], head["x-empty"]) == ("a", "")


@pytest.mark.parametrize(
    ("query", "left"),
    [
        (f"key={KEY}", ""),
        (f"a=1&key={KEY}&b=%20&a=2", "a=1&b=%20&a=2"),
        (f"token={KEY}&alt=sse", "alt=sse"),
        (f"k={KEY.replace('_', '%5F')}&x", "x"),
        (f"q=say+{KEY}&x=%zz", "x=%zz"),
        ("key=AIzaForeign&a=%26", "key=AIzaForeign&a=%26"),
        ("&&a=1&", "&&a=1&"),
    ],
)
def test_parameter_with_a_key_leaves_the_query_and_no_other_changes(query: str, left: str) -> None:
    assert query_without_keys(query) == left


@given(st.text(max_size=10), st.text(max_size=10), st.sampled_from(["X-A", "Cookie", "Referer", "x.api.key"]))
def test_no_surrounding_saves_a_key(before: str, after: str, name: str) -> None:
    value = f"{before}{KEY}{after}".encode()
    head = without_stray_keys(Headers.of(((name.encode(), value),)))
    assert KEY.encode() not in b"".join(value for _, value in head.fields)
    query = f"{quote(before)}{KEY}{quote(after)}"
    assert not has_key(query_without_keys(query))


def test_own_credentials_are_those_of_the_client_without_keys_of_the_gateway() -> None:
    sent = Headers(
        [
            *(("Authorization", "Bearer sk-ant-oat01-x"), ("x-api-key", KEY), ("X-Gateway-Key", KEY)),
            *(("x-goog-api-key", "AIza"), ("Proxy-Authorization", "Basic x"), ("Accept", "a")),
        ]
    )
    names = [name for name, _ in own_credentials(sent)]
    assert names == [b"Authorization", b"x-goog-api-key"]


def test_key_inside_basic_credentials_is_not_read() -> None:
    text = base64.b64encode(f"user:{KEY}".encode()).decode()
    assert found(("Authorization", f"Basic {text}")) == (True, None, False)
