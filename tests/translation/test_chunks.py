"""The arguments of a call, which come in pieces."""

import pytest

from shared.translation.chunks import Arguments


def arguments(*pieces: str) -> Arguments:
    made = Arguments()
    for piece in pieces:
        made.add(piece)
    return made


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((), False),
        (("",), False),
        (('{"a": ', '"}', '"}'), True),
        (('{"a": "', "}"), False),
        (("{", "}", " ", "\n"), True),
        (("{", "}", " ", "x"), False),
        (("{}", "{}"), False),
        (("[", "]"), False),
    ],
)
def test_arguments_in_pieces_are_complete_once_they_are_an_object(
    pieces: tuple[str, ...], expected: bool
) -> None:
    made = arguments(*pieces)
    assert (made.is_complete, made.is_complete, made.text) == (expected, expected, "".join(pieces))


def test_arguments_of_many_megabytes_in_small_pieces_are_kept() -> None:
    made = arguments('{"a": "', *["x" * 1000] * 50_000, '"}')
    assert not made.is_complete  # not known
    assert len(made.text) == 50_000_009


def test_arguments_that_may_end_at_each_piece_are_read_a_few_times_only() -> None:
    made = arguments('{"a": "')
    for _ in range(60_000):
        made.add("}")
        assert not made.is_complete
    made.add('"}')
    assert not made.is_complete  # not known
