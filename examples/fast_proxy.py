"""mitmproxy addons as a fast reverse proxy, without the gateway.

python -m examples.fast_proxy 8090 127.0.0.1 8082         # one process per core, until Ctrl-C
python -m examples.fast_proxy 8090 127.0.0.1 8082 8083    # 8083 gets what 8082 cannot serve
"""

import os
import sys

import uvloop
from mitmproxy import http

from mitm_engine.engine import Engine, make_master, serve
from mitm_engine.exchange.attempt import AttemptReport, Retries
from mitm_engine.options import Policy, Terms
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


class Fallback:
    """A policy that tries the next port when one cannot be reached or is overloaded."""

    def __init__(self, ports: tuple[int, ...]) -> None:
        self.ports = ports
        self.terms = Terms(retries=Retries(statuses=frozenset({429, 503})))

    def retry(self, flow: http.HTTPFlow, attempt: AttemptReport) -> bool:
        is_unreached = attempt.error is not None and not attempt.is_sent
        if not (is_unreached or attempt.status in (429, 503)) or attempt.number == len(self.ports):
            return False
        flow.request.data.port = self.ports[attempt.number]
        return True


def work(context: WorkerContext, host: str, *ports: int) -> None:
    """Run one worker. The supervisor starts it by its name, in its own process."""
    uvloop.run(_work(context, host, ports))


async def _work(context: WorkerContext, host: str, ports: tuple[int, ...]) -> None:
    master, fallback = make_master(ToUpstream(host, ports[0])), Fallback(ports)
    policy = Policy(terms=lambda _: fallback.terms, retry=fallback.retry)
    await serve(context, master, Engine(master, policy=policy))


def main() -> int:
    listen, host, *ports = int(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
    sockets = [listener_socket("127.0.0.1", listen)]
    return supervise(work, (host, *ports), sockets=sockets, workers=os.cpu_count() or 1, drain_timeout=30)


if __name__ == "__main__":
    sys.exit(main())
