"""Names are resolved and every address judged, when a target is saved and when it is called."""

import threading
from ipaddress import ip_network

import pytest

from shared.core.errors import OutsideError, TargetForbidden
from shared.net.policy import Policy
from shared.net.resolve import check_target, resolve

PUBLIC = Policy()
LOOPBACK = Policy(allowed_networks=(ip_network("127.0.0.0/8"), ip_network("::1/128")))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:6379",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest",
        "http://[fd00:ec2::254]",
    ],
)
def test_saving_a_target_on_an_inner_address_is_rejected_without_naming_it(url: str) -> None:
    with pytest.raises(TargetForbidden, match="allowed_target_networks") as error:
        check_target(url, PUBLIC)
    assert "loopback" not in str(error.value)


def test_saving_a_target_that_is_not_a_url_is_rejected() -> None:
    with pytest.raises(ValueError, match="Must be"):
        check_target("http://2130706433/", PUBLIC)


def test_saving_a_public_target_warns_of_nothing(names: dict[str, list[str]]) -> None:
    names["api.example.com"] = ["93.184.216.34", "2606:4700::1111"]
    assert check_target("https://api.example.com/v1", PUBLIC) == ((), False)


def test_saving_a_name_that_does_not_resolve_yet_warns(names: dict[str, list[str]]) -> None:
    [warning], _ = check_target("https://soon.example.com", PUBLIC)
    assert warning.startswith("The name soon.example.com could not be resolved.")


def test_target_with_one_private_address_among_public_ones_is_rejected(names: dict[str, list[str]]) -> None:
    names["mixed.example.com"] = ["93.184.216.34", "10.0.0.1"]
    with pytest.raises(TargetForbidden) as error:
        check_target("https://mixed.example.com", PUBLIC)
    assert "10.0.0.1" not in str(error.value)


def test_the_ipv4_address_comes_first(names: dict[str, list[str]]) -> None:
    names["localhost"] = ["::1", "127.0.0.1"]
    assert resolve("localhost", 80, LOOPBACK, 1) == ["127.0.0.1", "::1"]


def test_saving_a_target_checks_its_current_addresses(names: dict[str, list[str]]) -> None:
    names["rebind.example.com"] = ["93.184.216.34"]
    check_target("https://rebind.example.com", PUBLIC)
    names["rebind.example.com"] = ["127.0.0.1"]
    with pytest.raises(TargetForbidden):
        check_target("https://rebind.example.com", PUBLIC)


def test_saving_a_target_does_not_wait_for_a_resolver_that_hangs(stuck: threading.Event) -> None:
    with pytest.raises(OutsideError, match="not resolved in time"):
        resolve("slow.example.com", 443, PUBLIC, 0.02)
