"""Fields of JSON documents: the values that they take, and their errors."""

from typing import Any

import pytest
from marshmallow import ValidationError

from shared.core.fields import (
    MAX_PROBLEMS,
    Duration,
    Method,
    Size,
    Strict,
    Timestamp,
    choice,
    flag,
    ip_address,
    problems_of,
    text,
    token,
)


class Sample(Strict):
    name = text(4, "A name.")
    mode = choice("fast", "slow", default="fast", description="How.")
    on = flag(True, "Whether.")
    wait = Duration(minimum=0.5, maximum=60, description="How long.")
    size = Size("How much.")
    at = Timestamp("When.", allow_none=True)
    method = Method()


@pytest.mark.parametrize(
    ("sent", "loaded"),
    [
        ({"name": "abcd"}, {"name": "abcd", "mode": "fast", "on": True}),
        ({"on": False, "mode": "slow"}, {"on": False, "mode": "slow"}),
        ({"wait": "500ms"}, {"wait": 0.5, "mode": "fast", "on": True}),
        ({"wait": 60}, {"wait": 60.0, "mode": "fast", "on": True}),
        ({"size": "64KB"}, {"size": 65_536, "mode": "fast", "on": True}),
        ({"size": 7}, {"size": 7, "mode": "fast", "on": True}),
        ({"at": "1971-01-01T01:00:00+01:00"}, {"at": 31_536_000.0, "mode": "fast", "on": True}),
        ({"at": "1971-01-01t00:00:00.25z"}, {"at": 31_536_000.25, "mode": "fast", "on": True}),
        ({"at": None}, {"at": None, "mode": "fast", "on": True}),
        ({"method": "get"}, {"method": "GET", "mode": "fast", "on": True}),
    ],
)
def test_valid_value_is_loaded(sent: Any, loaded: Any) -> None:
    assert Sample().load(sent) == loaded


@pytest.mark.parametrize(
    ("sent", "field", "words"),
    [
        ({"name": "abcde"}, "name", "Its length must be from 1 to 4"),
        ({"name": "a\nb"}, "name", "control characters"),
        ({"name": "a\x9bb"}, "name", "control characters"),
        ({"mode": "medium"}, "mode", "fast, slow"),
        ({"on": 1}, "on", "true or false"),
        ({"wait": "soon"}, "wait", "duration"),
        ({"wait": "400ms"}, "wait", "from 0.5 to 60 seconds"),
        ({"wait": 61}, "wait", "from 0.5 to 60 seconds"),
        ({"size": "20 miles"}, "size", "such as 65536, 64KB"),
        ({"at": 5}, "at", "RFC 3339"),
        ({"at": "1971-01-01"}, "at", "RFC 3339"),
        ({"at": "1971-02-30T00:00:00Z"}, "at", "not exist"),
        ({"at": "1970-12-31T23:59:59Z"}, "at", "years 1971 and 9998"),
        ({"at": "9999-01-01T00:00:00Z"}, "at", "years 1971 and 9998"),
        ({"method": "BREW"}, "method", "GET, HEAD, POST"),
        ({"nome": "a"}, "nome", "Allowed: name, mode, on, wait, size, at, method"),
    ],
)
def test_wrong_value_is_an_error_at_its_field(sent: Any, field: str, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Sample().load(sent)
    messages: Any = caught.value.messages
    assert list(messages) == [field]
    assert words in messages[field][0]


def test_time_is_dumped_in_utc_with_milliseconds() -> None:
    assert Sample().dump({"at": 31_536_000.25}) == {"at": "1971-01-01T00:00:00.250Z"}
    assert Sample().dump({"at": None}) == {"at": None}


def test_token_or_ip_address_is_accepted_and_other_text_is_an_error() -> None:
    assert token("a header name")("X-Team") == "X-Team"
    with pytest.raises(ValidationError, match="Must be a header name"):
        token("a header name")("X Team")
    ip_address("2001:db8::1")
    with pytest.raises(ValidationError, match="IP address"):
        ip_address("localhost")


def test_of_very_many_problems_the_first_are_told() -> None:
    with pytest.raises(ValidationError) as caught:
        Sample().load({f"nmae{number}": 1 for number in range(MAX_PROBLEMS + 1)})
    found = problems_of(caught.value.messages)
    assert len(found) == MAX_PROBLEMS
