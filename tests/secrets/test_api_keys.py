"""API keys: their form, their checksum, their hash."""

import hashlib
import os
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.secrets.api_keys import PepperedHasher, all_hashes, match_hash, mint_key, parse_key, secret_id

PEPPER = bytes(range(32))
ALPHABET = string.digits + string.ascii_letters
#: Computed with `openssl dgst -sha256 -mac HMAC -macopt hexkey:000102…1f`.
EXAMPLE_DIGEST = "b4dbe62d579f1903bc49abcde40b45a753c305a664c8c09b5016144c49bbeeb2"


def minted(seed: int) -> str:
    """A key from bytes that follow from `seed`."""
    return mint_key(lambda count: hashlib.shake_256(str(seed).encode()).digest(count)).text


def test_a_key_has_the_documented_layout() -> None:
    key = mint_key(os.urandom)
    assert len(key.text) == 61
    assert key.text.startswith("gwk_")
    assert set(key.text[4:]) <= set(ALPHABET)
    assert key.prefix == key.text[:12]


def test_256_random_bits_always_fit_into_the_secret_part() -> None:
    largest = mint_key(lambda count: b"\xff" * count).text
    smallest = mint_key(lambda count: b"\x00" * count).text
    assert parse_key(largest) == largest
    assert smallest[12:55] == "0" * 43
    assert largest[12:55] != mint_key(lambda count: b"\xff" * (count - 1) + b"\xfe").text[12:55]


def test_a_minted_key_does_not_show_itself_when_printed() -> None:
    key = mint_key(os.urandom)
    assert key.text not in repr(key)


def test_two_keys_differ() -> None:
    assert mint_key(os.urandom) != mint_key(os.urandom)


@given(st.integers())
def test_every_minted_key_is_read(seed: int) -> None:
    key = minted(seed)
    assert parse_key(key) == key


@given(st.integers(), st.integers(0, 60), st.characters())
def test_api_key_with_a_changed_character_is_rejected(seed: int, place: int, character: str) -> None:
    key = minted(seed)
    changed = key[:place] + character + key[place + 1 :]
    if changed == key:
        assert parse_key(changed) == key
    else:
        with pytest.raises(ValueError, match="not an API key"):
            parse_key(changed)


@given(st.text())
def test_api_key_of_other_text_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="not an API key"):
        parse_key(text)


@pytest.mark.parametrize("length", [0, 60, 62, 10_000_000])
def test_api_key_of_another_length_is_rejected(length: int) -> None:
    with pytest.raises(ValueError, match="not an API key"):
        parse_key((minted(1) * (length // 61 + 1))[:length])


def test_the_hash_names_its_pepper_and_is_the_hmac_of_the_key() -> None:
    assert PepperedHasher(PEPPER)("gwk_example") == f"{secret_id(PEPPER)}:{EXAMPLE_DIGEST}"


def test_api_key_hash_and_id_depend_on_the_pepper() -> None:
    one, other = PepperedHasher(PEPPER)("gwk_example"), PepperedHasher(PEPPER[::-1])("gwk_example")
    assert one.split(":")[0] != other.split(":")[0]
    assert one.split(":")[1] != other.split(":")[1]


def test_a_short_pepper_is_rejected() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        PepperedHasher(b"short")


@given(st.text(), st.lists(st.binary(min_size=32, max_size=40), min_size=1, max_size=4))
def test_hash_by_several_peppers_has_that_of_each(text: str, peppers: list[bytes]) -> None:
    found = PepperedHasher(*peppers)(text)
    each = tuple(PepperedHasher(one)(text) for one in peppers)
    assert (found, all_hashes(found)) == (each[0], each)
    assert all(match_hash(found, {one}) == one for one in each)
    assert match_hash(found, {"pepper:other"}) is None
    assert all_hashes(each[-1]) == each[-1:], "one pepper makes a plain text"
