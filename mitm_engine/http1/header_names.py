"""Names of header fields, recognized by one look into a dict."""

from collections.abc import Iterable

from shared.core.http_tokens import is_token
from shared.core.memo import Memo

#: Stands for what is not a name of a header field.
NO_NAME = b""


class HeaderNames(Memo[bytes, bytes | None]):
    """Maps each spelling of the wanted names to lower case, and every other name to None.

    What is not a name at all maps to `NO_NAME`. A call of `lower`, and a match, for every name of every head
    would cost more than all else that is done with it.

    >>> names = HeaderNames([b"host"])
    >>> names[b"Host"], names[b"Via"], names[b"no name"]
    (b'host', None, b'')
    """

    MAX_KEYS, MAX_KEY_LENGTH = 1024, 64

    def __init__(self, wanted: Iterable[bytes]) -> None:
        names = frozenset(wanted)

        def find(name: bytes) -> bytes | None:
            if not is_token(name):
                return NO_NAME
            lower = name.lower()
            return lower if lower in names else None

        super().__init__(find)
