"""A stream of OpenAI's chat, for a client of OpenAI's responses."""

from typing import Any, Final

from shared.core.errors import ERRORS
from shared.providers.apis.events import DONE
from shared.providers.calls import OPENAI_CHAT
from shared.translation.chunks import THOUGHT, CallPiece, calls_of_delta, is_another, texts_of_delta
from shared.translation.errors import message_of, responses_failure, status_of
from shared.translation.framing import PING, Letters, StreamEvent
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
from shared.usage.reported import ReportedUsage

# The kind of part of each text.
_KINDS: Final = {THOUGHT: SUMMARY, "content": OUTPUT_TEXT, "refusal": DECLINED}


class Events:
    """Makes the events of one response from chunks."""

    __slots__ = ("_calls", "_context", "_finish", "_frame", "_is_over", "_letters", "_output", "_usage")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._usage = ReportedUsage(OPENAI_CHAT, context.settings.kind)
        self._letters = Letters()
        # The last call by its number; servers that number badly have several with one number.
        self._calls: dict[int | None, Call] = {}
        # Both are there from the first chunk on.
        self._frame: Document = {}
        self._output: Output | None = None
        self._finish: Any = None
        self._is_over = False

    def feed(self, event: Any) -> list[StreamEvent]:
        """The events that a chunk makes."""
        if self._is_over:
            return []
        if isinstance(event, str):
            return self._sign(event)
        if not isinstance(event, dict):
            return self._fail(502, _CUT)
        if event.get("error"):
            return self._fail(status_of(event), message_of(event))
        has_usage = bool(event.get("usage")) or "x_groq" in event
        if has_usage:
            self._usage.add(event)
        choices = event.get("choices")
        if not isinstance(choices, list) or not choices:
            # The usage comes last, and never before the reason to stop.
            return self._end() if has_usage and self._finish else []
        output = self._output or self._begin(event)
        for choice in choices:
            if isinstance(choice, dict):
                self._choice(choice, output)
        return output.take()

    def end(self) -> list[StreamEvent]:
        """The last events. If the chunks ended before the response, it failed."""
        return [] if self._is_over else self._end()

    def _sign(self, event: str) -> list[StreamEvent]:
        if event == PING:
            return [PING]
        return self._end() if event == DONE else self._fail(502, _CUT)

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
            return self._fail(502, _CUT)
        self._output.close(end.status)
        usage = responses_usage(self._usage.units())
        return self._over(end.status, {"incomplete_details": end.details, "usage": usage})

    def _choice(self, choice: Document, output: Output) -> None:
        if choice.get("index") not in (None, 0):
            self._context.notes.lose("choices")
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
        arguments = piece.arguments
        call = self._calls.get(piece.number)
        if call is None or is_another(call, piece):
            call = self._calls[piece.number] = output.begin_call()
        elif arguments.strip() and call.is_complete:
            # Some servers repeat all arguments at the end.
            self._context.notes.change("tool_arguments")
            arguments = ""
        call.id = call.id or piece.id
        call.name = call.name or piece.name
        output.continue_call(call, self._letters.join(call, arguments))


_CUT: Final = ERRORS["upstream_protocol_error"][1]
