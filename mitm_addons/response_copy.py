"""Which responses are collected, and the copy of a streamed one for entries in shadow mode."""

from collections.abc import Callable, Iterable

from mitmproxy import http

from shared.core.memo import Memo
from shared.http.media_type import MediaType
from shared.model.messages import first_value
from shared.routing.ai_exchange import AiExchange
from shared.upstreams.commit import MAX_COLLECTED

_IS_JSON: Memo[bytes, bool] = Memo(lambda value: MediaType.parse(value.decode("latin-1")).is_json)


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


def is_collected(ai: AiExchange, response: http.Response, *, is_stream: bool) -> bool:
    """Whether the response is collected: to tell its cost in its head, to hide its model, or to translate."""
    if ai.translated is not None:
        return not ai.translated.is_streamed
    fields = response.data.headers.fields
    if ai.route.ai.hide_target and ai.hides_target and _IS_JSON[first_value(fields, "content-type")]:
        return True
    if ai.meter is None or is_stream:
        return False
    length = first_value(fields, "content-length")
    return length.isdigit() and int(length) <= MAX_COLLECTED


def is_whole_error(response: http.Response) -> bool:
    """Whether an error is collected to take secrets out: a short one, and one with a content coding."""
    fields = response.data.headers.fields
    length = first_value(fields, "content-length")
    is_short = length.isdigit() and int(length) <= MAX_COLLECTED
    return is_short or first_value(fields, "content-encoding") != b""
