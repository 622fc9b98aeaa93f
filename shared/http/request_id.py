"""The id of a request: the client's own when it is valid, else a new one."""

import re
from collections.abc import Callable

_VALID = re.compile(r"[A-Za-z0-9._:@/+=-]{1,128}")


def request_id(sent: str | None, random_bytes: Callable[[int], bytes]) -> str:
    """Return `sent` when it is a token of at most 128 characters, else 128 random bits in hexadecimal."""
    if sent is not None and _VALID.fullmatch(sent):
        return sent
    return random_bytes(16).hex()
