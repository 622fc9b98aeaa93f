"""Failures that come again and again, of which each is to be logged once."""

from collections.abc import Hashable


class Failures:
    """The last cause of each failure, by the name of the work that fails.

    >>> failures = Failures()
    >>> failures.is_new("disk full"), failures.is_new("disk full"), failures.is_new("read-only")
    (True, False, True)
    >>> failures.end()
    >>> failures.is_new("read-only")
    True
    """

    def __init__(self) -> None:
        self._causes: dict[Hashable, str] = {}

    def is_new(self, cause: object, name: Hashable = "") -> bool:
        """Note why the work fails. Return False if it failed so the last time."""
        text = str(cause)
        is_new = self._causes.get(name) != text
        self._causes[name] = text
        return is_new

    def end(self, name: Hashable = "") -> None:
        """Note that the work succeeds."""
        self._causes.pop(name, None)
