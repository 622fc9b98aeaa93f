"""Reads a stream of OpenAI's chat, for the clients of both other APIs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from shared.providers.apis.events import DONE
from shared.providers.calls import OPENAI_CHAT
from shared.translation.chunks import CallPiece, KnownCall, is_another
from shared.translation.framing import PING, Letters, StreamEvent
from shared.translation.notes import Context, Document
from shared.usage.reported import ReportedUsage


class ChunkReader[Call: KnownCall](ABC):
    """Makes the events of one response from chunks. A subclass knows the events of its API."""

    __slots__ = ("_calls", "_context", "_finish", "_is_over", "_letters", "_usage")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._usage = ReportedUsage(OPENAI_CHAT, context.settings.kind)
        self._letters = Letters()
        # The last call by its number; servers that number badly have several with one number.
        self._calls: dict[int | None, Call] = {}
        self._finish: Any = None
        self._is_over = False

    def feed(self, event: Any) -> list[StreamEvent]:
        """The events that a chunk makes."""
        if self._is_over:
            return []
        if isinstance(event, str):
            if event == PING:
                return self._ping()
            return self._end() if event == DONE else self._cut()
        if not isinstance(event, dict):
            return self._cut()
        if event.get("error"):
            return self._failed(event)
        has_usage = bool(event.get("usage")) or "x_groq" in event
        if has_usage:
            self._usage.add(event)
        choices = event.get("choices")
        if not isinstance(choices, list) or not choices:
            # The usage comes last, and never before the reason to stop.
            return self._end() if has_usage and self._finish else []
        return self._chunk(event, choices)

    def end(self) -> list[StreamEvent]:
        """The last events. If the chunks ended before the response, they are an error."""
        return [] if self._is_over else self._end()

    def _is_first(self, choice: Document) -> bool:
        """Whether it is the first of several choices; the others are lost."""
        if choice.get("index") in (None, 0):
            return True
        self._context.notes.lose("choices")
        return False

    def _call_of(self, piece: CallPiece, begin: Callable[[], Call]) -> tuple[Call, str]:
        """The call that a piece belongs to, or `begin` makes for it, and the new part of its arguments."""
        arguments = piece.arguments
        call = self._calls.get(piece.number)
        if call is None or is_another(call, piece):
            call = self._calls[piece.number] = begin()
        elif arguments.strip() and call.is_complete:
            # Some servers repeat all arguments at the end.
            self._context.notes.change("tool_arguments")
            arguments = ""
        call.id = call.id or piece.id
        return call, self._letters.join(call, arguments)

    @abstractmethod
    def _ping(self) -> list[StreamEvent]:
        """The events of a comment."""

    @abstractmethod
    def _chunk(self, event: Document, choices: Sequence[Any]) -> list[StreamEvent]:
        """The events of a chunk with choices."""

    @abstractmethod
    def _failed(self, event: Document) -> list[StreamEvent]:
        """The events of an error of the upstream."""

    @abstractmethod
    def _cut(self) -> list[StreamEvent]:
        """The events of a stream that breaks the protocol."""

    @abstractmethod
    def _end(self) -> list[StreamEvent]:
        """The events of the end."""
