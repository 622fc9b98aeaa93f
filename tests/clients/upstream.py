"""The demo upstream, with Gemini's generateContent and a place that counts the bytes of uploads."""

import json
from collections.abc import Iterator
from typing import Any

from examples.demo_upstream.server import DemoHandler, DemoServer
from examples.demo_upstream.text import Reply

_PIECE = 65536


def _gemini_text(request: dict[str, Any]) -> str:
    return "".join(part.get("text", "") for part in request["contents"][-1]["parts"])


def _candidate(text: str) -> dict[str, Any]:
    return {
        "candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": text}]}}],
        "modelVersion": "demo",
    }


class ClientsHandler(DemoHandler):
    """Takes ``/upload``, OpenAI's ``/v1/files`` and Gemini's calls; all else is the demo upstream's."""

    def do_POST(self) -> None:
        path, _, _ = self.path.partition("?")
        if path == "/upload":
            size = self._count()
            return self.response(200, size)
        if path == "/v1/files":
            file = {"id": "file-1", "object": "file", "bytes": self._count(), "created_at": 0}
            return self.response(
                200, {**file, "filename": "zeros", "purpose": "user_data", "status": "processed"}
            )
        if path.endswith("enerateContent"):
            reply = Reply(_gemini_text(json.loads(self.body())))
            if path.endswith(":streamGenerateContent"):
                return self.stream((None, _candidate(token)) for token in reply.tokens)
            return self.response(200, _candidate(reply.text))
        return super().do_POST()

    def _count(self) -> int:
        return sum(self._pieces())

    def _pieces(self) -> Iterator[int]:
        """The length of each piece of the body, sized or chunked."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            yield from self._read(int(self.headers.get("Content-Length", 0)))
            return
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield from self._read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _read(self, size: int) -> Iterator[int]:
        while size > 0 and (piece := self.rfile.read(min(size, _PIECE))):
            size -= len(piece)
            yield len(piece)


class ClientsUpstream(DemoServer):
    """The upstream."""

    handler = ClientsHandler
