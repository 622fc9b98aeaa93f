"""A copy of an answer that is passed on as it comes, for those who only look at it."""

from collections.abc import Callable, Iterable


class ResponseCopy:
    """Keeps at most `limit` bytes of a streamed body."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: bytearray | None = bytearray()

    @property
    def body(self) -> bytes | None:
        """All that passed; None when it was more than the limit."""
        return None if self._kept is None else bytes(self._kept)

    def of[R: bytes | Iterable[bytes]](self, stream: Callable[[bytes], R]) -> Callable[[bytes], R]:
        """The same stream, copied on the way."""

        def copy(piece: bytes) -> R:
            if self._kept is not None:
                self._kept += piece
                if len(self._kept) > self.limit:
                    self._kept = None
            return stream(piece)

        return copy
