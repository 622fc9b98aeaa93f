"""Numbers of bytes as text: ``65536``, ``64KB``, ``20MB``.

>>> parse_size("64KB"), parse_size("1 mb"), parse_size(10)
(65536, 1048576, 10)
"""

import re

#: Units are binary, as in nginx: 1 KB is 1024 bytes.
UNITS = {"": 1, "B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}
#: Default of the most parts of a JSON document that a plugin reads (`has_more_parts` counts them). To read,
#: walk or write so many takes some milliseconds, and meanwhile no other request proceeds.
JSON_PARTS = 100_000
_SIZE = re.compile(r"([0-9]{1,12}) ?([KMG]?B|)", re.IGNORECASE)


def parse_size(value: str | int) -> int:
    """The size in bytes, above 0. Raises ValueError, with what is allowed, on anything else."""
    match = None if isinstance(value, bool) else _SIZE.fullmatch(str(value).strip())
    if match is None or int(match[1]) == 0:
        raise ValueError("Must be a size above 0 such as 65536, 64KB or 20MB (1 KB = 1024 bytes).")
    return int(match[1]) * UNITS[match[2].upper()]
