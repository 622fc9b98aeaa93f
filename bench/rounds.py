"""Rounds: each contender in turn, again and again, so that a noisy machine is noisy for all."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.contenders import Contender
from bench.exchange import Call, Connection, ExchangeFailed
from bench.figures import Round
from bench.gateway import make_call
from bench.nginx import RESPONSE
from bench.programs import ProgramFailed, Running
from bench.say import say
from bench.world import World
from bench.wrk import Load, LoadFailed, run_wrk

MANY = 32  # connections
_PATIENCE = 5.0  # seconds until a new rule must work (reliability.md R6 says 2)

FAULTS = (LoadFailed, ExchangeFailed, ProgramFailed, OSError)


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured. `seconds` is for each load, `events` the streams opened in each round."""

    rounds: int
    seconds: int
    events: int


@dataclass(slots=True)
class Outcome:
    """The rounds, and each failure as (round, contender, what happened)."""

    rounds: list[Round] = field(default_factory=list)
    failures: list[tuple[str, str, str]] = field(default_factory=list)


def run_rounds(world: World, extent: Extent, outcome: Outcome) -> None:
    """Measure all contenders in `extent.rounds` rounds; every other round goes backwards.

    A failure ends that contender's turn, not the run. The figures from before it count.
    """
    for number in range(1, extent.rounds + 1):
        found: dict[str, dict[str, float]] = {}
        turn: Sequence[Contender] = world.contenders if number % 2 else world.contenders[::-1]
        for contender in turn:
            say(f"round {number} of {extent.rounds}: {contender.name}")
            figures = found.setdefault(contender.name, {})
            try:
                _measure(world, contender, extent, figures)
            except FAULTS as error:
                outcome.failures.append((f"round {number}", contender.name, str(error)))
        outcome.rounds.append(found)


def _measure(world: World, contender: Contender, extent: Extent, figures: dict[str, float]) -> None:
    """Fill in the figures one after the other, up to the first fault."""
    program = world.program_of(contender)
    world.place("free" if contender.is_free else "apart")
    await_response(contender.port, contender.call)
    if contender.first_event:
        port = contender.first_event_port or contender.port
        figures["event"] = _first_event(port, contender.first_event, world.events_port, extent.events)
    if not contender.is_free:
        load = _load(contender, program, 1, extent.seconds)
        figures |= {"rate 1": load.rate, "p50 1": load.p50, "p99 1": load.p99}
    figures |= _full_load(contender, program, extent.seconds)
    if program and not contender.is_free:
        world.place("together")
        figures["cpu"] = _full_load(contender, program, extent.seconds)["cpu apart"]
    if program:
        program.check()


def _full_load(contender: Contender, program: Running | None, seconds: int) -> dict[str, float]:
    used, started = program.cpu_seconds() if program else 0.0, time.monotonic()
    load = _load(contender, program, MANY, seconds)
    figures = {"rate": load.rate, "p50": load.p50, "p99": load.p99}
    if program:
        used, gone = program.cpu_seconds() - used, time.monotonic() - started
        figures |= {"cpu apart": used / load.requests, "busy": used / gone}
    return figures


def _load(contender: Contender, program: Running | None, connections: int, seconds: int) -> Load:
    """One load; when it fails, with what the program has logged about it."""
    try:
        return run_wrk(contender.port, contender.call, connections, seconds)
    except LoadFailed as error:
        words = program.complaint() if program else ""
        raise LoadFailed(f"{error} at {connections} connections. {words}".strip()) from None


def await_response(port: int, call: Call) -> None:
    """Return when the upstream's own answer comes. Raises `ExchangeFailed` when it does not, in time."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with Connection(port) as connection:
                body = connection.ask(call)
            if body != RESPONSE.encode():
                raise ExchangeFailed(f"another body than the upstream's: {body[:200]!r}")
            return
        except ExchangeFailed:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _first_event(port: int, call: Call, upstream: int, count: int) -> float:
    """Seconds to the first event, the median of `count` streams one after the other on one connection.

    They lead to the event server on the port `upstream`, which is told directly to end each.
    """
    end = make_call("/events/end")
    with Connection(port) as connection, Connection(upstream) as direct:
        connection.first_event(call, lambda: direct.ask(end))
        return median(connection.first_event(call, lambda: direct.ask(end)) for _ in range(count))
