"""A sane request id of the client is kept; everything else gets one of ours."""

import string
from secrets import token_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.http.request_id import request_id
from shared.secrets.api_keys import mint_key

FRESH = "000102030405060708090a0b0c0d0e0f"
SANE = string.ascii_letters + string.digits + "._:@/+=-"


def of(sent: str | None) -> str:
    return request_id(sent, lambda count: bytes(range(count)))


@pytest.mark.parametrize(
    "sent", ["a", "5f0c9b5e-7f0e-4d8a-9f5c-0d3c3b1f9a11", "req_123", "Root=1-67891233-abcdef01", "x" * 128]
)
def test_a_token_is_kept(sent: str) -> None:
    assert of(sent) == sent


@pytest.mark.parametrize(
    "sent", [None, "", " ", "a b", "x" * 129, "a\r\nX-Evil: 1", "a\n", "<script>", 'a"b', "ä", "a,b"]
)
def test_malformed_request_id_is_replaced(sent: str | None) -> None:
    assert of(sent) == FRESH


@pytest.mark.parametrize("around", ["{}", "req-{}", "{}.1", "a/{}/b"])
def test_request_id_with_an_api_key_is_replaced(around: str) -> None:
    assert of(around.format(mint_key(token_bytes).text)) == FRESH


@given(st.text(max_size=140))
def test_request_id_contains_allowed_characters_only(sent: str) -> None:
    kept = of(sent)
    assert set(kept) <= set(SANE)
    assert 1 <= len(kept) <= 128
