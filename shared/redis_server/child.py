"""A process that ends with us, however we end."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

# The shell becomes the process, and before that leaves a watcher behind which waits for the end of our side
# of a pipe: it comes when we die, also by kill -9. A line says that the process has ended by itself. (A hook
# between fork and exec could ask the kernel for the same, but is not safe beside threads.) The pipe comes as
# standard output, and the log as standard error.
_START = 'exec 3<&1 1>&2; (read -r _ || kill -9 $$) <&3 >/dev/null 2>&1 & exec "$0" "$@" 3<&-'


class ChildProcess:
    """A running command in a session of its own, so that a Ctrl-C in the terminal does not reach it.

    What it prints is appended to `log`. It inherits the open file `stdin`, which may be a lock.
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
        self._buried = False

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def ended(self) -> int | None:
        """The exit code, minus the signal's number, or None while it runs."""
        code = self._process.poll()
        if code is not None:
            self._bury()
        return code

    def terminate(self) -> None:
        """Ask the process to end."""
        self._process.terminate()

    def stop(self, patience: float) -> None:
        """Ask the process to end, wait for `patience` seconds, then kill it with all that it started."""
        self.terminate()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._bury()

    def last_lines(self, lines: int = 1) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _bury(self) -> None:
        """Send the watcher home, and kill what the process left behind. Once."""
        if self._buried:
            return
        self._buried = True
        with suppress(BrokenPipeError), open(self._watcher, "wb", buffering=0) as watcher:
            watcher.write(b"\n")
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
