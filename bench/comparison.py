"""The contenders, and the rounds: each contender in turn, so that noise of the machine affects all alike."""

import os
import sys
import time
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import machine
from bench.gateway import CHAIN, RESPONSE, Gateway, limiter_entry, make_call
from bench.load import CONNECTIONS, Call, await_rule, run_wrk
from bench.programs import Program, Running, free_port
from bench.report import Round

#: The contenders in the order in which they are measured.
CONTENDERS = {
    "direct": "the upstream itself",
    "nginx": "nginx as proxy, one worker, keep-alive upstream, no log",
    "mitmdump": "stock mitmdump -q --mode reverse, no addon",
    "mitmproxy": "the gateway on mitmproxy's core: host, key and rule",
    "mitmproxy+chain": "the same with a chain of plugins",
    "express": "the gateway on the express engine: host, key and rule",
    "express+chain": "the same with a chain of plugins",
    "express+ai": "the same with a rule for AI, to one provider with one key",
    "free-1": "express, one worker, nothing pinned",
    "free-2": "express, two workers, nothing pinned",
}
#: The contenders that show the cost of limits. Only the benchmark of the limiter measures them.
LIMITED = {
    "express": "the gateway without limits",
    "express+1": "one limit, of the rule",
    "express+3": "one limit of the tenant, two of the rule",
}
#: Entries of the tenant and entries of the rule, by the part of the contender's name behind the "+".
_CHAINS: dict[str, tuple[Sequence[Any], Sequence[Any]]] = {
    "": ([], []),
    "chain": CHAIN,
    "1": ([], [limiter_entry("global")]),
    "3": ([limiter_entry("global")], [limiter_entry("global", "per_ip")]),
}

_NGINX = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log stderr warn;
worker_processes 1;
worker_rlimit_nofile 40000;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 300s;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream plain {{
    server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000; keepalive_timeout 300s;
  }}
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $host;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ {location} }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Contender:
    """A name, and how it is called. `program` is None for the upstream itself."""

    name: str
    port: int
    call: Call
    program: Running | None

    @property
    def is_pinned(self) -> bool:
        """Whether its program has a core of its own."""
        return not self.name.startswith("free-")


class Bench:
    """The programs of a run: an upstream, a gateway with its store, the contenders. They end with `stack`."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack, self._cores = folder, stack, machine.find_cores()
        self._upstream = free_port()
        self._ports = {"direct": self._upstream}
        self._programs: dict[str, Running] = {}
        self.gateway = Gateway(folder / "gateway", self._upstream)
        location = f"default_type application/json; return 200 '{RESPONSE.decode()}';"
        upstream = self._nginx("upstream", self._upstream, location)
        self._support = [self._start(program) for program in (upstream, self.gateway.admin())]
        stack.callback(os.sched_setaffinity, 0, self._cores.all)

    def start(self, names: Collection[str]) -> list[Contender]:
        """Start the programs behind these contenders, and pin them. Raises `BenchFailed`."""
        calls = {rule: self._call(rule) for rule in dict.fromkeys(name.partition("+")[2] for name in names)}
        contenders = []
        for name in names:
            base, _, rule = name.partition("+")
            if base not in self._ports:
                self._ports[base] = free_port()
                self._programs[base] = self._start(self._program(base, self._ports[base]))
            call = make_call() if base in ("direct", "nginx", "mitmdump") else calls[rule]
            contenders.append(Contender(name, self._ports[base], call, self._programs.get(base)))
        pinned = [one.program.pid for one in contenders if one.program and one.is_pinned]
        machine.pin(pinned, self._cores.server)
        return contenders

    def _call(self, rule: str) -> Call:
        """The call of a tenant with that rule: the part of a contender's name behind the "+"."""
        if rule == "ai":
            return self.gateway.create_ai_tenant(rule)
        return self.gateway.create_tenant(rule or "bare", *_CHAINS[rule])

    def measure(self, contenders: Sequence[Contender], rounds: int, seconds: int) -> list[Round]:
        """Measure all in each round; every other round goes backwards. Raises `BenchFailed`."""
        found: list[Round] = []
        for number in range(rounds):
            turns = contenders[::-1] if number % 2 else contenders
            print(f"-- round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            found.append({contender.name: self._turn(contender, seconds) for contender in turns})
        return found

    def _turn(self, contender: Contender, seconds: int) -> dict[str, float]:
        self._place(self._cores.load if contender.is_pinned else self._cores.all)
        await_rule(contender.port, contender.call, RESPONSE)
        if not contender.is_pinned:
            return _full_load(contender, seconds)
        one = run_wrk(contender.port, contender.call, 1, seconds)
        figures = {"rate 1": one.rate, "p50 1": one.p50, "p99 1": one.p99, **_full_load(contender, seconds)}
        if contender.program:
            self._place(self._cores.server)
            figures["cpu"] = _full_load(contender, seconds)["cpu apart"]
        return figures

    def _place(self, cores: frozenset[int]) -> None:
        """Move the load, and all that serves it, to these cores."""
        machine.pin([program.pid for program in self._support], cores)
        os.sched_setaffinity(0, cores)

    def _start(self, program: Program) -> Running:
        print(f"-- starting {program.name}", file=sys.stderr, flush=True)
        running = Running(program, self._folder, self._stack)
        running.wait()
        return running

    def _program(self, name: str, port: int) -> Program:
        if name == "nginx":
            return self._nginx(name, port, "proxy_pass http://plain;")
        if name == "mitmdump":
            return self._mitmdump(port)
        if name.startswith("free-"):
            return self.gateway.proxy(name, port, workers=int(name.removeprefix("free-")))
        return self.gateway.proxy(name, port, engine=name)

    def _nginx(self, name: str, port: int, location: str) -> Program:
        return nginx(self._folder, name, port, self._upstream, location)

    def _mitmdump(self, port: int) -> Program:
        command = [
            *(str(Path(sys.executable).with_name("mitmdump")), "-q"),
            *("--mode", f"reverse:http://127.0.0.1:{self._upstream}"),
            *("--listen-host", "127.0.0.1", "--listen-port", str(port)),
            *("--set", f"confdir={self._folder / 'mitmdump'}"),
        ]
        return Program("mitmdump", command, f"http://127.0.0.1:{port}/")


def nginx(folder: Path, name: str, port: int, upstream: int, location: str) -> Program:
    """nginx with one location, and the server at `upstream` as http://plain."""
    own = folder / name
    own.mkdir()
    file, user = own / "nginx.conf", "user root;" if os.geteuid() == 0 else ""
    config = {"folder": own, "user": user, "port": port, "location": location}
    file.write_text(_NGINX.format(upstream=upstream, **config))
    command = ["nginx", "-p", str(own), "-e", "stderr", "-c", str(file)]
    return Program(name, command, f"http://127.0.0.1:{port}/")


def _full_load(contender: Contender, seconds: int) -> dict[str, float]:
    program = contender.program
    used, started = machine.cpu_seconds(program.pid) if program else 0.0, time.monotonic()
    load = run_wrk(contender.port, contender.call, CONNECTIONS, seconds)
    figures = {"rate": load.rate, "p50": load.p50, "p99": load.p99}
    if program:
        used, elapsed = machine.cpu_seconds(program.pid) - used, time.monotonic() - started
        program.check()
        figures |= {"cpu apart": used / load.requests, "busy": used / elapsed}
    return figures
