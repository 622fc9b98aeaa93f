"""Bodies that are no JSON, as their readers see them."""

from urllib.parse import quote_plus, unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bodies import slices
from shared.bodies.body import form_text, lenient_text


@given(st.binary(max_size=40), st.integers(1, 9))
def test_text_is_read_the_same_wherever_it_is_cut(body: bytes, size: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(slices, "SLICE", size)
        assert lenient_text(body) == body.decode(errors="replace")


@given(st.text(alphabet="a%+4é1gF&=\n", max_size=40), st.integers(1, 9))
def test_a_form_is_read_as_the_standard_library_reads_it_wherever_it_is_cut(text: str, size: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(slices, "SLICE", size)
        cut = form_text(text.encode())
    assert cut == form_text(text.encode())
    if text.isascii():
        assert cut == unquote_plus(text)


@given(st.text(max_size=40))
def test_what_a_form_holds_is_read_again(text: str) -> None:
    if text.encode(errors="replace").decode() == text:
        assert form_text(quote_plus(text).encode()) == text
