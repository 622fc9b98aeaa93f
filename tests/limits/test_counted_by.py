"""What a request counts as."""

import pytest

from shared.limits.compiled import value_of
from tests.limits.limits_by_name import exchange

TWICE = [("X-Team", "red"), ("X-Team", "blue")]


def test_each_thing_that_requests_are_told_apart_by() -> None:
    seen = exchange(headers=[("X-Team", "red")], key="key_1")
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


@pytest.mark.parametrize(
    "headers",
    [[("x-team", " red ")], [("X-TEAM", "red"), ("X-Team", "")], [("X-Team", "\t"), ("x-team", "red")]],
)
def test_no_spelling_of_a_header_or_path_makes_another_value(headers: list[tuple[str, str]]) -> None:
    assert value_of("header:x-team", exchange(headers=headers), "") == "red"
    assert value_of("header:x-team", exchange(headers=TWICE), "") == "red, blue"
    assert value_of("path", exchange(path="/v1/x/"), "") == "/v1/x"
    assert value_of("path", exchange(path="/"), "") == "/"
