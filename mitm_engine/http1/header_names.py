"""Names of header fields, recognised by one look into a dict."""

import re
from collections.abc import Iterable

#: Stands for what is no name of a header field.
NO_NAME = b""
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.1
_MOST = 1024  # spellings that are remembered; clients choose them, so there must be an end
_LONGEST = 64  # bytes of one; longer ones would make megabytes


def is_token(text: bytes) -> bool:
    """Whether this can be the name of a header field, or a method."""
    return _TOKEN.fullmatch(text) is not None


class HeaderNames(dict[bytes, bytes | None]):
    """Gives the lower case of a name that it was made with, however it is spelled, and None for any other.

    For what is no name at all it gives `NO_NAME`. Every name of every head is asked for; a call of `lower`,
    and a match, for each costs more than the answer.

    >>> names = HeaderNames([b"host"])
    >>> names[b"Host"], names[b"Via"], names[b"no name"]
    (b'host', None, b'')
    """

    def __init__(self, wanted: Iterable[bytes]) -> None:
        super().__init__()
        self._wanted = frozenset(wanted)

    def __missing__(self, name: bytes) -> bytes | None:
        lower = name.lower()
        found = lower if lower in self._wanted else None
        if not is_token(name):
            found = NO_NAME
        if len(name) <= _LONGEST:
            if len(self) >= _MOST:
                self.clear()
            self[name] = found
        return found
