"""Members by weight: for a key always the same one, and only the keys of a member that leaves move."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.upstreams.draw import Rendezvous, draw

NAMES = st.lists(st.text(min_size=1, max_size=5), min_size=2, max_size=8, unique=True)
KEYS = [f"conversation {number}".encode() for number in range(10_000)]


def firsts(weights: dict[str, int], secret: bytes = b"secret") -> list[str]:
    """The first member of each key."""
    hashed = Rendezvous(secret, weights.items())
    return [max(weights, key=lambda name: hashed.score(name, key)) for key in KEYS]


def test_member_that_leaves_moves_its_own_keys_only() -> None:
    weights = dict.fromkeys("abcde", 1)
    before = firsts(weights)
    after = firsts({name: 1 for name in weights if name != "c"})
    moved = [was for was, now in zip(before, after, strict=True) if was != now]
    assert set(moved) == {"c"}
    assert len(moved) == pytest.approx(2000, rel=0.1)


def test_members_get_their_weights_of_the_keys() -> None:
    assert Counter(firsts({"a": 3, "b": 1}))["a"] == pytest.approx(7500, rel=0.03)


def test_order_under_another_secret_says_nothing_about_it() -> None:
    pairs = zip(firsts(dict.fromkeys("abcd", 1)), firsts(dict.fromkeys("abcd", 1), b"other"), strict=True)
    assert sum(one == other for one, other in pairs) == pytest.approx(2500, rel=0.1)


@given(NAMES, st.binary(max_size=40), st.data())
def test_first_member_stays_first_while_others_leave(
    names: list[str], key: bytes, data: st.DataObject
) -> None:
    hashed = Rendezvous(b"s" * 100, [(name, 1 + len(name)) for name in names])
    order = sorted(names, key=lambda name: hashed.score(name, key), reverse=True)
    left = data.draw(st.sets(st.sampled_from(order[1:])))
    staying = [name for name in names if name not in left]
    assert max(staying, key=lambda name: hashed.score(name, key)) == order[0]
    assert all(hashed.score(name, key) > 0 for name in names)


@given(st.lists(st.integers(1, 100), min_size=1, max_size=6), st.floats(0, 1, exclude_max=True))
def test_drawn_member_is_the_one_whose_part_of_the_weights_has_the_number(
    weights: list[int], number: float
) -> None:
    at = draw(range(len(weights)), weights, lambda: number)
    drawn = number * sum(weights)
    assert sum(weights[:at]) <= drawn or drawn == pytest.approx(sum(weights[:at]))
    assert drawn <= sum(weights[: at + 1]) + 1e-9


def test_draws_follow_the_weights() -> None:
    random = Random(1)
    found = Counter(draw("abc", [1, 2, 7], random.random) for _ in range(10_000))
    assert [found[name] for name in "abc"] == pytest.approx([1000, 2000, 7000], rel=0.1)
