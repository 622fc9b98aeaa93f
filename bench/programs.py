"""The programs of a run: started together, awaited one by one, ended by their ids in any case."""

import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import requests

from bench import machine
from shared.redis_server.child import ChildProcess

_PATIENCE = 60.0  # seconds; a busy machine starts several mitmproxys at once
_LOOK_EVERY = 0.1  # seconds
_STOP_PATIENCE = 10.0  # seconds until what does not end is killed
_LAST_LINES = 12  # of the log of a program that failed
_LONGEST_LINE = 400  # characters shown of a line of a log


class ProgramFailed(Exception):
    """A program that does not serve, with the end of its log."""


@dataclass(frozen=True, slots=True)
class Program:
    """How it is started, and the URL that answers 200 once it serves. `ca` verifies an https URL."""

    name: str
    command: Sequence[str]
    ready: str
    environment: Mapping[str, str] = field(default_factory=dict)
    ca: Path | None = None


class Running:
    """A started program."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.program = program
        if shutil.which(program.command[0]) is None:
            raise ProgramFailed(f"{program.command[0]} is not installed")
        # What the caller's environment says about a gateway is not meant for ours.
        unset = [f"--unset={name}" for name in os.environ if name.startswith("GATEWAY")]
        variables = [f"{name}={value}" for name, value in program.environment.items()]
        self._child = ChildProcess(
            ["env", *unset, *variables, *program.command], folder / f"{program.name}.log"
        )
        self._looked = 0

    @property
    def pid(self) -> int:
        return self._child.pid

    def wait(self) -> None:
        """Return when it serves. Raises `ProgramFailed`."""
        deadline = time.monotonic() + _PATIENCE
        while not _serves(self.program):
            if (code := self._child.ended()) is not None:
                raise ProgramFailed(self._told(f"ended with exit code {code}"))
            if time.monotonic() > deadline:
                raise ProgramFailed(self._told(f"does not answer on {self.program.ready}"))
            time.sleep(_LOOK_EVERY)

    def check(self) -> None:
        """Raise `ProgramFailed` when it has ended, or has logged a traceback since the last look."""
        if (code := self._child.ended()) is not None:
            raise ProgramFailed(self._told(f"ended with exit code {code}"))
        lines = self._new_lines()
        found = next((line for line in lines if b"Traceback" in line or b'"traceback"' in line), None)
        if found is not None:
            raise ProgramFailed(f"logged an error: {_shown(found)}")

    def complaint(self) -> str:
        """The first error that it has logged since the last look; empty when there is none."""
        lines = self._new_lines()
        found = next((line for line in lines if b'"level":"error"' in line or b"[error]" in line), None)
        return f"Its log: {_shown(found)}" if found else ""

    def cpu_seconds(self) -> float:
        return machine.cpu_seconds(self.pid)

    def resident_bytes(self) -> int:
        return machine.resident_bytes(self.pid)

    def stop(self) -> None:
        """End it, whatever state it is in."""
        self._child.stop(_STOP_PATIENCE)

    def _new_lines(self) -> Iterator[bytes]:
        """What was logged since the last look."""
        with self._child.log.open("rb") as log:
            looked, self._looked = self._looked, log.seek(0, os.SEEK_END)
            log.seek(looked)
            yield from log

    def _told(self, problem: str) -> str:
        words = self._child.error_event(_LAST_LINES) or "(empty)"
        return f"{problem}; its log ends with:\n{words}"


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def python(*arguments: str) -> list[str]:
    """A command for the Python that runs us."""
    return [sys.executable, *arguments]


def _shown(line: bytes) -> str:
    return line.decode(errors="replace").strip()[:_LONGEST_LINE]


def _serves(program: Program) -> bool:
    with requests.Session() as session:
        session.trust_env = False  # a proxy of the environment is not meant for this machine
        verify = str(program.ca) if program.ca else True
        try:
            return session.get(program.ready, timeout=2, verify=verify).status_code == 200
        except requests.RequestException:
            return False
