"""Numbers of bytes: as text (``65536``, ``64KB``, ``20MB``), and how several fit into a bound together.

>>> parse_size("64KB"), parse_size("1 mb"), parse_size(10)
(65536, 1048576, 10)
"""

import re
from collections.abc import Mapping

#: Units are binary, as in nginx: 1 KB is 1024 bytes.
UNITS = {"": 1, "B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}
#: Default of the most parts of a JSON document that a plugin reads (`has_more_parts` counts them). To read,
#: walk or write so many takes some milliseconds, and meanwhile no other request proceeds.
JSON_PARTS = 100_000
# The share of a bound that is left after a trim, so that not every addition needs one.
_LEFT = 0.9
_SIZE = re.compile(r"([0-9]{1,12}) ?([KMG]?B|)", re.IGNORECASE)


def parse_size(value: str | int) -> int:
    """The size in bytes, above 0. Raises ValueError, with what is allowed, on anything else."""
    match = None if isinstance(value, bool) else _SIZE.fullmatch(str(value).strip())
    if match is None or int(match[1]) == 0:
        raise ValueError("Must be a size above 0 such as 65536, 64KB or 20MB (1 KB = 1024 bytes).")
    return int(match[1]) * UNITS[match[2].upper()]


def trim_plan(sizes: Mapping[str, int], max_bytes: int) -> Mapping[str, int]:
    """The sizes to which the largest are trimmed, so that all fit; empty when they do.

    >>> trim_plan({"a": 50, "b": 900, "c": 1000}, 1000)
    {'c': 425, 'b': 425}
    >>> trim_plan({"a": 500, "b": 500}, 1000)
    {}
    """
    if sum(sizes.values()) <= max_bytes:
        return {}
    left = int(max_bytes * _LEFT)
    largest = sorted(sizes, key=lambda name: (-sizes[name], name))
    rest, number, level, following = sum(sizes.values()), 0, -1, 0
    while level < following:
        rest -= sizes[largest[number]]
        number += 1
        level = (left - rest) // number
        following = sizes[largest[number]] if number < len(largest) else 0
    return dict.fromkeys(largest[:number], level)
