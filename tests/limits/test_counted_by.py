"""What a request counts as."""

import pytest

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
