"""The programs of a run, and its rounds: each contender in turn, so that noise affects all alike."""

import os
import pstats
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from bench import machine, profiler
from bench.gateway import CHAIN, CONTENT, RESPONSE, Gateway, entry, limiter_entry, make_call
from bench.load import Call
from bench.programs import Program, Running, free_port
from bench.report import Round, Table
from bench.rivals.programs import haproxy, mitmdump, nginx, nginx_with_lua

#: The contenders that are not the gateway. They get the same call, without a tenant.
RIVALS = frozenset({"direct", "nginx", "haproxy", "lua", "mitmdump"})
_PASS = "proxy_pass http://plain;"
_LARGE = {"limits": {"request_body": "20MB"}}
_LARGE_CONTENT = {**CONTENT, "max_size": "20MB"}
_JUDGE = entry("content_validator", 3, blocked_patterns=CONTENT["blocked_patterns"])
#: The document that a tenant is created with, by the part of the contender's name behind the "+".
_RULES: Mapping[str, Mapping[str, Any]] = {
    "": {},
    "chain": {"on_tenant": CHAIN[0], "on_rule": CHAIN[1]},
    "1": {"on_rule": [limiter_entry("global")]},
    "3": {"on_tenant": [limiter_entry("global")], "on_rule": [limiter_entry("global", "per_ip")]},
    "judged": {"on_rule": [{**_JUDGE, "stage": "pre_response"}]},
    "large": _LARGE,
    "content": {"on_rule": [entry("content_validator", 3, **_LARGE_CONTENT)], **_LARGE},
}


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

    def cpu_seconds(self) -> float:
        """CPU time that its program has used. Raises `BenchFailed` when the program has failed."""
        if self.program is None:
            return 0.0
        self.program.check()
        return machine.cpu_seconds(self.program.pid)


type Turn = Callable[[Contender], Mapping[str, float]]


class Bench:
    """An upstream, a gateway with its store, the contenders. They end with `stack`.

    The upstream is nginx, or what listens on the port `upstream`. nginx as a proxy has the directives of
    `location`. The workers of a `profiled` bench can be profiled.
    """

    def __init__(
        self,
        folder: Path,
        stack: ExitStack,
        *,
        upstream: int | None = None,
        location: str = _PASS,
        profiled: bool = False,
    ) -> None:
        self._folder, self._stack, self._cores = folder, stack, machine.find_cores()
        self._location, self._profiled = location, profiled
        self._upstream = upstream or free_port()
        self._ports = {"direct": self._upstream}
        self._programs: dict[str, Running] = {}
        self.gateway = Gateway(folder / "gateway", self._upstream)
        self._support = [] if upstream else [self._start(self._responder())]
        self._support.append(self._start(self.gateway.admin()))
        stack.callback(os.sched_setaffinity, 0, self._cores.all)

    def start(self, names: Collection[str], calls: Mapping[str, Call] | None = None) -> list[Contender]:
        """Start the programs behind these contenders, and pin them. Raises `BenchFailed`.

        `calls` has the calls of tenants that exist, by the part of a name behind the "+".
        """
        calls, contenders = dict(calls or {}), []
        for name in names:
            base, _, rule = name.partition("+")
            if base not in RIVALS and rule not in calls:
                calls[rule] = self._create(rule)
            if base not in self._ports:
                self._ports[base] = free_port()
                self._programs[base] = self._start(self._program(base, self._ports[base]))
            call = make_call() if base in RIVALS else calls[rule]
            contenders.append(Contender(name, self._ports[base], call, self._programs.get(base)))
        pinned = [one.program.pid for one in contenders if one.program and one.is_pinned]
        machine.pin(pinned, self._cores.server)
        for program in self._programs.values():
            machine.await_idle(program.pid)  # a standby worker may still start
        return contenders

    def _create(self, rule: str) -> Call:
        """The call of a tenant with that rule: the part of a contender's name behind the "+"."""
        if rule == "ai":
            return self.gateway.create_ai_tenant(rule)
        return self.gateway.create_tenant(rule or "bare", **_RULES[rule])

    def measure(self, contenders: Sequence[Contender], rounds: int, turn: Turn) -> list[Round]:
        """Measure all in each round; every other round goes backwards. Raises `BenchFailed`."""
        found: list[Round] = []
        for number in range(rounds):
            turns = contenders[::-1] if number % 2 else contenders
            print(f"-- round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            found.append({contender.name: turn(contender) for contender in turns})
        return found

    def place(self, contender: Contender, *, apart: bool) -> None:
        """Move the load, and all that serves it, away from the core of the contender, or onto it."""
        cores = self._cores.load if apart else self._cores.server
        cores = cores if contender.is_pinned else self._cores.all
        machine.pin([program.pid for program in self._support], cores)
        machine.pin_self(cores)

    def profile(self, contender: Contender, work: Callable[[], object]) -> pstats.Stats:
        """The profile of the contender's worker during `work`. The bench must be `profiled`."""
        if contender.program is None:
            raise ValueError("the upstream has no profile")
        self.place(contender, apart=False)
        return profiler.profile(contender.program.pid, self._folder, work)

    def _start(self, program: Program) -> Running:
        print(f"-- starting {program.name}", file=sys.stderr, flush=True)
        running = Running(program, self._folder, self._stack)
        running.wait()
        return running

    def _responder(self) -> Program:
        location = f"default_type application/json; return 200 '{RESPONSE.decode()}';"
        return nginx(self._folder, "upstream", self._upstream, self._upstream, location)

    def _program(self, name: str, port: int) -> Program:
        if name == "nginx":
            return nginx(self._folder, name, port, self._upstream, self._location)
        if name == "haproxy":
            return haproxy(self._folder, name, port, self._upstream)
        if name == "mitmdump":
            return mitmdump(self._folder, port, self._upstream)
        if name == "lua":
            return nginx_with_lua(
                self._folder, name, port=port, upstream=self._upstream, socket=self.gateway.socket
            )
        if name.startswith("free-"):
            return self.gateway.proxy(name, port, workers=int(name.removeprefix("free-")))
        program = self.gateway.proxy(name, port, engine=name)
        if self._profiled:
            variables = {**program.environment, **profiler.variables(self._folder)}
            program = replace(program, environment=variables)
        return program


def command(
    text: str,
    names: Collection[str],
    *,
    seconds: float,
    measure: Callable[[Collection[str], int, float], Sequence[Round]],
    table: Callable[[Sequence[Round]], Table],
) -> click.Command:
    """The command that measures some of the contenders `names`, and prints a table.

    `text` is its help, `seconds` the length of a load when none is given.
    """

    @click.command(help=text)
    @click.option("--rounds", default=3, help="How often each is measured.")
    @click.option("--seconds", default=seconds, help="Length of each load.")
    @click.option("--only", multiple=True, type=click.Choice([*names]), help="A contender, repeatable.")
    def main(rounds: int, seconds: float, only: tuple[str, ...]) -> None:
        print(machine.describe())
        found = measure(only or [*names], rounds, seconds)
        print(table(found).text())

    return main
