"""An upstream with a model: a test says what it responds to the JSON of each request."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from shared.translation.framing import write_event
from tests.support.peer import Peer, Received
from tests.support.upstream import REQUEST, STREAM, Upstream, chunk, close, sized

#: The end of a stream whose connection breaks off.
CUT = object()
#: The response of a model: a document, events, or a status with a document.
type Reply = dict[str, Any] | Sequence[Any] | tuple[int, dict[str, Any]]

_APIS = {"completions": "openai.chat", "messages": "anthropic.messages", "responses": "openai.responses"}


class ModelUpstream(Upstream):
    """Responds as `reply` says. `asked` has the JSON of each request, with the newest last."""

    def __init__(self) -> None:
        super().__init__(default=(*REQUEST, self._respond))
        self.asked: list[Any] = []
        self.reply: Callable[[dict[str, Any]], Reply] = lambda _: {}

    @property
    def last(self) -> Received:
        """The newest request."""
        return self.received[-1]

    async def _respond(self, peer: Peer) -> None:
        assert peer.last is not None
        document = json.loads(peer.last.body)
        self.asked.append(document)
        api = _APIS[peer.last.target.partition("?")[0].rpartition("/")[2]]
        found = self.reply(document)
        if isinstance(found, dict):
            await peer.write(_json(found))
        elif isinstance(found, tuple):
            await peer.write(_json(found[1], f"{found[0]} Failed"))
        else:
            await _stream(peer, found, api)


def _json(document: Any, status: str = "200 OK") -> bytes:
    return sized(orjson.dumps(document), status, "Content-Type: application/json")


async def _stream(peer: Peer, events: Sequence[Any], api: str) -> None:
    await peer.write(STREAM)
    for event in events:
        if event is CUT:
            await close(peer)
        await peer.write(chunk(write_event(event, api)))
    await peer.write(chunk(b""))
