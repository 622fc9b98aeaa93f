"""mitmproxy addons as a fast reverse proxy, without the gateway.

python -m examples.fast_proxy 8090 127.0.0.1 8082    # one process per core, until Ctrl-C
"""

import os
import sys

import uvloop
from mitmproxy import http

from mitm_engine.engine import Engine, make_master, serve
from mitm_engine.processes.listener import listener_socket
from mitm_engine.processes.scoreboard import WorkerContext
from mitm_engine.processes.supervisor import supervise


class ToUpstream:
    """A mitmproxy addon that sends every request to one upstream and streams responses."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        flow.request.data.host, flow.request.data.port = self.host, self.port

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        flow.response.headers["X-Proxy"] = "fast"  # type: ignore[union-attr]
        flow.response.stream = True  # type: ignore[union-attr]


def work(context: WorkerContext, host: str, port: int) -> None:
    """Run one worker. The supervisor starts it by its name, in its own process."""
    uvloop.run(_work(context, host, port))


async def _work(context: WorkerContext, host: str, port: int) -> None:
    master = make_master(ToUpstream(host, port))
    await serve(context, master, Engine(master))


def main() -> int:
    listen, host, port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    sockets = [listener_socket("127.0.0.1", listen)]
    return supervise(work, (host, port), sockets=sockets, workers=os.cpu_count() or 1, drain_timeout=30)


if __name__ == "__main__":
    sys.exit(main())
