"""No secret that an upstream repeats is passed on."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.http.sent_secrets import ErrorSecretRemover, SecretRemover, SentSecrets

KEY = 'sk-a/b+c="é'
SECRETS = SentSecrets.of(KEY, ["Basic dXNlcjpwYXNzd29yZA==", "a secret value", "2023-06-01"])
assert SECRETS is not None
TEXT = (
    b'{"error":"Key sk-a/b+c=\\"\\u00e9, sk-a\\/b+c=\\"\\u00e9, '
    b'sk-a%2Fb%2Bc%3D%22%C3%A9, sk-a%2fb%2bc%3d%22%c3%a9, dXNlcjpwYXNzd29yZA==, a+secret+value of 2023-06-01"}'
)
LEFT = b'{"error":"Key [redacted], [redacted], [redacted], [redacted], [redacted], [redacted] of 2023-06-01"}'


@given(st.lists(st.integers(0, len(TEXT)), max_size=6).map(sorted))
def test_a_secret_is_removed_in_every_form_and_wherever_the_body_is_cut(cuts: list[int]) -> None:
    remover = SecretRemover(SECRETS)
    pieces = [TEXT[start:end] for start, end in zip([0, *cuts], [*cuts, len(TEXT)], strict=True)]
    assert b"".join(map(remover.feed, pieces)) + remover.end() == LEFT


def test_what_is_no_beginning_of_a_secret_is_not_held_back() -> None:
    remover = SecretRemover(SECRETS)
    assert remover.feed(b"data: {}\n\n") == b"data: {}\n\n"
    assert (remover.feed(b"see sk-a/"), remover.end()) == (b"see ", b"sk-a/")


@given(st.lists(st.integers(0, 30 + len(TEXT)), max_size=6).map(sorted))
def test_a_stream_loses_its_secrets_from_its_first_error_on_wherever_it_is_cut(cuts: list[int]) -> None:
    begin = b'data: {"error":{"message":"'
    text = begin + TEXT
    remover = ErrorSecretRemover(lambda: SECRETS)
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert b"".join(map(remover.feed, pieces)) + remover.end() == begin + LEFT


@pytest.mark.parametrize("begin", [b'{"error":null,"text":"', b'{"text":"an \\"error\\" '])
def test_a_stream_without_an_error_passes_as_it_comes(begin: bytes) -> None:
    remover = ErrorSecretRemover(lambda: SECRETS)
    assert (remover.feed(begin + KEY.encode()), remover.end()) == (begin + KEY.encode(), b"")


def test_a_stream_of_an_upstream_that_gets_no_secret_passes_as_it_comes() -> None:
    assert ErrorSecretRemover(lambda: None).feed(b'{"error":1}') == b'{"error":1}'


@pytest.mark.parametrize(
    ("body", "codings", "left"),
    [
        (TEXT, (), LEFT),
        (b"harmless", (), b"harmless"),
        (zlib.compress(TEXT), ("deflate",), LEFT),
        (TEXT, ("unknown",), b""),
    ],
)
def test_a_whole_body_loses_its_secrets_in_its_coding(
    body: bytes, codings: tuple[str, ...], left: bytes
) -> None:
    found = SECRETS.removed_from_body(body, codings)
    assert (zlib.decompress(found) if codings == ("deflate",) else found) == left


def test_heads_lose_secrets_and_others_stay_as_they_are() -> None:
    harmless = ((b"A", b"b"),)
    assert SECRETS.removed_from_fields(harmless) is harmless
    assert SECRETS.removed_from_fields(((b"X-Key", KEY.encode()), *harmless)) == (
        (b"X-Key", b"[redacted]"),
        (b"A", b"b"),
    )


def test_short_values_are_no_secrets() -> None:
    assert SentSecrets.of("short", ["true", "2023-06-01"]) is None
