"""Addresses have one spelling, and belong to networks of their own family."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.addresses import UNKNOWN, client_network, is_address, is_in, is_own_name, plain_address


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("127.0.0.1", "127.0.0.1"),
        (" 127.0.0.1 ", "127.0.0.1"),
        ("[::1]", "::1"),
        ("::FFFF:7f00:1", "127.0.0.1"),
        ("[::ffff:127.0.0.1]", "127.0.0.1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_brackets_zones_and_mappings_are_taken_away(text: str, plain: str) -> None:
    assert str(plain_address(text)) == plain


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.1", "0x7f.0.0.1", "127.0.0.01", "1.2.3.4:80", "1.2.3.4/8", "::1::"]
)
def test_malformed_address_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="does not appear to be an IPv4 or IPv6 address"):
        plain_address(text)


def test_a_network_holds_addresses_of_its_own_family() -> None:
    networks = [ip_network("10.0.0.0/8"), ip_network("::/0")]
    assert is_in(plain_address("10.1.2.3"), networks)
    assert is_in(plain_address("::1"), networks)
    assert not is_in(plain_address("192.0.2.1"), networks)
    assert not is_in(plain_address("10.1.2.3"), [])


def test_an_ipv6_network_counts_as_one_and_a_mapped_address_as_ipv4() -> None:
    assert (
        client_network("2001:db8:0:1::1")
        == client_network("2001:db8:0:1:ffff::2")
        != client_network("2001:db8:0:2::1")
    )
    assert client_network("::ffff:192.0.2.7") == "192.0.2.7"
    assert client_network(UNKNOWN) == UNKNOWN
    with pytest.raises(ValueError, match="address"):
        client_network("nobody")


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_addresses_of_one_64_network_count_as_one(address: object, host: int) -> None:
    plain = int(address)  # type: ignore[call-overload]
    other = type(address)((plain >> 64 << 64) | host)  # type: ignore[call-arg]
    if other.ipv4_mapped is None and address.ipv4_mapped is None:  # type: ignore[attr-defined]
        assert client_network(str(other)) == client_network(str(address))


def test_address_is_told_from_a_name() -> None:
    assert is_address("192.0.2.7")
    assert is_address("2001:db8::7")
    assert not is_address("example.com")
    assert not is_address("[2001:db8::7]")


@pytest.mark.parametrize("name", ["127.0.0.1", "::1", "::ffff:127.0.0.9", "localhost", "localhost."])
def test_names_of_this_machine_by_itself(name: str) -> None:
    assert is_own_name(name)


@pytest.mark.parametrize("name", ["", "[::1]", " 127.0.0.1", "192.0.2.7", "localhost.example.com"])
def test_other_names_are_not_this_machine(name: str) -> None:
    assert not is_own_name(name)
