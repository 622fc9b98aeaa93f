"""An upstream's error in the shape that the client's SDK reads, with the same meaning."""

from typing import Any

import pytest

from shared.translation import errors
from shared.translation.errors import chat_error, messages_error, status_of
from tests.translation import oracles

# status, OpenAI's type and code, Anthropic's type
TABLE = [
    (400, "invalid_request_error", None, "invalid_request_error"),
    (401, "authentication_error", "invalid_api_key", "authentication_error"),
    (402, "insufficient_quota", "insufficient_quota", "billing_error"),
    (403, "permission_error", None, "permission_error"),
    (404, "invalid_request_error", "model_not_found", "not_found_error"),
    (408, "timeout", None, "timeout_error"),
    (409, "invalid_request_error", None, "conflict_error"),
    (413, "invalid_request_error", None, "request_too_large"),
    (418, "invalid_request_error", None, "invalid_request_error"),
    (422, "invalid_request_error", None, "invalid_request_error"),
    (429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error"),
    (500, "server_error", None, "api_error"),
    (502, "server_error", None, "api_error"),
    (503, "server_error", "overloaded", "overloaded_error"),
    (504, "timeout", None, "timeout_error"),
    (520, "server_error", None, "api_error"),
    (529, "server_error", "overloaded", "overloaded_error"),
]


@pytest.mark.parametrize(("status", "chat", "code", "messages"), TABLE)
def test_error_has_the_type_that_belongs_to_its_status(
    status: int, chat: str, code: str | None, messages: str
) -> None:
    body = {"error": {"message": "No."}}
    made = chat_error(status, body).document["error"]
    assert made == {"message": "No.", "type": chat, "param": None, "code": code}
    assert messages_error(status, body).document == {
        "type": "error",
        "error": {"type": messages, "message": "No."},
    }


@pytest.mark.parametrize("status", [503, 529])
def test_overloaded_upstream_has_the_status_that_the_clients_sdk_knows(status: int) -> None:
    assert (chat_error(status, "").status, messages_error(status, "").status) == (503, 529)


def test_other_status_is_kept() -> None:
    assert (chat_error(418, "").status, messages_error(429, "").status) == (418, 429)


def test_error_is_one_for_the_sdk_of_anthropic() -> None:
    for status in (400, 401, 402, 403, 404, 429, 500, 504, 529):
        oracles.messages_error(messages_error(status, "x").document)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"type": "error", "error": {"type": "api_error", "message": "Internal."}}, "Internal."),
        ({"error": "Model not loaded."}, "Model not loaded."),
        ({"detail": "Not found."}, "Not found."),
        ({"object": "error", "message": "Too long."}, "Too long."),
        (b'{"error": {"message": "Bytes."}}', "Bytes."),
        ("<h1>Bad gateway</h1>", "<h1>Bad gateway</h1>"),
        ("x" * 3000, "x" * 1024),
        (b"\xff", "\ufffd"),
        ('{"code": 7}', '{"code": 7}'),
        ("", "The upstream sent an error without a text."),
        ({"error": {}}, "The upstream sent an error without a text."),
        (None, "The upstream sent an error without a text."),
    ],
)
def test_message_of_the_upstream_is_kept(body: Any, message: str) -> None:
    assert chat_error(400, body).document["error"]["message"] == message


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"type": "overloaded_error"}, 503),
        ({"type": "rate_limit_error"}, 429),
        ({"code": 429, "message": "OpenRouter's"}, 429),
        ({"type": "server_error", "code": None}, 500),
        ({"type": "invalid_request_error", "code": "model_not_found"}, 404),
        ({"type": "invalid_request_error", "code": "context_length_exceeded"}, 400),
        ({"code": 7}, 500),
        ("text", 500),
    ],
)
def test_error_in_a_stream_stands_for_a_status(error: Any, status: int) -> None:
    assert status_of({"error": error}) == status


def test_stream_that_is_cut_off_has_an_error_of_the_gateway() -> None:
    assert errors.chat_protocol_error()["error"]["code"] == "upstream_protocol_error"
    oracles.messages_error(errors.messages_protocol_error())
