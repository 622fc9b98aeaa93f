"""A stream of OpenAI's chat, for a client of OpenAI's responses."""

from collections.abc import Sequence
from typing import Any, Final

from shared.core.errors import ERRORS
from shared.translation.chunk_reader import ChunkReader
from shared.translation.chunks import THOUGHT, CallPiece, calls_of_delta, texts_of_delta
from shared.translation.errors import message_of, responses_failure, status_of
from shared.translation.framing import PING, StreamEvent
from shared.translation.notes import EXPOSE, Context, Document
from shared.translation.responses_to_chat.items import (
    DECLINED,
    OUTPUT_TEXT,
    SUMMARY,
    annotations_of,
    logprobs_of,
)
from shared.translation.responses_to_chat.output import Call, Output
from shared.translation.responses_to_chat.response import frame
from shared.translation.stops import response_end
from shared.translation.usage import responses_usage

# The kind of part of each text.
_KINDS: Final = {THOUGHT: SUMMARY, "content": OUTPUT_TEXT, "refusal": DECLINED}


class Events(ChunkReader[Call]):
    """Makes the events of one response from chunks."""

    __slots__ = ("_frame", "_output")

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        # Both are there from the first chunk on.
        self._frame: Document = {}
        self._output: Output | None = None

    def _chunk(self, event: Document, choices: Sequence[Any]) -> list[StreamEvent]:
        output = self._output or self._begin(event)
        for choice in choices:
            if isinstance(choice, dict):
                self._choice(choice, output)
        return output.take()

    def _ping(self) -> list[StreamEvent]:
        return [PING]

    def _failed(self, event: Document) -> list[StreamEvent]:
        return self._fail(status_of(event), message_of(event))

    def _cut(self) -> list[StreamEvent]:
        return self._fail(502, ERRORS["upstream_protocol_error"][1])

    def _begin(self, event: Document) -> Output:
        self._frame = frame(event, self._context)
        self._output = output = Output(self._frame["id"], self._context.token, self._context.notes)
        for kind in ("created", "in_progress"):
            output.add(f"response.{kind}", {"response": self._frame})
        return output

    def _over(self, status: str, members: Document) -> list[StreamEvent]:
        self._is_over = True
        output = self._output or self._begin({})
        items = [item for item in output.items if item is not None]
        whole = {**self._frame, "status": status, "output": items, **members}
        output.add(f"response.{status}", {"response": whole})
        return output.take()

    def _fail(self, status: int, message: str) -> list[StreamEvent]:
        return self._over("failed", {"error": responses_failure(status, message)})

    def _end(self) -> list[StreamEvent]:
        end = response_end(self._finish)
        if self._output is None or end is None:
            return self._cut()
        self._output.close(end.status)
        usage = responses_usage(self._usage.units())
        return self._over(end.status, {"incomplete_details": end.details, "usage": usage})

    def _choice(self, choice: Document, output: Output) -> None:
        if not self._is_first(choice):
            return
        delta = choice.get("delta")
        if isinstance(delta, dict):
            self._delta(delta, choice, output)
        if choice.get("finish_reason"):
            self._finish = choice["finish_reason"]
            if (end := response_end(self._finish)) is not None:
                output.close(end.status)

    def _delta(self, delta: Document, choice: Document, output: Output) -> None:
        for name, piece in texts_of_delta(delta):
            if name == THOUGHT and self._context.settings.reasoning != EXPOSE:
                continue
            if text := self._letters.join(name, piece):
                given = choice.get("logprobs") if name == "content" else None
                output.say(_KINDS[name], text, logprobs_of(given) if given else [])
        if "annotations" in delta:
            for annotation in annotations_of(delta["annotations"]):
                output.cite(annotation)
        for call in calls_of_delta(delta):
            self._call(call, output)

    def _call(self, piece: CallPiece, output: Output) -> None:
        call, arguments = self._call_of(piece, output.begin_call)
        call.name = call.name or piece.name
        output.continue_call(call, arguments)
