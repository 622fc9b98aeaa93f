"""Bodies from pieces."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from mitm_engine.http1.body_chunks import gather


@given(st.lists(st.binary(max_size=3000)))
def test_gathered_pieces_are_the_body(sent: list[bytes]) -> None:
    pieces: list[bytes | bytearray] = []
    for piece in sent:
        gather(pieces, piece)
    assert b"".join(pieces) == b"".join(sent)


def test_a_body_in_tiny_pieces_takes_little_more_than_its_size() -> None:
    pieces: list[bytes | bytearray] = []
    for _ in range(50_000):
        gather(pieces, b"ab")
    assert sum(sys.getsizeof(piece) for piece in pieces) < 150_000


def test_a_large_piece_is_not_copied() -> None:
    pieces: list[bytes | bytearray] = []
    large = bytes(65536)
    gather(pieces, b"a")
    gather(pieces, large)
    assert pieces[1] is large
