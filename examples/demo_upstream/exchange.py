"""One call of an API of the demo upstream."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

from examples.demo_upstream.errors import error_body
from examples.demo_upstream.models import MODELS

type Json = dict[str, Any]
type Event = tuple[str | None, Any]  # the name of the event, if any, and its data


class Exchange(ABC):
    """One call: the request, and the response as a whole and as a stream.

    Attributes:
        model: the name in the request. Every name is served.
        input_count: the tokens of the request.
        anthropic: whether the API is Anthropic's.
        can_stream: whether the API has streams.
    """

    anthropic: ClassVar[bool] = False
    can_stream: ClassVar[bool] = True

    def __init__(self, request: Json) -> None:
        self.request = request
        self.model = str(request.get("model", MODELS[0]))
        self.input_count = self.count_input()

    @property
    def is_streamed(self) -> bool:
        """Whether the response is a stream."""
        return self.can_stream and self.request.get("stream") is True

    @abstractmethod
    def count_input(self) -> int:
        """The tokens of the request."""

    @abstractmethod
    def whole(self) -> Json:
        """The whole response."""

    def events(self) -> Iterator[Event]:
        """The response as a stream; nothing for an API without streams."""
        return iter(())

    def error_event(self, status: int) -> Event:
        """The event with which a stream fails. `status` is that of the same error without a stream."""
        return None, error_body(status, anthropic=False)
