"""The parts of a local gateway: started together, watched together, stopped together."""

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from urllib3.exceptions import InsecureRequestWarning

from shared.redis_server.child import ChildProcess

_LOOK_EVERY = 0.1  # seconds
_STOP_PATIENCE = 10.0  # seconds until a part that does not stop is killed
_LAST_LINES = 15  # of the log of a part that has failed


@dataclass(frozen=True, slots=True)
class Part:
    """One program: how it is started, and the URL that answers 200 once it serves."""

    name: str
    command: Sequence[str]
    ready: str


class PartFailed(Exception):
    """A part that does not serve, with the end of its log."""

    def __init__(self, part: Part, problem: str, child: ChildProcess) -> None:
        words = child.last_lines(_LAST_LINES)
        end = f"Its log ({child.log}) ends with:\n{words}" if words else f"Its log ({child.log}) is empty."
        super().__init__(f"{part.name} {problem}. {end}")
        self.part = part


@dataclass(frozen=True, slots=True)
class Running:
    """The started parts. `stopping` is set when somebody asked us to stop."""

    children: Sequence[tuple[Part, ChildProcess]]
    stopping: threading.Event

    def wait_until_ready(self, patience: float) -> Iterator[Part]:
        """Each part, as soon as it serves. Raises `PartFailed` when one ends or is not ready in time.

        `patience` is in seconds. The iterator ends early when we are asked to stop.
        """
        for part, child in self.children:
            for _ in range(int(patience / _LOOK_EVERY)):
                self.check()
                if _serves(part.ready):
                    yield part
                    break
                if self.stopping.wait(_LOOK_EVERY):
                    return
            else:
                raise PartFailed(part, f"was not ready after {patience:g} s", child)

    def wait(self) -> None:
        """Return when we are asked to stop. Raises `PartFailed` when a part ends before."""
        while not self.stopping.wait(_LOOK_EVERY):
            self.check()

    def check(self) -> None:
        """Raise `PartFailed` when a part has ended."""
        for part, child in self.children:
            if (code := child.ended()) is not None:
                how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
                raise PartFailed(part, how, child)


@contextmanager
def running(parts: Sequence[Part], logs: Path, stopping: threading.Event) -> Iterator[Running]:
    """Start the parts, each with a new log of its own in the folder `logs`; stop them at the end."""
    children: list[tuple[Part, ChildProcess]] = []
    try:
        for part in parts:
            log = logs / f"{part.name}.log"
            log.unlink(missing_ok=True)
            children.append((part, ChildProcess(part.command, log, umask=0o077)))
        yield Running(children, stopping)
    finally:
        for _, child in children:
            child.terminate()
        for _, child in children:
            child.stop(_STOP_PATIENCE)


def _serves(url: str) -> bool:
    with requests.Session() as session:
        session.trust_env = False  # a proxy of the environment is not meant for this machine
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", InsecureRequestWarning)
                # Our own listener, whose certificate may be for another name. It is asked for its health.
                return session.get(url, timeout=2, verify=False).status_code == 200
        except requests.RequestException:
            return False
