"""A stream of OpenAI's chat, for a client of Anthropic's messages."""

from collections.abc import Sequence
from typing import Any, Final

from shared.translation.chunk_reader import ChunkReader
from shared.translation.chunks import THOUGHT, CallPiece, calls_of_delta, texts_of_delta
from shared.translation.errors import messages_error, messages_protocol_error, status_of
from shared.translation.framing import PING, StreamEvent
from shared.translation.messages_to_chat.blocks import CALL, TEXT, THINKING, Block, Blocks
from shared.translation.notes import EXPOSE, Context, Document
from shared.translation.stops import stop_reason
from shared.translation.tools import messages_id
from shared.translation.usage import messages_usage

# The kind of block of each text.
_KINDS: Final = {THOUGHT: THINKING, "content": TEXT, "refusal": TEXT}


class Events(ChunkReader[Block]):
    """Makes the events of one message from chunks."""

    __slots__ = ("_blocks", "_declined", "_is_started")

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._blocks = Blocks(context.token)
        self._declined = self._is_started = False

    def _chunk(self, event: Document, choices: Sequence[Any]) -> list[StreamEvent]:
        made = [] if self._is_started else self._begin(event)
        for choice in choices:
            if isinstance(choice, dict):
                made += self._choice(choice)
        return made

    def _ping(self) -> list[StreamEvent]:
        # The message has to come first, so a comment keeps the connection alive until then.
        return [{"type": "ping"}] if self._is_started else [PING]

    def _failed(self, event: Document) -> list[StreamEvent]:
        return self._fail(messages_error(status_of(event), event).document)

    def _cut(self) -> list[StreamEvent]:
        return self._fail(messages_protocol_error())

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
        if not self._is_first(choice):
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
        block, arguments = self._call_of(piece, self._begin_call)
        block.name = block.name or self._context.notes.tool_names.get(piece.name, piece.name)
        block.add(arguments)
        return self._blocks.ready()

    def _begin_call(self) -> Block:
        block = Block(CALL, "call")
        self._blocks.add(block)
        return block

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
