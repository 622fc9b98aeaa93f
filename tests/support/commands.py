"""Programs and servers that a test runs from the folder of the project."""

import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from socketserver import TCPServer

ROOT = Path(__file__).parents[2]


def run_command(
    *command: object, cwd: Path = ROOT, env: Mapping[str, str] | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, with its output as text."""
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout)


@contextmanager
def serving(server: TCPServer) -> Iterator[int]:
    """Serve in a thread. Yields the port."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
