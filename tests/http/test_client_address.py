"""A client cannot choose its address."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.addresses import UNKNOWN
from shared.http.client_address import client_address
from shared.model.messages import Headers

TRUSTED: list[IPv4Network | IPv6Network] = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
NAMES = st.sampled_from(
    [
        *("X-Forwarded-For", "x-forwarded-for", "X-Real-IP", "Forwarded", "True-Client-IP"),
        *("CF-Connecting-IP", "Via"),
    ]
)
ADDRESSES = st.ip_addresses().map(str)
HEADERS = st.lists(
    st.tuples(NAMES, ADDRESSES | st.text(max_size=20) | st.just("10.0.0.1, 192.0.2.7")), max_size=6
)


BAD_ENTRIES = [
    *("_hidden", "10.0.0.2:", "10.0.0.2:http", "10.0.0.2:123456", ":80", "[2001:db8::7", "[2001:db8::7]x"),
    *("[2001:db8::7]:", "[2001:db8::7]:x", "10.0.0.2:80:80", "localhost", "for=10.0.0.2", "300.1.1.1:80"),
]


def seen(peer: str, *forwarded_for: str) -> str:
    return client_address(peer, Headers(("X-Forwarded-For", value) for value in forwarded_for), TRUSTED)


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_client_address_without_proxies_is_the_normalized_peer_address(peer: str, address: str) -> None:
    assert client_address(peer, Headers(), []) == address
    assert seen(peer, "203.0.113.9") == address


@given(ADDRESSES, HEADERS)
def test_client_address_of_an_untrusted_peer_ignores_headers(peer: str, items: list[tuple[str, str]]) -> None:
    plain = client_address(peer, Headers(), [])
    if any(ip_address(plain) in network for network in TRUSTED):
        return
    assert client_address(peer, Headers(items), TRUSTED) == plain
    assert client_address(peer, Headers(items), []) == plain


@pytest.mark.parametrize(
    ("forwarded_for", "address"),
    [
        ([], "10.0.0.1"),
        (["192.0.2.1"], "192.0.2.1"),
        (["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
        (["203.0.113.9", "192.0.2.1"], "192.0.2.1"),
        (["203.0.113.9, 192.0.2.1, 10.0.0.2"], "192.0.2.1"),
        (["203.0.113.9, 192.0.2.1", "10.0.0.2,fd00::2"], "192.0.2.1"),
        (["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        (["2001:db8::7"], "2001:db8::7"),
        (["[2001:db8::7]"], "2001:db8::7"),
        (["::ffff:192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1, ::ffff:10.0.0.2"], "192.0.2.1"),
        # An empty element of a list is nothing (RFC 9110, 5.6.1.2).
        (["192.0.2.1,,"], "192.0.2.1"),
        ([""], "10.0.0.1"),
        # Azure and AWS can write the port.
        (["203.0.113.66:4000"], "203.0.113.66"),
        (["203.0.113.9, 203.0.113.66:4000, 10.0.0.2:80"], "203.0.113.66"),
        (["[2001:db8::7]:4000"], "2001:db8::7"),
        (["[::ffff:192.0.2.1]:4000, 10.0.0.2"], "192.0.2.1"),
        # This is an address without a port.
        (["2001:db8::7:4000"], "2001:db8::7:4000"),
        # Left of what is not an address, anybody may have written anything.
        (["192.0.2.1, unknown"], UNKNOWN),
        (["192.0.2.1, unknown, 10.0.0.2"], UNKNOWN),
        *(([f"192.0.2.1, {entry}"], UNKNOWN) for entry in BAD_ENTRIES),
    ],
)
def test_client_address_is_the_last_one_that_is_not_a_trusted_proxy(
    forwarded_for: list[str], address: str
) -> None:
    assert seen("10.0.0.1", *forwarded_for) == address


def test_a_trusted_peer_may_speak_either_family() -> None:
    assert seen("::ffff:10.0.0.1", "192.0.2.1") == "192.0.2.1"
    assert seen("fd00::1", "192.0.2.1") == "192.0.2.1"


@given(HEADERS, st.ip_addresses(v=4, network="192.0.2.0/24").map(str))
def test_an_address_written_by_the_client_is_not_taken(items: list[tuple[str, str]], client: str) -> None:
    behind = Headers([*items, ("X-Forwarded-For", client)])
    assert client_address("10.0.0.1", behind, TRUSTED) == client


@pytest.mark.parametrize("name", ["X-Real-IP", "Forwarded", "X_Forwarded_For", "True-Client-IP"])
def test_client_address_ignores_other_headers(name: str) -> None:
    assert client_address("10.0.0.1", Headers([(name, "192.0.2.1")]), TRUSTED) == "10.0.0.1"
