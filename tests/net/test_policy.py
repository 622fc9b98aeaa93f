"""The addresses that may be called for a tenant."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.net.policy import Policy, forbidden_reason

PUBLIC = Policy()
EVERYTHING = Policy(allowed_networks=(ip_network("0.0.0.0/0"), ip_network("::/0")))


INNER = [
    *("127.0.0.1", "127.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
    *("100.100.100.200", "192.0.0.192", "168.63.129.16", "0.0.0.0", "0.1.2.3", "224.0.0.1", "239.1.1.1"),
    *("240.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1", "192.88.99.1"),
    *("::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1", "2001:db8::1", "100::1"),
    *("4000::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "::ffff:0:10.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b:1::10.0.0.1", "2002:7f00:1::", "2002:a9fe:a9fe::1"),
    *("2001:0:4136:e378::1", "64:ff9b:1::808:808", "3fff::1", "5f00::1"),
]


@pytest.mark.parametrize("address", INNER)
def test_inner_addresses_are_rejected(address: str) -> None:
    assert forbidden_reason(address, 443, PUBLIC)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"]
)
def test_public_addresses_are_allowed(address: str) -> None:
    assert forbidden_reason(address, 443, PUBLIC) is None


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_every_address_that_is_not_public_is_rejected(address: IPv4Address | IPv6Address) -> None:
    if not address.is_global or address.is_multicast:
        assert forbidden_reason(str(address), 443, PUBLIC)


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:{}", "::{}", "64:ff9b::{}", "::ffff:0:{}"]))
def test_an_address_in_disguise_gets_no_better_verdict(address: IPv4Address, disguise: str) -> None:
    if forbidden_reason(str(address), 443, PUBLIC) and int(address) > 1:
        assert forbidden_reason(disguise.format(address), 443, PUBLIC)


@given(st.ip_addresses(v=4))
def test_6to4_gets_no_better_verdict(address: IPv4Address) -> None:
    disguised = IPv6Address((0x2002 << 112) | (int(address) << 80) | 1)
    if forbidden_reason(str(address), 443, PUBLIC):
        assert forbidden_reason(str(disguised), 443, PUBLIC)


def test_a_network_that_the_operator_opens_is_allowed() -> None:
    policy = Policy(allowed_networks=(ip_network("10.1.0.0/16"), ip_network("fd00::/8")))
    assert forbidden_reason("10.1.2.3", 80, policy) is None
    assert forbidden_reason("::ffff:10.1.2.3", 80, policy) is None
    assert forbidden_reason("fd12::1", 80, policy) is None
    assert forbidden_reason("10.2.0.1", 80, policy)


@given(
    st.ip_addresses(network="224.0.0.0/4")
    | st.ip_addresses(network="ff00::/8")
    | st.sampled_from([ip_address("0.0.0.0"), ip_address("::")])
)
def test_unspecified_and_multicast_addresses_are_never_allowed(address: IPv4Address | IPv6Address) -> None:
    assert forbidden_reason(str(address), 80, EVERYTHING)


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1"])
def test_our_own_listeners_are_rejected_even_in_an_open_network(address: str) -> None:
    policy = Policy(EVERYTHING.allowed_networks, own_listeners=(("127.0.0.1", 8080), ("localhost", 6379)))
    assert forbidden_reason(address, 8080, policy)
    assert forbidden_reason(address, 6379, policy)
    assert forbidden_reason(address, 9000, policy) is None
    assert forbidden_reason("127.0.0.2", 8080, policy) is None


@pytest.mark.parametrize("listener", ["0.0.0.0", "::"])
def test_a_listener_on_all_addresses_owns_every_address_of_this_machine(listener: str) -> None:
    policy = Policy(EVERYTHING.allowed_networks, own_listeners=((listener, 8081),))
    assert forbidden_reason("127.0.0.1", 8081, policy)
    assert forbidden_reason("127.9.9.9", 8081, policy)
    assert forbidden_reason("127.0.0.1", 8082, policy) is None
    assert forbidden_reason("192.0.2.7", 8081, policy) is None


def test_a_listener_whose_name_is_unknown_counts_as_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    policy = Policy(EVERYTHING.allowed_networks, own_listeners=(("redis.internal", 6379),))
    assert forbidden_reason("10.0.0.1", 6379, policy)
    assert forbidden_reason("10.0.0.1", 6380, policy) is None
