"""Who is measured: the name, the program behind it, and how it is called."""

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.certificates import Certificates
from bench.exchange import Call
from bench.gateway import Gateway, Tenant, make_call
from bench.nginx import proxy_command
from bench.programs import Program, free_port

_PATH = "/v1/chat/completions"
_TWO, _HOLD, _SECURE_HOLD = "/events/two", "/events/hold", "/secure/hold"

#: Names in the order in which they are measured, and what each is.
NAMES = {
    "direct": "the upstream itself",
    "nginx": "nginx as proxy, one worker, keep-alive upstream, no log",
    "mitmdump": "stock mitmdump -q --mode reverse, no addon",
    "mitmproxy": "our gateway on mitmproxy's core: host, key and rule",
    "mitmproxy+chain": "the same with the seed's chain",
    "express": "our gateway on the express engine: host, key and rule",
    "express+chain": "the same with the seed's chain",
    "free-1": "express, one worker, nothing pinned",
    "free-2": "express, two workers, nothing pinned",
}


@dataclass(frozen=True, slots=True)
class Streams:
    """A way to hold streams open: `path` through `program`, on a port that may speak TLS."""

    name: str
    program: Program
    port: int
    call: Call
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Contender:
    """One of `NAMES`. `first_event` is None where stock holds streams back until their end."""

    name: str
    program: Program | None
    port: int
    call: Call
    first_event: Call | None = None
    first_event_port: int | None = None
    is_free: bool = False
    streams: Sequence[Streams] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What contenders are built from."""

    folder: Path
    upstream: int
    events: int
    gateway: Gateway
    tenants: tuple[Tenant, Tenant]
    certificates: Certificates


def make_contenders(around: Surroundings, only: Collection[str]) -> list[Contender]:
    """Those named in `only`, in order. The programs behind them are not started."""
    made = [_direct(around), _nginx(around), _mitmdump(around)]
    made += [*_gateway(around, "mitmproxy"), *_gateway(around, "express"), _free(around, 1), _free(around, 2)]
    return [contender for contender in made if contender.name in only]


def _direct(around: Surroundings) -> Contender:
    return Contender(
        "direct", None, around.upstream, make_call(_PATH), make_call(_TWO), first_event_port=around.events
    )


def _nginx(around: Surroundings) -> Contender:
    port = free_port()
    command = proxy_command(around.folder / "nginx", port, upstream=around.upstream, events=around.events)
    program = Program("nginx", command, f"http://127.0.0.1:{port}/")
    streams = [Streams("nginx, plain", program, port, make_call(_HOLD))]
    return Contender("nginx", program, port, make_call(_PATH), make_call(_TWO), streams=streams)


def _mitmdump(around: Surroundings) -> Contender:
    port = free_port()
    command = [
        *(str(Path(sys.executable).with_name("mitmdump")), "-q"),
        *("--mode", f"reverse:http://127.0.0.1:{around.upstream}"),
        *("--listen-host", "127.0.0.1", "--listen-port", str(port)),
        *("--set", f"confdir={around.folder / 'mitmdump'}"),
    ]
    program = Program("mitmdump", command, f"http://127.0.0.1:{port}/")
    return Contender("mitmdump", program, port, make_call(_PATH))


def _gateway(around: Surroundings, engine: str) -> list[Contender]:
    port, (bare, chain) = free_port(), around.tenants
    program = around.gateway.proxy(engine, port, engine)
    streams = [
        Streams(f"{engine}, plain", program, port, bare.call(_HOLD)),
        Streams(f"{engine}, TLS upstream", program, port, bare.call(_SECURE_HOLD)),
    ]
    if engine == "express":
        streams.append(_both_sides(around))
    return [
        Contender(engine, program, port, bare.call(_PATH), bare.call(_TWO), streams=streams),
        Contender(f"{engine}+chain", program, port, chain.call(_PATH), chain.call(_TWO)),
    ]


def _both_sides(around: Surroundings) -> Streams:
    port, certificates = free_port(), around.certificates
    program = around.gateway.proxy("express-tls", port, "express", tls=certificates)
    call = around.tenants[0].call(_SECURE_HOLD)
    return Streams("express, TLS on both sides", program, port, call, certificates.ca)


def _free(around: Surroundings, workers: int) -> Contender:
    name, port = f"free-{workers}", free_port()
    program = around.gateway.proxy(name, port, "express", workers)
    return Contender(name, program, port, around.tenants[0].call(_PATH), is_free=True)
