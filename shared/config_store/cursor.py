"""Cursors: where the next page of tenants begins."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

# A cursor: the number of the last tenant on the page. Redis holds 15 digits exactly as a score.
_CURSOR = re.compile(rb"after:([1-9][0-9]{0,14})")


def format_cursor(number: int) -> str:
    """The cursor of the page that begins after the tenant with that number. Clients must not parse it."""
    return urlsafe_b64encode(b"after:%d" % number).decode().rstrip("=")


def parse_cursor(cursor: str | None) -> int:
    """The number in the cursor; 0 for the first page. Raises ValueError on any other text."""
    if cursor is None:
        return 0
    try:
        number = _CURSOR.fullmatch(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        number = None
    if number is None or format_cursor(int(number[1])) != cursor:
        raise ValueError("The cursor must be the next_cursor of an earlier page.")
    return int(number[1])
