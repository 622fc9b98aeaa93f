"""A stream of OpenAI's chat, for a client of Anthropic's messages."""

from typing import Any, Final

from shared.providers.apis.events import DONE
from shared.providers.calls import OPENAI_CHAT
from shared.translation.chunks import THOUGHT, CallPiece, calls_of_delta, is_another, texts_of_delta
from shared.translation.errors import messages_error, messages_protocol_error, status_of
from shared.translation.framing import PING, Letters, StreamEvent
from shared.translation.messages_to_chat.blocks import CALL, TEXT, THINKING, Block, Blocks
from shared.translation.notes import EXPOSE, Context, Document
from shared.translation.stops import stop_reason
from shared.translation.tools import messages_id
from shared.translation.usage import messages_usage
from shared.usage.reported import ReportedUsage

# The kind of block of each text.
_KINDS: Final = {THOUGHT: THINKING, "content": TEXT, "refusal": TEXT}


class Events:
    """Makes the events of one message from chunks."""

    __slots__ = (
        "_blocks",
        "_calls",
        "_context",
        "_declined",
        "_finish",
        "_is_over",
        "_is_started",
        "_letters",
        "_usage",
    )

    def __init__(self, context: Context) -> None:
        self._context = context
        self._usage = ReportedUsage(OPENAI_CHAT, context.settings.kind)
        self._letters = Letters()
        self._blocks = Blocks(context.token)
        # The last call by its number; servers that number badly have several with one number.
        self._calls: dict[int | None, Block] = {}
        self._finish: Any = None
        self._declined = self._is_started = self._is_over = False

    def feed(self, event: Any) -> list[StreamEvent]:
        """The events that a chunk makes."""
        if self._is_over:
            return []
        if isinstance(event, str):
            return self._sign(event)
        if not isinstance(event, dict):
            return self._fail(messages_protocol_error())
        if event.get("error"):
            return self._fail(messages_error(status_of(event), event).document)
        has_usage = bool(event.get("usage")) or "x_groq" in event
        if has_usage:
            self._usage.add(event)
        choices = event.get("choices")
        if not isinstance(choices, list) or not choices:
            # The usage comes last, and never before the reason to stop.
            return self._end() if has_usage and self._finish else []
        made = [] if self._is_started else self._begin(event)
        for choice in choices:
            if isinstance(choice, dict):
                made += self._choice(choice)
        return made

    def end(self) -> list[StreamEvent]:
        """The last events. If the chunks ended before the response, they are an error."""
        return [] if self._is_over else self._end()

    def _sign(self, event: str) -> list[StreamEvent]:
        if event == PING:
            # The message has to come first, so a comment keeps the connection alive until then.
            return [{"type": "ping"}] if self._is_started else [PING]
        return self._end() if event == DONE else self._fail(messages_protocol_error())

    def _fail(self, error: Document) -> list[StreamEvent]:
        self._is_over = True
        return [error]

    def _begin(self, event: Document) -> list[StreamEvent]:
        self._is_started = True
        message: Document = {
            "id": messages_id(self._context.shown_id(event.get("id")), self._context.token),
            "type": "message",
            "role": "assistant",
            "model": self._context.model or str(event.get("model") or ""),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": self._context.input_tokens, "output_tokens": 0},
        }
        return [{"type": "message_start", "message": message}, {"type": "ping"}]

    def _choice(self, choice: Document) -> list[StreamEvent]:
        if choice.get("index") not in (None, 0):
            self._context.notes.lose("choices")
            return []
        self._finish = choice.get("finish_reason") or self._finish
        delta = choice.get("delta")
        return self._delta(delta) if isinstance(delta, dict) else []

    def _delta(self, delta: Document) -> list[StreamEvent]:
        made: list[StreamEvent] = []
        for kind, piece in texts_of_delta(delta):
            self._declined |= kind == "refusal"
            if kind == THOUGHT and self._context.settings.reasoning != EXPOSE:
                continue
            if text := self._letters.join(kind, piece):
                made += self._blocks.text(_KINDS[kind], kind, text)
        for call in calls_of_delta(delta):
            made += self._call(call)
        return made

    def _call(self, piece: CallPiece) -> list[StreamEvent]:
        arguments = piece.arguments
        block = self._calls.get(piece.number)
        if block is None or is_another(block, piece):
            block = self._calls[piece.number] = Block(CALL, "call")
            self._blocks.add(block)
        elif arguments.strip() and block.is_complete:
            # Some servers repeat all arguments at the end.
            self._context.notes.change("tool_arguments")
            arguments = ""
        block.id = block.id or piece.id
        block.name = block.name or self._context.notes.tool_names.get(piece.name, piece.name)
        block.add(self._letters.join(block, arguments))
        return self._blocks.ready()

    def _end(self) -> list[StreamEvent]:
        self._is_over = True
        reason = stop_reason(self._finish, has_tools=bool(self._calls))
        if not self._is_started or reason is None:
            return [messages_protocol_error()]
        units = self._usage.units()
        # A figure that is not reported leaves the estimate of the beginning in place.
        usage = messages_usage(units) if units else {"output_tokens": 0}
        return [
            *self._blocks.ready(is_end=True),
            {
                "type": "message_delta",
                "delta": {"stop_reason": "refusal" if self._declined else reason, "stop_sequence": None},
                "usage": usage,
            },
            {"type": "message_stop"},
        ]
