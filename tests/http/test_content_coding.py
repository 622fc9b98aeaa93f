"""Content codings undone within bounds."""

import gzip
import tracemalloc
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from shared.http.body_rejected import BodyRejected
from shared.http.content_coding import MAX_DECODED, coding_of, decode, encode

CODINGS = ("gzip", "deflate", "br", "zstd")


def rejection(body: bytes, coding: str) -> str:
    with pytest.raises(BodyRejected) as caught:
        decode(body, coding)
    return caught.value.code


@given(st.binary(max_size=5000), st.sampled_from([*CODINGS, "identity"]))
def test_every_body_comes_back_from_its_coding(body: bytes, coding: str) -> None:
    assert decode(encode(body, coding), coding) == body


@pytest.mark.parametrize(
    ("encoded", "coding"),
    [
        (gzip.compress(b"some text " * 9, mtime=1), "gzip"),
        (zlib.compress(bytes(range(256)) * 100, 9), "deflate"),
        (brotli.compress(b"some text " * 9), "br"),
        (zstandard.ZstdCompressor(write_content_size=False).compress(b"text" * 50), "zstd"),
    ],
)
def test_content_coding_of_common_tools_is_decoded(encoded: bytes, coding: str) -> None:
    assert decode(encoded, coding)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_bomb_is_left_early_and_with_little_memory(coding: str) -> None:
    bomb = encode(b"\0" * (60 * 1024 * 1024), coding)
    tracemalloc.start()
    assert rejection(bomb, coding) == "body_too_large"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * MAX_DECODED


@pytest.mark.parametrize("coding", CODINGS)
def test_a_small_body_that_grows_more_than_a_hundredfold_is_rejected(coding: str) -> None:
    assert rejection(encode(b"a" * 1_000_000, coding), coding) == "body_too_large"


@given(st.binary(min_size=1, max_size=300), st.sampled_from(CODINGS), st.data())
def test_a_body_that_breaks_off_is_rejected(body: bytes, coding: str, data: st.DataObject) -> None:
    encoded = encode(body, coding)
    cut = data.draw(st.integers(1, len(encoded) - 1))
    assert rejection(encoded[:cut], coding) in ("bad_request", "body_too_large")


@given(st.binary(min_size=1, max_size=300), st.sampled_from(CODINGS), st.binary(min_size=1, max_size=20))
def test_a_body_with_something_behind_it_is_rejected(body: bytes, coding: str, behind: bytes) -> None:
    assert rejection(encode(body, coding) + behind, coding) == "bad_request"


@pytest.mark.parametrize("coding", CODINGS)
def test_two_members_in_one_body_are_rejected(coding: str) -> None:
    assert rejection(encode(b"one", coding) * 2, coding) == "bad_request"


def test_deflate_without_its_header_is_rejected() -> None:
    assert rejection(zlib.compress(b"raw deflate", wbits=-15), "deflate") == "bad_request"


@given(st.binary(max_size=200), st.sampled_from(CODINGS))
def test_content_coding_of_any_bytes_is_decoded_or_rejected(body: bytes, coding: str) -> None:
    try:
        decode(body, coding)
    except BodyRejected as error:
        assert error.code in {"bad_request", "body_too_large"}


def test_an_empty_body_is_empty_in_every_coding() -> None:
    assert decode(b"", "gzip") == b""


@pytest.mark.parametrize(
    ("values", "coding"),
    [
        ((), "identity"),
        (("identity",), "identity"),
        (("GZIP",), "gzip"),
        (("x-gzip",), "gzip"),
        ((" br ",), "br"),
    ],
)
def test_the_coding_is_named_by_its_header(values: tuple[str, ...], coding: str) -> None:
    assert coding_of(values) == coding


@pytest.mark.parametrize("values", [("gzip, br",), ("gzip", "gzip"), ("compress",), ("gzip;q=1",), ("none",)])
def test_stacked_and_unknown_codings_are_rejected(values: tuple[str, ...]) -> None:
    with pytest.raises(BodyRejected) as caught:
        coding_of(values)
    assert caught.value.code == "unsupported_content_type"
