"""The blocks of a message in the order in which their client gets them: one after the other.

Chat has no blocks: its chunks continue a text, a thought, or any of several calls. The first block that is
not complete is open, and its pieces go on at once. Pieces of the next blocks wait. So pieces of two
calls may come in any order, and none is lost.
"""

from collections import deque
from typing import Any, Final

from shared.translation.chunks import Arguments
from shared.translation.framing import StreamEvent
from shared.translation.notes import Document
from shared.translation.tools import ToolIds

TEXT: Final = "text"
THINKING: Final = "thinking"
CALL: Final = "tool_use"
# The kind of a delta, and the name of its text.
_DELTAS: Final = {TEXT: ("text_delta", "text"), THINKING: ("thinking_delta", "thinking")}
_STARTS: Final[dict[str, Document]] = {
    TEXT: {"type": "text", "text": ""},
    THINKING: {"type": "thinking", "thinking": "", "signature": ""},
}


class Block:
    """A block: what it is, what of it waits, and whether its client knows of it.

    Attributes:
        kind: `TEXT`, `THINKING` or `CALL`.
        source: the member of chat that it is made of. Another member makes another block.
        id: of a call, as the model gave it; empty: not yet, or never.
        name: of a call, the name of its tool.
        waiting: the pieces that the client does not have yet.
        is_open: the client knows of it.
    """

    __slots__ = ("_arguments", "id", "is_open", "kind", "name", "source", "waiting")

    def __init__(self, kind: str, source: str) -> None:
        self.kind = kind
        self.source = source
        self.id = self.name = ""
        self.waiting: list[str] = []
        self.is_open = False
        self._arguments = Arguments()

    def add(self, piece: str) -> None:
        """Add a piece of its text or its arguments."""
        if piece:
            self.waiting.append(piece)
        if self.kind == CALL:
            self._arguments.add(piece)

    @property
    def is_complete(self) -> bool:
        """Whether nothing follows when another block has begun: a text, or arguments that are an object."""
        return self.kind != CALL or self._arguments.is_complete


class Blocks:
    """Makes the events of the blocks of one message."""

    __slots__ = ("_ids", "_index", "_pending")

    def __init__(self, token: str) -> None:
        self._ids = ToolIds(token)
        self._index = 0
        # The first one may be open.
        self._pending: deque[Block] = deque()

    def add(self, block: Block) -> None:
        """Add a block behind the others."""
        self._pending.append(block)

    def text(self, kind: str, source: str, piece: str) -> list[StreamEvent]:
        """The events of a piece of a text, which continues the last block or begins one."""
        if not self._pending or self._pending[-1].source != source:
            self.add(Block(kind, source))
        self._pending[-1].add(piece)
        return self.ready()

    def ready(self, *, is_end: bool = False) -> list[StreamEvent]:
        """The events that need not wait. At the end, nothing waits."""
        made: list[StreamEvent] = []
        while self._pending:
            block = self._pending[0]
            if block.kind == CALL and not block.name:
                if not is_end:
                    break
                self._pending.popleft()  # a call of no tool
                continue
            made += self._continued(block)
            if not (is_end or (len(self._pending) > 1 and block.is_complete)):
                break
            made.append({"type": "content_block_stop", "index": self._index})
            self._index += 1
            self._pending.popleft()
        return made

    def _continued(self, block: Block) -> list[StreamEvent]:
        made: list[StreamEvent] = []
        if not block.is_open:
            block.is_open = True
            made.append(_event("content_block_start", self._index, content_block=self._start(block)))
        if block.waiting:
            kind, name = _DELTAS.get(block.kind, ("input_json_delta", "partial_json"))
            delta = {"type": kind, name: "".join(block.waiting)}
            made.append(_event("content_block_delta", self._index, delta=delta))
            block.waiting = []
        return made

    def _start(self, block: Block) -> Document:
        if block.kind != CALL:
            return _STARTS[block.kind]
        return {"type": CALL, "id": self._ids.make(block.id), "name": block.name, "input": {}}


def _event(kind: str, index: int, **members: Any) -> Document:
    return {"type": kind, "index": index, **members}
