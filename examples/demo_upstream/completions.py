"""OpenAI's chat completions, and its older completions."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from examples.demo_upstream.exchange import Event, Exchange, Json
from examples.demo_upstream.text import Reply, conversation, count_tokens, last_prompt, prompts


class _Completions(Exchange):
    """The members that both APIs have in common: one choice per reply, and the usage."""

    id: ClassVar[str]
    whole_object: ClassVar[str]
    chunk_object: ClassVar[str]

    def __init__(self, request: Json) -> None:
        super().__init__(request)
        limits = request.get("max_completion_tokens"), request.get("max_tokens")
        self.replies = [Reply(prompt, *limits) for prompt in self.prompts()]

    @abstractmethod
    def prompts(self) -> Sequence[str]:
        """The texts that are replied to."""

    @abstractmethod
    def full_choice(self, reply: Reply) -> Json:
        """The members of a choice of the whole response."""

    @abstractmethod
    def first_choices(self) -> Sequence[Json]:
        """The members of the choices of the events before the text."""

    @abstractmethod
    def token_choice(self, token: str) -> Json:
        """The members of a choice that brings a token; "" ends the choice."""

    @property
    def usage(self) -> Json:
        """The tokens of the call."""
        output = sum(reply.count for reply in self.replies)
        return {
            "prompt_tokens": self.input_count,
            "completion_tokens": output,
            "total_tokens": self.input_count + output,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }

    def whole(self) -> Json:
        choices = [
            _choice(number, self.full_choice(reply), _reason(reply))
            for number, reply in enumerate(self.replies)
        ]
        return self._document(self.whole_object, choices, usage=self.usage)

    def events(self) -> Iterator[Event]:
        """Token by token, with the usage at the end if the request includes it."""
        includes_usage = (self.request.get("stream_options") or {}).get("include_usage") is True
        # OpenAI gives all other events the usage null then.
        more = {"usage": None} if includes_usage else {}
        for choice in self._choices():
            yield None, self._document(self.chunk_object, [choice], **more)
        if includes_usage:
            yield None, self._document(self.chunk_object, [], usage=self.usage)
        yield None, "[DONE]"

    def _choices(self) -> Iterator[Json]:
        """The choice of each event."""
        for number, reply in enumerate(self.replies):
            for first in self.first_choices():
                yield _choice(number, first, None)
            for token in reply.tokens:
                yield _choice(number, self.token_choice(token), None)
            yield _choice(number, self.token_choice(""), _reason(reply))

    def _document(self, kind: str, choices: list[Json], **more: Any) -> Json:
        head = {"id": self.id, "object": kind, "created": 0, "model": self.model}
        return {**head, "choices": choices, **more}


def _choice(number: int, members: Json, reason: str | None) -> Json:
    return {"index": number, **members, "finish_reason": reason, "logprobs": None}


def _reason(reply: Reply) -> str:
    return "length" if reply.is_cut else "stop"


class ChatExchange(_Completions):
    """OpenAI's chat completions."""

    id = "chatcmpl-demo"
    whole_object = "chat.completion"
    chunk_object = "chat.completion.chunk"

    def count_input(self) -> int:
        return count_tokens(conversation(self.request.get("messages")))

    def prompts(self) -> Sequence[str]:
        return [last_prompt(self.request.get("messages"))]

    def full_choice(self, reply: Reply) -> Json:
        return {"message": {"role": "assistant", "content": reply.text}}

    def first_choices(self) -> Sequence[Json]:
        return [{"delta": {"role": "assistant", "content": ""}}]

    def token_choice(self, token: str) -> Json:
        return {"delta": {"content": token} if token else {}}


class CompletionsExchange(_Completions):
    """OpenAI's completions, with one choice per prompt."""

    id = "cmpl-demo"
    whole_object = chunk_object = "text_completion"

    def count_input(self) -> int:
        return count_tokens(self.prompts())

    def prompts(self) -> Sequence[str]:
        return prompts(self.request.get("prompt", ""))

    def full_choice(self, reply: Reply) -> Json:
        return {"text": reply.text}

    def first_choices(self) -> Sequence[Json]:
        return []

    def token_choice(self, token: str) -> Json:
        return {"text": token}
