"""The programs of a run: started, checked, and stopped in any case."""

import os
import shutil
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import click
import requests

from shared.redis_server.child import ChildProcess

_START_SECONDS = 60.0  # a busy machine starts several mitmproxys at once
_POLL_SECONDS = 0.1
_STOP_SECONDS = 10.0
_LAST_LINES = 12  # of the log of a program that failed
_MAX_LINE = 400  # characters shown of a line of a log


class BenchFailed(click.ClickException):
    """A program that does not serve, or a response that is not the expected one. It ends a command with 1."""

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"FAILED  {self.message}", file, err=True)


@dataclass(frozen=True, slots=True)
class Program:
    """A command, and the URL that returns 200 once it serves."""

    name: str
    command: Sequence[str]
    ready: str
    environment: Mapping[str, str] = field(default_factory=dict)


class Running:
    """A started program that logs to `folder`. Leaving `stack` stops it."""

    def __init__(self, program: Program, folder: Path, stack: ExitStack) -> None:
        if shutil.which(program.command[0]) is None:
            raise BenchFailed(f"{program.command[0]} is not installed")
        # The caller's environment may configure another gateway.
        unset = [f"--unset={name}" for name in os.environ if name.startswith("GATEWAY")]
        variables = [f"{name}={value}" for name, value in program.environment.items()]
        self.program = program
        self._child = ChildProcess(
            ["env", *unset, *variables, *program.command], folder / f"{program.name}.log"
        )
        self._checked = 0
        stack.callback(self._child.stop, _STOP_SECONDS)

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._child.pid

    def wait(self) -> None:
        """Return when it serves. Raises `BenchFailed`."""
        deadline = time.monotonic() + _START_SECONDS
        while not _serves(self.program.ready):
            self.check()
            if time.monotonic() > deadline:
                raise self._failed(f"does not respond on {self.program.ready}")
            time.sleep(_POLL_SECONDS)

    def check(self) -> None:
        """Raise `BenchFailed` when it has ended, or has logged a traceback since the last check."""
        if (code := self._child.ended()) is not None:
            raise self._failed(f"ended with exit code {code}")
        with self._child.log.open("rb") as log:
            log.seek(self._checked)
            lines = log.read().splitlines()
            self._checked = log.tell()
        for line in lines:
            if b"Traceback" in line or b'"traceback"' in line:
                shown = line.decode(errors="replace").strip()[:_MAX_LINE]
                raise BenchFailed(f"{self.program.name} logged a traceback: {shown}")

    def _failed(self, problem: str) -> BenchFailed:
        words = self._child.last_lines(_LAST_LINES) or "(empty)"
        return BenchFailed(f"{self.program.name} {problem}; its log ends with:\n{words}")


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def python(*arguments: str) -> list[str]:
    """A command for the Python of this process."""
    return [sys.executable, *arguments]


def _serves(url: str) -> bool:
    with requests.Session() as session:
        session.trust_env = False  # a proxy of the environment is not meant for this machine
        try:
            return session.get(url, timeout=2).status_code == 200
        except requests.RequestException:
            return False
