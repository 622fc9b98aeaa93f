"""What a request counts as."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.addresses import client_network
from shared.limits.compiled import value_of
from shared.model.config import ApiKey, Rule, Tenant
from shared.model.messages import Exchange, Headers, Request


def exchange(
    *headers: tuple[str, str], path: str = "/v1/x", key: str = "", client: str = "192.0.2.7"
) -> Exchange:
    request = Request("POST", path, Headers(headers))
    owner = ApiKey(key, "Key", "gwk_", "hash") if key else None
    return Exchange("id", Tenant("t", "T", "t"), Rule("r", "/", "http://x"), request, client, owner)


def test_each_thing_that_requests_are_told_apart_by() -> None:
    seen = exchange(("X-Team", "red"), key="key_1")
    values = {
        by: value_of(by, seen, "gpt-4o") for by in ("ip", "key", "method", "path", "model", "header:x-team")
    }
    assert values == {
        "ip": "192.0.2.7",
        "key": "key_1",
        "method": "POST",
        "path": "/v1/x",
        "model": "gpt-4o",
        "header:x-team": "red",
    }
    assert value_of("key", exchange(), "") == value_of("header:x-team", exchange(), "") == ""
    with pytest.raises(ValueError, match="planet"):
        value_of("planet", seen, "")


def test_a_slash_at_the_end_of_a_path_makes_no_other_path() -> None:
    assert value_of("path", exchange(path="/v1/x/"), "") == "/v1/x"
    assert value_of("path", exchange(path="/"), "") == "/"


@pytest.mark.parametrize(
    "headers",
    [[("x-team", " red ")], [("X-TEAM", "red"), ("X-Team", "")], [("X-Team", "\t"), ("x-team", "red")]],
)
def test_no_spelling_of_a_header_makes_another_value(headers: list[tuple[str, str]]) -> None:
    assert value_of("header:x-team", exchange(*headers), "") == "red"


def test_a_header_that_stands_twice_is_another_value_than_each() -> None:
    assert value_of("header:x-team", exchange(("X-Team", "red"), ("X-Team", "blue")), "") == "red, blue"


def test_an_ipv6_network_counts_as_one_and_a_mapped_address_as_ipv4() -> None:
    assert (
        client_network("2001:db8:0:1::1")
        == client_network("2001:db8:0:1:ffff::2")
        != client_network("2001:db8:0:2::1")
    )
    assert client_network("::ffff:192.0.2.7") == "192.0.2.7"
    with pytest.raises(ValueError, match="address"):
        client_network("nobody")


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_no_address_of_one_64_counts_apart(address: object, host: int) -> None:
    plain = int(address)  # type: ignore[call-overload]
    other = type(address)((plain >> 64 << 64) | host)  # type: ignore[call-arg]
    if other.ipv4_mapped is None and address.ipv4_mapped is None:  # type: ignore[attr-defined]
        assert client_network(str(other)) == client_network(str(address))
