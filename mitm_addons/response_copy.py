"""A copy of a streamed response, for entries in shadow mode."""

from collections.abc import Callable, Iterable


class ResponseCopy:
    """Keeps at most `limit` bytes of a streamed body."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: bytearray | None = bytearray()

    @property
    def body(self) -> bytes | None:
        """The whole body; None if it is longer than the limit."""
        return None if self._kept is None else bytes(self._kept)

    def of[R: bytes | Iterable[bytes]](self, stream: Callable[[bytes], R]) -> Callable[[bytes], R]:
        """Return a stream function that copies what it passes to `stream`."""

        def copy(piece: bytes) -> R:
            if self._kept is not None:
                self._kept += piece
                if len(self._kept) > self.limit:
                    self._kept = None
            return stream(piece)

        return copy
