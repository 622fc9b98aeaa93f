"""Everything that runs during a benchmark, and its end."""

import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench import machine, nginx
from bench.certificates import Certificates
from bench.contenders import Contender, Streams, Surroundings, make_contenders
from bench.gateway import Gateway, Targets
from bench.programs import Program, ProgramFailed, Running, free_port, python
from bench.say import say

Layout = Literal["apart", "together", "free"]

_FREE = ("free-1", "free-2")


@dataclass(slots=True)
class World:
    """What was started. `failed` has the reason for each program that does not serve."""

    folder: Path
    contenders: Sequence[Contender]
    events_port: int
    cores: machine.Cores = field(default_factory=machine.find_cores)
    support: list[Running] = field(default_factory=list)
    running: dict[str, Running] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def program_of(self, one: Contender | Streams) -> Running | None:
        """The program under test; None for the upstream itself. Raises `ProgramFailed` when it is down."""
        if one.program is None:
            return None
        if one.program.name in self.failed:
            raise ProgramFailed(self.failed[one.program.name])
        return self.running[one.program.name]

    def place(self, layout: Layout) -> None:
        """Move the load: away from the server under test, onto its core, or wherever it will."""
        layouts = {"apart": self.cores.load, "together": self.cores.server, "free": self.cores.all}
        machine.pin([program.pid for program in self.support], layouts[layout])
        machine.pin_ourselves(layouts[layout])


@contextmanager
def world(
    only: Collection[str], *, streams: bool, prepare: Callable[[Contender, Path], Contender] | None = None
) -> Iterator[World]:
    """Start what the contenders in `only` need. Raises `ProgramFailed` when an upstream does not serve.

    A contender that does not start is noted in `failed`. Everything has ended when the context has.
    `prepare` may change each contender before it is started; it is told the folder of the run.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        support: list[Running] = []
        around = _surroundings(folder, support, stack)
        contenders = make_contenders(around, only)
        if prepare is not None:
            contenders = [prepare(one, folder) for one in contenders]
        made = World(folder, contenders, around.events, support=support)
        programs = {one.program.name: one.program for one in made.contenders if one.program}
        if streams:
            programs |= {way.program.name: way.program for one in made.contenders for way in one.streams}
        _start(made, list(programs.values()), stack)
        made.place("apart")
        stack.callback(machine.pin_ourselves, made.cores.all)
        yield made


def _surroundings(folder: Path, support: list[Running], stack: ExitStack) -> Surroundings:
    """The upstreams and the admin API, serving, and the tenants."""
    certificates = Certificates(folder / "tls")
    plain, events, secure = free_port(), free_port(), free_port()
    gateway = Gateway(folder / "gateway")
    serve = ("-m", "bench.events", "--port")
    pair = ("--certificate", str(certificates.pair))
    programs = (
        Program("upstream", nginx.upstream_command(folder / "upstream", plain), _url("http", plain)),
        Program("events", python(*serve, str(events)), _url("http", events)),
        Program("tls-events", python(*serve, str(secure), *pair), _url("https", secure), ca=certificates.ca),
        gateway.admin(),
    )
    support.extend(_running(program, folder, stack) for program in programs)
    for one in support:
        one.wait()
    tenants = gateway.create_tenants(Targets(plain, events, secure), certificates.ca)
    return Surroundings(folder, plain, events, gateway, tenants, certificates)


def _start(made: World, programs: Sequence[Program], stack: ExitStack) -> None:
    """Start the programs under test together, and pin each once it serves."""
    for program in programs:
        say(f"starting {program.name}")
        try:
            made.running[program.name] = _running(program, made.folder, stack)
        except ProgramFailed as error:
            made.failed[program.name] = str(error)
    for name, running in made.running.items():
        try:
            running.wait()
        except ProgramFailed as error:
            made.failed[name] = str(error)
            running.stop()
        if name not in _FREE:
            machine.pin([running.pid], made.cores.server)


def _running(program: Program, folder: Path, stack: ExitStack) -> Running:
    running = Running(program, folder)
    stack.callback(running.stop)
    return running


def _url(scheme: str, port: int) -> str:
    return f"{scheme}://127.0.0.1:{port}/"
