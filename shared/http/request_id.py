"""The id of a request: the client's own when it is valid, else a new one."""

import re
from collections.abc import Callable

# Not an API key of the gateway: the id is logged and sent to the upstream.
_VALID = re.compile(r"(?!.*gwk_)[A-Za-z0-9._:@/+=-]{1,128}")
#: Matches a valid id in a header.
match_request_id = re.compile(_VALID.pattern.encode()).fullmatch


def request_id(sent: str | None, random_bytes: Callable[[int], bytes]) -> str:
    """Return `sent` when it is a token of at most 128 characters without an API key, else 128 random bits."""
    if sent is not None and _VALID.fullmatch(sent):
        return sent
    return random_bytes(16).hex()
