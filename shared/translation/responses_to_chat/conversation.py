"""The input of OpenAI's responses as messages of OpenAI's chat.

An item is a message, a call of a tool, its result or a thought. In chat, what the model said and the tools
that it called are one message, and the results of its calls must follow it at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shared.translation.members import DROPPED, REJECT, Member, mapped, must_be, objects, rejected
from shared.translation.notes import Caps, Document, Notes, Untranslatable
from shared.translation.responses_to_chat.calls import CALLS, chat_call
from shared.translation.responses_to_chat.content import joined, parts_of, texts_of, without_marks

_BETWEEN: Final = "\n\n"
_ASSISTANT: Final = "assistant"
#: The items of the input, and what they become, or what to do instead. Calls of tools of OpenAI's servers
#: stand only in the history.
ITEMS: Final[Mapping[str, Member]] = {
    "message": mapped("a message; developer is system, and those at the beginning are one"),
    "function_call": mapped("tool_calls of the message before it"),
    "custom_tool_call": mapped("the same, with the text as an argument"),
    "local_shell_call": mapped("the same, with the command as arguments"),
    **dict.fromkeys(
        ("function_call_output", "custom_tool_call_output", "local_shell_call_output"),
        mapped("a message of the role tool; its pictures are in one of the user after it"),
    ),
    "reasoning": DROPPED,
    "additional_tools": rejected("Put the tools in the member tools."),
    "compaction": rejected("Only the server that made it can read it. Send the items that it stands for."),
    "compaction_trigger": rejected("This model's API does not shorten the input. Send fewer items."),
    "configuration_update": rejected("Use the members reasoning and text of the request."),
    "item_reference": rejected("This model's API keeps no items. Send the item itself."),
    **dict.fromkeys(
        (
            "apply_patch_call",
            "apply_patch_call_output",
            "code_interpreter_call",
            "computer_call",
            "computer_call_output",
            "file_search_call",
            "image_generation_call",
            "mcp_approval_request",
            "mcp_approval_response",
            "mcp_call",
            "mcp_list_tools",
            "program",
            "program_output",
            "shell_call",
            "shell_call_output",
            "tool_search_call",
            "tool_search_output",
            "web_search_call",
        ),
        DROPPED,
    ),
}


@dataclass(slots=True, kw_only=True)
class _Turn:
    """A message of chat and what follows it.

    Attributes:
        message: the message.
        results: those of its calls.
        media: the pictures of the results, which have no place for them.
        said, thoughts: the texts of the model, of which its message is made at the end.
    """

    message: Document
    results: list[Document] = field(default_factory=list)
    media: list[Document] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)

    def messages(self) -> list[Document]:
        if self.said:
            self.message["content"] = _BETWEEN.join(self.said)
        if self.thoughts:
            self.message["reasoning_content"] = "".join(self.thoughts)
        media = [{"role": "user", "content": self.media}] if self.media else []
        return [self.message, *self.results, *media]


class Conversation:
    """The messages of a request, as they are built."""

    __slots__ = ("_calls", "_caps", "_notes", "_turns")

    def __init__(self, caps: Caps, notes: Notes) -> None:
        self._caps = caps
        self._notes = notes
        self._turns: list[_Turn] = []
        # The turns with the calls, by the ids of the calls.
        self._calls: dict[str, _Turn] = {}

    def messages(self) -> list[Document]:
        """The messages of chat."""
        return [message for turn in self._turns for message in turn.messages()]

    def add(self, item: Document, pointer: str) -> None:
        """Add an item. Raises `Untranslatable`."""
        kind = item.get("type", "message" if "role" in item else "item_reference")
        handler = _HANDLERS.get(kind) if isinstance(kind, str) else None
        if handler is not None:
            handler(self, item, pointer)
        elif isinstance(kind, str) and (member := ITEMS.get(kind, DROPPED)).action == REJECT:
            self._notes.reject(kind, f"{pointer}/type", member.to)
        else:
            self._notes.drop(kind if isinstance(kind, str) else "input", f"{pointer}/type")

    def _message(self, item: Document, pointer: str) -> None:
        where = f"{pointer}/content"
        if item.get("phase") is not None:
            self._notes.drop("phase", f"{pointer}/phase")
        match item.get("role"):
            case "user":
                self._append("user", self._content(item, where))
            case "system" | "developer":
                # Few servers know the role developer, and those that do read both alike.
                self._append("system", self._content(item, where))
            case "assistant":
                self._say(texts_of(item.get("content"), where, self._notes))
            case _:
                raise Untranslatable(f"{pointer}/role", "Use user, assistant, system or developer.")

    def _content(self, item: Document, pointer: str) -> list[Document] | str:
        return joined(list(parts_of(item.get("content"), pointer, self._notes)), self._caps)

    def _append(self, role: str, content: list[Document] | str | None) -> _Turn:
        turn = _Turn(message={"role": role, "content": content})
        self._turns.append(turn)
        return turn

    def _open_turn(self) -> _Turn | None:
        """The turn of the model that goes on; None: another one begins."""
        last = self._turns[-1] if self._turns else None
        return last if last is not None and last.message["role"] == _ASSISTANT and not last.results else None

    def _say(self, text: str) -> None:
        turn = self._open_turn()
        if turn is None or (turn.said and "tool_calls" not in turn.message):
            turn = self._append(_ASSISTANT, None)
        turn.said.append(text)

    def _think(self, item: Document, pointer: str) -> None:
        name = "summary" if item.get("summary") else "content"
        if self._caps.get("reasoning_content") is not True or not item.get(name):
            # The client sends back what it got, so this is no reason to reject its request.
            self._notes.lose("reasoning")
            return
        turn = self._open_turn() or self._append(_ASSISTANT, None)
        turn.thoughts.append(texts_of(item[name], f"{pointer}/{name}", self._notes))

    def _call(self, item: Document, pointer: str) -> None:
        call = chat_call(item, pointer)
        turn = self._open_turn() or self._append(_ASSISTANT, None)
        turn.message.setdefault("tool_calls", []).append(call)
        self._calls[call["id"]] = turn

    def _result(self, item: Document, pointer: str) -> None:
        # A result of local_shell has the id of its call in the member id.
        name = "id" if item.get("call_id") is None and item.get("id") is not None else "call_id"
        id_ = must_be(str, item.get(name), f"{pointer}/{name}")
        if id_ not in self._calls:
            detail = "No call of the input has this id. Send the call before its output."
            self._notes.reject("function_call_output", f"{pointer}/{name}", detail)
            return
        turn = self._calls[id_]
        given = parts_of(item.get("output"), f"{pointer}/output", self._notes)
        parts = list(without_marks(given, self._notes))
        text = _BETWEEN.join([part["text"] for part in parts if part["type"] == "text"])
        media = [part for part in parts if part["type"] != "text"]
        if media:
            turn.media += [{"type": "text", "text": f"[files of the output of {id_}]"}, *media]
        turn.results.append({"role": "tool", "tool_call_id": id_, "content": text})


_HANDLERS: Final[Mapping[str, Callable[[Conversation, Document, str], None]]] = {
    "message": Conversation._message,
    "reasoning": Conversation._think,
    **dict.fromkeys(CALLS, Conversation._call),
    **dict.fromkeys([f"{kind}_output" for kind in CALLS], Conversation._result),
}


def messages_of(kept: Document, caps: Caps, notes: Notes) -> list[Document]:
    """The messages of a request, with its instructions as the first one. Raises `Untranslatable`."""
    conversation = Conversation(caps, notes)
    given: Any = kept.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    for pointer, item in objects(items, "/input"):
        conversation.add(item, pointer)
    messages = conversation.messages()
    if not messages:
        raise Untranslatable("/input", "Send a text, or at least one message of the role user.")
    if "instructions" in kept:
        instructions = must_be(str, kept["instructions"], "/instructions")
        messages.insert(0, {"role": "system", "content": instructions})
    return _with_one_system(messages, caps, notes)


def _with_one_system(messages: list[Document], caps: Caps, notes: Notes) -> list[Document]:
    """The messages with one of the role system at the beginning: the templates of many models know no other.

    Those that come later stay where they are, unless the model is known not to take them.
    """
    begun = next((at for at, one in enumerate(messages) if one["role"] != "system"), len(messages))
    first, later = messages[:begun], messages[begun:]
    if caps.get("mid_system") is False and any([one["role"] == "system" for one in later]):
        notes.change("system_position")
        first += [one for one in later if one["role"] == "system"]
        later = [one for one in later if one["role"] != "system"]
    if len(first) < 2:
        return first + later
    contents = [one["content"] for one in first]
    parts = [
        part
        for content in contents
        for part in ([{"type": "text", "text": content}] if isinstance(content, str) else content)
    ]
    return [{"role": "system", "content": joined(parts, caps)}, *later]
