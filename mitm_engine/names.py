"""Names of header fields, recognised by one look into a dict."""

from collections.abc import Iterable

_MOST = 1024  # spellings that are remembered; clients choose them, so there must be an end


class Names(dict[bytes, bytes | None]):
    """Gives the lower case of a name that it was made with, however it is spelled, and None for any other.

    Every name of every head is asked for; a call of `lower` for each costs more than the answer.

    >>> names = Names([b"host"])
    >>> names[b"Host"], names[b"Via"]
    (b'host', None)
    """

    def __init__(self, wanted: Iterable[bytes]) -> None:
        super().__init__()
        self._wanted = frozenset(wanted)

    def __missing__(self, name: bytes) -> bytes | None:
        lower = name.lower()
        found = lower if lower in self._wanted else None
        if len(self) < _MOST:
            self[name] = found
        return found
