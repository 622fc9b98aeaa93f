"""What belongs to one connection is not passed on."""

import pytest
from hypothesis import given

from mitm_engine.http1.hop_by_hop import named_by, without_connection
from tests.mitm_engine.http1.wire_bytes import FIELDS

Fields = list[tuple[bytes, bytes]]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ((b"close",), {b"close"}),
        ((b"X-One, Keep-Alive", b" x-two "), {b"x-one", b"keep-alive", b"x-two"}),
        ((b"Host, Authorization, content-length, X-Forwarded-For",), set()),
    ],
)
def test_what_security_and_framing_need_cannot_be_named_away(
    values: tuple[bytes, ...], named: set[bytes]
) -> None:
    assert named_by(values) == named


@given(FIELDS)
def test_all_else_stays_as_it_was(fields: Fields) -> None:
    plain = tuple([field for field in fields if field[0].lower() != b"connection"])
    assert without_connection((*plain, (b"Connection", b"keep-alive")), (b"keep-alive",)) == plain


@given(FIELDS)
def test_what_is_named_goes_with_it(fields: Fields) -> None:
    named = b", ".join([name for name, _ in fields])
    kept = without_connection((*fields, (b"CONNECTION", named)), (named,))
    assert {name.lower() for name, _ in kept}.isdisjoint(named_by((named,)))
