"""The parts of a local gateway, which start, are watched, and stop together."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.redis_server.child import ChildProcess
from shared.settings.probe import is_ready

_POLL_SECONDS = 0.1
_STOP_TIMEOUT_SECONDS = 10.0  # then a part is killed
_LAST_LINES = 15  # of the log of a failed part


@dataclass(frozen=True, slots=True)
class Part:
    """One program: its command, and the URL that returns 200 when it is ready.

    A connection to it starts with the bytes `beginning`.
    """

    name: str
    command: Sequence[str]
    ready: str
    beginning: bytes = b""


class PartFailed(Exception):
    """A part that does not become ready, or has ended, with the end of its log."""

    def __init__(self, part: Part, problem: str, child: ChildProcess) -> None:
        lines = child.last_lines(_LAST_LINES)
        end = f"Its log ({child.log}) ends with:\n{lines}" if lines else f"Its log ({child.log}) is empty."
        super().__init__(f"{part.name} {problem}. {end}")
        self.part = part


@dataclass(frozen=True, slots=True)
class Running:
    """The started parts. `stopping` is set by a signal to stop."""

    children: Sequence[tuple[Part, ChildProcess]]
    stopping: threading.Event

    def wait_until_ready(self, timeout: float) -> Iterator[Part]:
        """Each part, as soon as it is ready. Raises `PartFailed` when one ends or is not ready in time.

        `timeout` is in seconds. The iterator ends early when `stopping` is set.
        """
        for part, child in self.children:
            for _ in range(int(timeout / _POLL_SECONDS)):
                self.check()
                if is_ready(part.ready, part.beginning):
                    yield part
                    break
                if self.stopping.wait(_POLL_SECONDS):
                    return
            else:
                raise PartFailed(part, f"was not ready after {timeout:g} s", child)

    def wait(self) -> None:
        """Return when `stopping` is set. Raises `PartFailed` when a part ends before."""
        while not self.stopping.wait(_POLL_SECONDS):
            self.check()

    def check(self) -> None:
        """Raise `PartFailed` when a part has ended."""
        for part, child in self.children:
            if (code := child.ended()) is not None:
                how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
                raise PartFailed(part, how, child)


@contextmanager
def running(parts: Sequence[Part], logs: Path, stopping: threading.Event) -> Iterator[Running]:
    """Start the parts, each with a new log in the folder `logs`; stop them at the end."""
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
            child.stop(_STOP_TIMEOUT_SECONDS)
