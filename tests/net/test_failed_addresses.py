"""The address of a name that is tried first."""

from shared.net.resolver import FAILED_SECONDS, MAX_NAMES, FailedAddresses

HOST, PORT = "api.example.com", 443
ADDRESSES = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
FIRST, SECOND, THIRD = ADDRESSES


def first(failed: FailedAddresses, now: float, host: str = HOST, port: int = PORT) -> str:
    return failed.first(host, port, ADDRESSES, now)


def test_first_address_is_tried_first_without_a_failure() -> None:
    assert first(FailedAddresses(), 0.0) == FIRST


def test_an_address_that_failed_is_tried_after_the_others_for_a_while() -> None:
    failed = FailedAddresses()
    failed.add(HOST, PORT, FIRST, 100.0)
    assert first(failed, 100.0) == SECOND
    assert first(failed, 100.0 + FAILED_SECONDS - 0.001) == SECOND
    assert first(failed, 100.0 + FAILED_SECONDS) == FIRST


def test_address_with_the_oldest_failure_is_first_when_all_failed() -> None:
    failed = FailedAddresses()
    for now, address in enumerate([SECOND, FIRST, THIRD]):
        failed.add(HOST, PORT, address, float(now))
    assert first(failed, 3.0) == SECOND
    failed.add(HOST, PORT, SECOND, 3.0)
    assert first(failed, 4.0) == FIRST


def test_a_name_with_one_address_keeps_it() -> None:
    failed = FailedAddresses()
    failed.add(HOST, PORT, FIRST, 0.0)
    assert failed.first(HOST, PORT, [FIRST], 0.0) == FIRST


def test_a_failure_does_not_concern_other_names_and_ports() -> None:
    """The failure may be of this name alone: a certificate that is not for it."""
    failed = FailedAddresses()
    failed.add(HOST, PORT, FIRST, 0.0)
    assert first(failed, 0.0, host="other.example.com") == first(failed, 0.0, port=80) == FIRST


def test_the_oldest_failure_is_forgotten_first() -> None:
    failed = FailedAddresses()
    failed.add(HOST, PORT, FIRST, 0.0)
    failed.add(HOST, PORT, SECOND, 1.0)
    failed.add(HOST, PORT, FIRST, 2.0)
    for number in range(MAX_NAMES - 1):
        failed.add(f"{number}.example.com", PORT, FIRST, 3.0)
    assert first(failed, 3.0) == SECOND
