"""Secrets at rest: they open for their owner and field, unchanged, with a known key; never else."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.secrets.sealing import AesSealer

OLD, NEW, FOREIGN = (bytes([number]) * 32 for number in (1, 2, 3))
CONTEXT = "tenant-1/rule-1/headers/Authorization"
SEALER = AesSealer([OLD], os.urandom)


@given(st.text(), st.text())
def test_a_sealed_secret_opens_under_its_context(secret: str, context: str) -> None:
    assert SEALER.open(SEALER.seal(secret, context), context) == secret


@given(st.text(min_size=12, alphabet="secret"), st.text())
def test_the_ciphertext_does_not_show_the_secret(secret: str, context: str) -> None:
    assert secret not in SEALER.seal(secret, context)


def test_the_same_secret_never_looks_the_same() -> None:
    assert SEALER.seal("secret", CONTEXT) != SEALER.seal("secret", CONTEXT)


@given(st.data())
def test_sealed_secret_with_a_changed_character_is_rejected(data: st.DataObject) -> None:
    text = SEALER.seal("secret", CONTEXT)
    place = data.draw(st.integers(0, len(text) - 1))
    character = data.draw(st.characters().filter(lambda drawn: drawn != text[place]))
    with pytest.raises(ValueError, match="cannot be opened"):
        SEALER.open(text[:place] + character + text[place + 1 :], CONTEXT)


@given(st.text() | st.text().map(lambda text: SEALER.seal("", "")[:12] + text))
def test_sealed_secret_of_other_text_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be opened"):
        SEALER.open(text, CONTEXT)


def test_a_ciphertext_moved_to_another_tenant_is_rejected() -> None:
    with pytest.raises(ValueError, match="cannot be opened"):
        SEALER.open(SEALER.seal("secret", CONTEXT), CONTEXT.replace("tenant-1", "tenant-2"))


def test_an_old_key_still_opens_and_the_first_seals() -> None:
    both = AesSealer([NEW, OLD], os.urandom)
    assert both.open(SEALER.seal("secret", CONTEXT), CONTEXT) == "secret"
    assert AesSealer([NEW], os.urandom).open(both.seal("secret", CONTEXT), CONTEXT) == "secret"


def test_a_foreign_key_is_rejected_even_under_our_key_id() -> None:
    text = SEALER.seal("secret", CONTEXT)
    ours, theirs = (AesSealer([key], os.urandom).seal("", "").split(".")[1] for key in (OLD, FOREIGN))
    for sealed in (text, text.replace(ours, theirs)):
        with pytest.raises(ValueError, match="cannot be opened"):
            AesSealer([FOREIGN], os.urandom).open(sealed, CONTEXT)


@pytest.mark.parametrize("keys", [[], [b"short"], [OLD, OLD[:-1]], [OLD * 2]])
def test_keys_of_another_length_are_rejected(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        AesSealer(keys, os.urandom)
