"""The messages of OpenAI's chat as turns of Anthropic's messages.

Turns alternate between the user and the assistant: two of one role are one. The results of tools are blocks
of the user, which come first in the turn after the calls, in the order of the calls.
"""

from collections.abc import Iterator
from typing import Any, Final

from shared.translation.chat_to_messages.content import blocks_of, cache_control, text_block
from shared.translation.members import must_be, objects
from shared.translation.notes import Caps, Document, Notes, Untranslatable
from shared.translation.tools import call_id, input_of

_RESULT: Final = "tool_result"
_NO_CALLS: Final = "Use tool_calls with functions."
_NO_PREFILL: Final = "This model does not continue an assistant message. End with a user or tool message."


class Conversation:
    """The turns of a request, and its instructions, as they are built.

    Attributes:
        system: the blocks of the instructions.
        turns: the messages of Anthropic's API.
    """

    __slots__ = ("_mid_system", "_notes", "_order", "_results", "system", "turns")

    def __init__(self, caps: Caps, notes: Notes) -> None:
        self.system: list[Document] = []
        self.turns: list[Document] = []
        self._mid_system = caps.get("mid_system") is True
        self._notes = notes
        # The ids of the calls of the last turn of the assistant.
        self._order: list[str] = []
        # The results for the present turn of the user. They get their order when all have come.
        self._results: list[Document] = []

    def add(self, message: Document, pointer: str) -> None:
        """Add a message of chat. Raises `Untranslatable`."""
        match message.get("role"):
            case "system" | "developer":
                self._instruct(self._blocks(message, pointer))
            case "user":
                self._append("user", self._blocks(message, pointer))
            case "assistant":
                self._append("assistant", self._marked(said := self._said(message, pointer), message))
                if said:
                    self._order = [call_id(call["id"]) for call in message.get("tool_calls") or ()]
            case "tool":
                self._add_result(self._result(message, pointer))
            case "function":
                detail = "Functions are deprecated. Use tool_calls and messages of the role tool."
                self._notes.reject("function", f"{pointer}/role", detail)
            case _:
                raise Untranslatable(f"{pointer}/role", "Use system, developer, user, assistant or tool.")
        if message.get("name") is not None:
            self._notes.drop("name", f"{pointer}/name")

    def _blocks(self, message: Document, pointer: str) -> list[Document]:
        blocks = list(blocks_of(message.get("content"), f"{pointer}/content", self._notes))
        return self._marked(blocks, message)

    def _marked(self, blocks: list[Document], message: Document) -> list[Document]:
        if blocks and (control := cache_control(message, self._notes)) is not None:
            blocks[-1]["cache_control"] = control
        return blocks

    def _instruct(self, blocks: list[Document]) -> None:
        if not self.turns or not self._mid_system:
            if self.turns and blocks:
                self._notes.change("system_position")
            self.system += blocks
        else:
            self._append("system", blocks)

    def _append(self, role: str, blocks: list[Document]) -> None:
        if blocks and self.turns and self.turns[-1]["role"] == role:
            self.turns[-1]["content"] += blocks
        elif blocks:
            self._place_results()
            self.turns.append({"role": role, "content": blocks})

    def _said(self, message: Document, pointer: str) -> list[Document]:
        said = list(_signed_thoughts(message, self._notes))
        said += blocks_of(message.get("content"), f"{pointer}/content", self._notes)
        declined = message.get("refusal")
        said += text_block(must_be(str, declined, f"{pointer}/refusal")) if declined is not None else ()
        if message.get("function_call") is not None:
            self._notes.reject("function_call", f"{pointer}/function_call", _NO_CALLS)
        if message.get("audio") is not None:
            self._notes.drop("audio", f"{pointer}/audio")
        for where, call in objects(message.get("tool_calls") or [], f"{pointer}/tool_calls"):
            said += self._call(call, where)
        return said

    def _call(self, call: Document, pointer: str) -> Iterator[Document]:
        id_ = call_id(must_be(str, call.get("id"), f"{pointer}/id"))
        if call.get("type", "function") != "function":
            self._notes.reject("tool_calls", f"{pointer}/type", _NO_CALLS)
            return
        function = must_be(dict, call.get("function"), f"{pointer}/function")
        name = must_be(str, function.get("name"), f"{pointer}/function/name")
        arguments = function.get("arguments")
        value = input_of(arguments)
        if value is None:
            # The model wrote it, and should see it again.
            self._notes.change("tool_arguments")
            value = {"_arguments": arguments}
        yield {"type": "tool_use", "id": id_, "name": name, "input": value}

    def _result(self, message: Document, pointer: str) -> Document:
        id_ = call_id(must_be(str, message.get("tool_call_id"), f"{pointer}/tool_call_id"))
        content: Any = message.get("content")
        if isinstance(content, str):
            content = content if content.strip() else ""
        else:
            content = list(blocks_of(content, f"{pointer}/content", self._notes))
        return self._marked([{"type": _RESULT, "tool_use_id": id_, "content": content}], message)[0]

    def _add_result(self, result: Document) -> None:
        if not self.turns or self.turns[-1]["role"] != "user":
            self.turns.append({"role": "user", "content": []})
        self._results.append(result)

    def _place_results(self) -> None:
        """Put the results at the beginning of their turn, in the order of their calls."""
        if self._results:
            order = {id_: number for number, id_ in enumerate(self._order)}
            self._results.sort(key=lambda one: order.get(one["tool_use_id"], len(order)))
            self.turns[-1]["content"][:0] = self._results
            self._results = []

    def close(self, caps: Caps) -> None:
        """Check the end: the API takes no space after what the model is to continue, and no empty request."""
        self._place_results()
        if self.turns and self.turns[-1]["role"] == "assistant":
            if caps.get("prefill") is False:
                self._notes.reject("prefill", "/messages", _NO_PREFILL)
                self.turns.pop()
            elif self.turns[-1]["content"][-1]["type"] == "text":
                last = self.turns[-1]["content"][-1]
                last["text"] = last["text"].rstrip()
        if not self.turns:
            raise Untranslatable("/messages", "Send at least one message of the role user, with a text.")


def conversation_of(messages: Any, caps: Caps, notes: Notes) -> Conversation:
    """The turns and the instructions of the messages of a request. Raises `Untranslatable`."""
    conversation = Conversation(caps, notes)
    for pointer, message in objects(messages, "/messages"):
        conversation.add(message, pointer)
    conversation.close(caps)
    return conversation


def _signed_thoughts(message: Document, notes: Notes) -> Iterator[Document]:
    """The thoughts that Anthropic has signed, in the members of other gateways. It rejects any other one."""
    found = 0
    for name in ("thinking_blocks", "reasoning_details"):
        thoughts = message.get(name)
        for thought in thoughts if isinstance(thoughts, list) and not found else ():
            match thought:
                case {"type": "thinking", "thinking": str(text), "signature": str(signature)} if signature:
                    yield {"type": "thinking", "thinking": text, "signature": signature}
                case {"type": "reasoning.text", "text": str(text), "signature": str(signature)} if signature:
                    yield {"type": "thinking", "thinking": text, "signature": signature}
                case {"type": "redacted_thinking" | "reasoning.encrypted", "data": str(data)}:
                    yield {"type": "redacted_thinking", "data": data}
                case _:
                    notes.lose(name)
                    continue
            found += 1
    # The client sends back what it got, so this is no reason to reject its request.
    for name in ("reasoning_content", "reasoning"):
        if message.get(name) and not found:
            notes.lose(name)
