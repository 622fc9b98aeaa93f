"""Secrets never survive in what is shown; everything else stays as it was."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import ERRORS, KEY_NOT_ACTIVE
from shared.routing.admission import INVALID_KEY, MISSING_KEY
from shared.secrets.redaction import redact

CANARY = "c4naRy0123456789abcdefXYZ"
GATEWAY_KEY = "gwk_9fK2mQ7x" + "0dVaB7kPq" * 5 + "Zp14"

NAMES = [
    *("Authorization", "proxy-authorization", "X-API-Key", "x-api-key", "api-key", "api_key", "apiKey"),
    *("x-goog-api-key", "X-Gateway-Key"),
]


def contexts(name: str, value: str) -> list[str]:
    """A header of that name and value, in the forms in which one gets into a log."""
    document = json.dumps({"headers": {name: value}, "model": "m"})
    return [
        f"{name}: {value}",
        f"GET / HTTP/1.1\r\n{name}: {value}\r\nHost: a.example.com\r\n",
        f"{name}={value}",
        f"https://a.example.com/v1?x=1&{name}={value}&y=2",
        document,
        json.dumps(document),
        repr({name: value}),
        repr([(name, value)]),
        repr([(name.encode(), value.encode())]),
        f"Headers([({name!r}, {value!r}), ('Host', 'a')])",
        f"curl -H '{name}: {value}' http://localhost",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_secret_does_not_survive_under_the_name_of_a_credential(name: str) -> None:
    for text in contexts(name, CANARY):
        assert CANARY not in redact(text), text


@pytest.mark.parametrize("name", ["Authorization", "Proxy-Authorization"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Basic", "Token", "AWS4-HMAC-SHA256"])
def test_authorization_header_is_redacted_under_every_scheme(name: str, scheme: str) -> None:
    for text in contexts(name, f"{scheme} {CANARY}"):
        assert CANARY not in redact(text), text


def test_a_digest_response_is_a_secret_too() -> None:
    assert CANARY not in redact(f'Authorization: Digest username="u", response="{CANARY}"')


@pytest.mark.parametrize(
    "text",
    [
        f"Bearer {CANARY}",
        f"the header was 'Basic {CANARY}'",
        "the header was Basic dXNlcjpwYXNzd29yZA",
        f"redis://default:{CANARY}@localhost:6379/0",
        f"https://{CANARY}@api.example.com/",
        f"https://api.example.com/v1?key={CANARY}",
        f"https://api.example.com/v1?access_token={CANARY}#x",
        f'{{"client_secret": "{CANARY}"}}',
        f"password={CANARY} host=localhost",
        f"sk-proj-{CANARY}",
        f"sk-ant-api03-{CANARY}-AA",
        *(f"the key {shape}{CANARY} is wrong" for shape in ("AIza", "gsk_", "xai-", "ABSK")),
    ],
)
def test_a_secret_does_not_survive_outside_a_header(text: str) -> None:
    assert CANARY not in redact(text)
    assert "dXNlcjpwYXNzd29yZA" not in redact(text)


@given(st.text(max_size=20), st.text(max_size=20))
def test_gateway_key_is_redacted_in_any_surrounding_text(before: str, after: str) -> None:
    shown = redact(before + GATEWAY_KEY + after)
    assert GATEWAY_KEY[12:] not in shown
    assert GATEWAY_KEY[12:30] not in shown


@pytest.mark.parametrize("value", [f"Bearer <key> {CANARY}", f"Bearer <key>{CANARY}", f"<key>{CANARY}"])
def test_placeholder_beside_a_secret_hides_nothing(value: str) -> None:
    assert CANARY not in redact(f"Authorization: {value}")


def test_redacted_key_keeps_its_public_prefix() -> None:
    assert redact(f"/v1/{GATEWAY_KEY}/models") == "/v1/gwk_9fK2mQ7x…/models"
    assert redact("The API key gwk_9fK2mQ7x… is revoked.") == "The API key gwk_9fK2mQ7x… is revoked."


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GET /v1/chat/completions HTTP/1.1",
        "The tier basic allows 600 requests; Basic Plan; basic usage.",
        "This call needs a bearer token.",
        "https://a.example.com/v1/models?monkey=1&limit=2",
        '{"model": "gpt-4o", "messages": [{"role": "user", "content": "What is the key to success?"}]}',
        "The model xai-grok-4-fast-reasoning-latest of the provider xai-main-for-all-our-teams is there.",
        "The risk-averse task-force met at 10:00, user@example.com was there.",
        "The API key is not valid. Check the key, and that it belongs to the called tenant.",
        "http://localhost:8081/a@b",
        "The API key is missing. Send it as 'Authorization: Bearer <key>'.",
        "Send a key as `Authorization: Bearer <key>`. The platform key may call every operation.",
        'curl -H "Authorization: Bearer <token>" http://localhost:8080',
        MISSING_KEY.message,
        INVALID_KEY.message,
        KEY_NOT_ACTIVE.format("gwk_9fK2mQ7x", "revoked"),
        *(text for _, text in ERRORS.values()),
    ],
)
def test_ordinary_text_is_unchanged(text: str) -> None:
    assert redact(text) == text


@given(st.text())
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    assert redact(redact(text)) == redact(text)
