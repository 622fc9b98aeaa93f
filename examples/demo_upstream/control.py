"""The control of a demo upstream: another port, on which its faults are set.

| call | what it does |
|---|---|
| `GET /control` | shows the fault, and how many calls came and failed since it was set |
| `PUT /control` | sets the fault; `examples.demo_upstream.faults` describes the body |
| `DELETE /control` | removes the fault |
"""

import json
import socket
import threading
from collections.abc import Collection, Mapping
from typing import Any

from examples.demo_upstream.faults import REFUSE, Fault, Faults
from examples.demo_upstream.handler import JsonHandler
from examples.demo_upstream.server import DemoServer, DemoUpstream

_POLL_SECONDS = 0.02


class ControlledUpstream:
    """A demo upstream in a thread, on a port that it keeps even while it refuses connections."""

    def __init__(self, port: int, keys: Collection[str] = ()) -> None:
        self._keys = keys
        self._faults = Faults()
        self._lock = threading.Lock()
        # A bound socket that does not listen: no other program gets the port, and connections are refused.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", port))
        self.port: int = self._reserved.getsockname()[1]
        self._server: DemoUpstream | None = None
        self.set(None)

    def set(self, fault: Fault | None) -> None:
        """Have this fault from now on, or none."""
        with self._lock:
            self._faults.set(fault)
            if fault is not None and fault.fail == REFUSE:
                self._stop()
            elif self._server is None:
                self._server = DemoUpstream(self.port, self._keys, self._faults)
                threading.Thread(target=self._server.serve_forever, args=[_POLL_SECONDS], daemon=True).start()

    def _stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            server.disconnect_all()

    def state(self) -> Mapping[str, Any]:
        """The fault and the counts as JSON."""
        return self._faults.state()

    def close(self) -> None:
        """Stop for good."""
        with self._lock:
            self._stop()
            self._reserved.close()


class ControlHandler(JsonHandler):
    """The calls of the control."""

    upstream: ControlledUpstream

    def do_GET(self) -> None:
        if self._is_found():
            self.response(200, self.upstream.state())

    def do_PUT(self) -> None:
        body = self.body()
        if not self._is_found():
            return
        try:
            fault = Fault.parse(json.loads(body))
        except ValueError as error:
            self.response(400, {"error": str(error)})
            return
        self.upstream.set(fault)
        self.response(200, self.upstream.state())

    def do_DELETE(self) -> None:
        self.body()
        if self._is_found():
            self.upstream.set(None)
            self.response(200, self.upstream.state())

    def _is_found(self) -> bool:
        if self.path != "/control":
            self.response(404, {"error": "The only path is /control."})
        return self.path == "/control"


class DemoControl(DemoServer):
    """The server of the control, with its upstream, which listens on `upstream.port`."""

    def __init__(self, port: int, upstream_port: int = 0, keys: Collection[str] = ()) -> None:
        self.upstream = ControlledUpstream(upstream_port, keys)
        self.handler = type("Handler", (ControlHandler,), {"upstream": self.upstream})
        super().__init__(port)

    def server_close(self) -> None:
        super().server_close()
        self.upstream.close()
