"""The translation between two APIs: four functions, each pure, and a chain of two of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, NamedTuple, Protocol

from shared.translation.efforts import EFFORTS
from shared.translation.errors import ErrorResponse
from shared.translation.framing import StreamEvent
from shared.translation.notes import Caps, Context, Document, Notes, Settings, Untranslatable


class Events(Protocol):
    """Translates the events of one stream."""

    def feed(self, event: Any) -> list[StreamEvent]:
        """The events for the client that this one of the upstream makes; none after the last one."""
        ...

    def end(self) -> list[StreamEvent]:
        """The last events, when the stream has ended: an error, if it was cut off."""
        ...


class Translation(NamedTuple):
    """The translation for clients of one API, with an upstream that speaks another.

    Attributes:
        request: the client's request for the upstream, and notes. Raises `Untranslatable`.
        response: the upstream's whole response for the client. Raises `BadResponse`.
        events: translates a stream of the upstream for the client.
        error: an error of the upstream for the client, by its status and its JSON or text.
    """

    request: Callable[[Document, Caps, Settings], tuple[Document, Notes]]
    response: Callable[[Document, Context], Document]
    events: Callable[[Context], Events]
    error: Callable[[int, Any], ErrorResponse]


class _ChainedEvents:
    """The events of a stream, translated twice."""

    __slots__ = ("_first", "_second")

    def __init__(self, first: Events, second: Events) -> None:
        self._first = first
        self._second = second

    def feed(self, event: Any) -> list[StreamEvent]:
        return [made for middle in self._second.feed(event) for made in self._first.feed(middle)]

    def end(self) -> list[StreamEvent]:
        middle = [made for event in self._second.end() for made in self._first.feed(event)]
        return middle + self._first.end()


#: The capabilities of the model behind the API in the middle: all of them, so that only the second
#: translation decides what the upstream cannot do.
_MIDDLE: Final[Caps] = {
    "array_content": True,
    "efforts": ("none", "minimal", *EFFORTS),
    "stream_usage": True,
}


def chain(first: Translation, second: Translation) -> Translation:
    """The translation from the client's API of `first` to the upstream's API of `second`."""

    def request(document: Document, caps: Caps, settings: Settings) -> tuple[Document, Notes]:
        middle, notes = first.request(document, _MIDDLE, _of_middle(settings))
        try:
            sent, others = second.request(middle, caps, settings)
        except Untranslatable as error:
            raise _for_client(error, document) from None
        notes.add(others)
        return sent, notes

    def response(document: Document, context: Context) -> Document:
        return first.response(second.response(document, context), _context_of_middle(context))

    def error(status: int, body: Any) -> ErrorResponse:
        return first.error(*second.error(status, body))

    return Translation(
        request,
        response,
        lambda context: _ChainedEvents(first.events(_context_of_middle(context)), second.events(context)),
        error,
    )


def _of_middle(settings: Settings) -> Settings:
    """The settings for the API in the middle, which no kind of provider writes in its own way."""
    return replace(settings, kind="")


def _context_of_middle(context: Context) -> Context:
    return replace(context, settings=_of_middle(context.settings))


def _for_client(error: Untranslatable, document: Document) -> Untranslatable:
    """The error with a pointer into the client's request: to the member, if both APIs name it alike."""
    member = error.pointer.split("/")[1] if error.pointer else ""
    return Untranslatable(f"/{member}" if member in document else "", error.detail)
