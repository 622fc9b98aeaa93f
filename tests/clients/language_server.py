"""The language server of YAML, which VS Code and other editors start: it completes and checks files."""

import json
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from threading import Timer
from typing import Any, Self

LIMIT = 60.0  # seconds until a server that does not respond is killed


class LanguageServer:
    """An editor's side of the Language Server Protocol, over the standard streams of `program`."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen([program, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._timer = Timer(LIMIT, self._process.kill)
        self._timer.start()
        self._ids = count(1)

    def __enter__(self) -> Self:
        self._call("initialize", {"processId": None, "rootUri": None, "capabilities": {}})
        self._send(method="initialized", params={})
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._process.kill()
        self._process.communicate()

    def opened(self, uri: str, text: str) -> list[dict[str, Any]]:
        """The problems that the server finds in a new file."""
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._send(method="textDocument/didOpen", params={"textDocument": document})
        return next(
            message["params"]["diagnostics"]
            for message in self._messages()
            if message.get("method") == "textDocument/publishDiagnostics" and message["params"]["uri"] == uri
        )

    def completions(self, uri: str, line: int, character: int) -> set[str]:
        """The labels offered at a place of an open file. Lines and characters are counted from 0."""
        place = {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}
        return {item["label"] for item in self._call("textDocument/completion", place)["items"]}

    def _call(self, method: str, params: dict[str, Any]) -> Any:
        number = next(self._ids)
        self._send(id=number, method=method, params=params)
        return next(
            message["result"]
            for message in self._messages()
            if message.get("id") == number and "result" in message
        )

    def _send(self, **message: Any) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._process.stdin.flush()

    def _messages(self) -> Iterator[dict[str, Any]]:
        stream = self._process.stdout
        assert stream is not None
        while line := stream.readline():
            size = int(line.removeprefix(b"Content-Length: "))
            assert stream.readline() == b"\r\n"
            yield json.loads(stream.read(size))
        raise AssertionError(f"The language server ended, or did not respond within {LIMIT} s.")
