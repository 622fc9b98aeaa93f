"""The address of a name that is tried first."""

from shared.net.failed_addresses import LAST_FOR, MOST, DeadAddresses

HOST, PORT = "api.example.com", 443
ADDRESSES = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
FIRST, SECOND, THIRD = ADDRESSES


def first(dead: DeadAddresses, now: float, host: str = HOST, port: int = PORT) -> str:
    return dead.first(host, port, ADDRESSES, now)


def test_without_a_failure_the_first_address_is_tried_first() -> None:
    assert first(DeadAddresses(), 0.0) == FIRST


def test_an_address_that_failed_is_tried_after_the_others_for_a_while() -> None:
    dead = DeadAddresses()
    dead.failed(HOST, PORT, FIRST, 100.0)
    assert first(dead, 100.0) == SECOND
    assert first(dead, 100.0 + LAST_FOR - 0.001) == SECOND
    assert first(dead, 100.0 + LAST_FOR) == FIRST


def test_when_all_addresses_failed_the_oldest_failure_is_tried_first() -> None:
    dead = DeadAddresses()
    for now, address in enumerate([SECOND, FIRST, THIRD]):
        dead.failed(HOST, PORT, address, float(now))
    assert first(dead, 3.0) == SECOND
    dead.failed(HOST, PORT, SECOND, 3.0)
    assert first(dead, 4.0) == FIRST


def test_a_name_with_one_address_keeps_it() -> None:
    dead = DeadAddresses()
    dead.failed(HOST, PORT, FIRST, 0.0)
    assert dead.first(HOST, PORT, [FIRST], 0.0) == FIRST


def test_a_failure_does_not_concern_other_names_and_ports() -> None:
    """The failure may be of this name alone: a certificate that is not for it."""
    dead = DeadAddresses()
    dead.failed(HOST, PORT, FIRST, 0.0)
    assert first(dead, 0.0, host="other.example.com") == first(dead, 0.0, port=80) == FIRST


def test_the_oldest_failure_is_forgotten_first() -> None:
    dead = DeadAddresses()
    dead.failed(HOST, PORT, FIRST, 0.0)
    dead.failed(HOST, PORT, SECOND, 1.0)
    dead.failed(HOST, PORT, FIRST, 2.0)
    for number in range(MOST - 1):
        dead.failed(f"{number}.example.com", PORT, FIRST, 3.0)
    assert first(dead, 3.0) == SECOND
