"""One of several members by weight: for a key always the same one, or a random one."""

import math
from collections.abc import Callable, Iterable, Sequence

from shared.secrets.keyed_hash import keyed_hash

_BITS = 52  # so that u is exact, and neither 0 nor 1


class Rendezvous:
    """Weighted rendezvous hashing: a key takes the same members in the same order, in every worker.

    The score of a member for a key is ``-weight / ln(u)``, where u is a hash of both between 0 and 1. The
    highest is first. A member that leaves moves only the keys that had it first (Thaler and Ravishankar,
    1998). `members` are names and weights. Without `secret`, nobody can compute the order.
    """

    __slots__ = ("_members",)

    def __init__(self, secret: bytes, members: Iterable[tuple[str, int]]) -> None:
        # A keyed hash that has read the name of a member is copied for each key: half the time.
        self._members = {
            name: (keyed_hash(secret, name.encode() + b"\0", size=8), weight) for name, weight in members
        }

    def score(self, name: str, key: bytes) -> float:
        """The score of one member for a key. The highest takes it."""
        named, weight = self._members[name]
        named = named.copy()
        named.update(key)
        drawn = int.from_bytes(named.digest()) >> (64 - _BITS)
        return -weight / math.log((drawn + 0.5) / 2**_BITS)


def draw[M](members: Sequence[M], weights: Sequence[int], random: Callable[[], float]) -> M:
    """A random member. `random` returns a number from 0 up to but not including 1.

    >>> draw("ab", [3, 1], lambda: 0.7), draw("ab", [3, 1], lambda: 0.8)
    ('a', 'b')
    """
    drawn = random() * sum(weights)
    at = 0
    while at < len(members) - 1 and drawn >= weights[at]:
        drawn -= weights[at]
        at += 1
    return members[at]
