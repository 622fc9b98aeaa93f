"""A child process that ends with this process, however this one ends."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

# The shell starts a watcher in the background, and then becomes the process. The watcher reads a pipe. When
# this process dies, even by kill -9, the pipe ends, and the watcher kills the child. A line in the pipe means
# that the child has ended. (A hook between fork and exec is not safe with threads.) The shell gets the pipe
# as standard output, and the log as standard error.
_START = 'exec 3<&1 1>&2; (read -r _ || kill -9 $$) <&3 >/dev/null 2>&1 & exec "$0" "$@" 3<&-'


class ChildProcess:
    """A running command in its own session, so that a Ctrl-C in the terminal does not reach it.

    Its output is appended to `log`. It inherits the open file `stdin`, which may be a lock.
    """

    def __init__(
        self, command: Sequence[str], log: Path, *, stdin: int = subprocess.DEVNULL, umask: int = -1
    ) -> None:
        pipe, self._watcher = os.pipe()
        with log.open("ab") as output, open(pipe, "rb") as watched:
            self._process = subprocess.Popen(  # noqa: S603 (our own commands, no input of others)
                ["/bin/sh", "-c", _START, *command],
                stdin=stdin,
                stdout=watched,
                stderr=output,
                start_new_session=True,
                umask=umask,
            )
        self.log = log
        self._cleaned_up = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def ended(self) -> int | None:
        """The exit code, minus the signal's number, or None while it runs."""
        code = self._process.poll()
        if code is not None:
            self._clean_up()
        return code

    def terminate(self) -> None:
        self._process.terminate()

    def stop(self, timeout: float) -> None:
        """Send SIGTERM, wait for `timeout` seconds, then kill the process with its children."""
        self.terminate()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._clean_up()

    def last_lines(self, lines: int = 1) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _clean_up(self) -> None:
        """End the watcher, and kill the remaining children of the process. Once."""
        if self._cleaned_up:
            return
        self._cleaned_up = True
        with suppress(BrokenPipeError), open(self._watcher, "wb", buffering=0) as watcher:
            watcher.write(b"\n")
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
