"""Batches of rows that wait on disk, because Redis was away for too long: `data_dir/pending-settles`.

Each worker appends to a file of its own, ``<number>.jsonl``, and holds a lock on ``<number>.lock``. A worker
settles what is in its own file and in those of workers that have ended. A batch may be read twice, when a
worker ends in between: it keeps its name, so Redis counts it once. All methods block, and any thread may call
them.
"""

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Lock
from typing import Final

from shared.core.process.data_files import lock_file
from shared.core.process.failures import Failures

logger = logging.getLogger(__name__)

#: The most bytes of one file, and about the most bytes of one `take`.
MAX_BYTES: Final = 64 * 1024 * 1024
_TAKEN: Final = 1024 * 1024


class PendingBatches:
    """The waiting batches of this machine, one line of text each. Close it at the end.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     pending = PendingBatches(Path(folder))
    ...     pending.append(["one", "two"]), pending.take(), pending.take()
    ...     pending.commit()
    ...     pending.take()
    ...     pending.close()
    (2, ['one', 'two'], ['one', 'two'])
    []
    """

    def __init__(self, folder: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._mutex = Lock()
        self._failures = Failures()
        self._locks: dict[Path, int] = {}
        self._own: Path | None = None
        # The file that is read, from where, and up to where the last `take` went.
        self._read: Path | None = None
        self._begin = self._end = 0

    def append(self, lines: Iterable[str]) -> int:
        """Write lines to the file of this worker. Returns how many; the others did not fit."""
        with self._mutex:
            try:
                written = self._append(list(lines))
            except OSError as error:
                self._report(error)
                return 0
            self._failures.end()
            return written

    def take(self) -> Sequence[str]:
        """The next lines, the same ones until `commit`; none when nothing waits."""
        with self._mutex:
            try:
                return self._take()
            except OSError as error:
                self._report(error)
                return []

    def commit(self) -> None:
        """Forget what `take` returned: it is settled."""
        with self._mutex:
            self._begin = self._end

    def close(self) -> None:
        """Let other workers have the files."""
        with self._mutex:
            for lock in self._locks.values():
                os.close(lock)
            self._locks.clear()
            self._own = self._read = None

    def _append(self, lines: Sequence[str]) -> int:
        file = os.open(self._own_file(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(file).st_size
            room = self._max_bytes - size
            fitting = bytearray()
            count = 0
            for line in lines:
                text = line.encode() + b"\n"
                if len(fitting) + len(text) > room:
                    break
                fitting += text
                count += 1
            try:
                rest = memoryview(fitting)
                while rest:
                    rest = rest[os.write(file, rest) :]
            except OSError:
                os.ftruncate(file, size)  # no half line before those of later
                raise
            return count
        finally:
            os.close(file)

    def _own_file(self) -> Path:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = 0
        while self._own is None:
            path = self._folder / f"{number}.jsonl"
            if self._lock(path):
                self._own = path
            number += 1
        return self._own

    def _lock(self, path: Path) -> bool:
        """Lock a file, unless this or another process has done so."""
        if path in self._locks or (lock := lock_file(path.with_suffix(".lock"))) is None:
            return False
        self._locks[path] = lock
        return True

    def _take(self) -> Sequence[str]:
        while (path := self._read or self._next()) is not None:
            self._read = path
            with path.open("rb") as file:
                file.seek(self._begin)
                lines = file.readlines(_TAKEN)
            if lines and not lines[-1].endswith(b"\n"):
                lines.pop()  # its worker ended while it wrote
            if lines:
                self._end = self._begin + sum(map(len, lines))
                return [line.decode(errors="replace").rstrip("\n") for line in lines]
            self._finish(path)
        return []

    def _next(self) -> Path | None:
        for path in sorted(self._folder.glob("*.jsonl")):
            if path == self._own or self._lock(path):
                return path
        return None

    def _finish(self, path: Path) -> None:
        path.unlink()
        self._read = None
        self._begin = self._end = 0
        if path != self._own:
            os.close(self._locks.pop(path))

    def _report(self, error: OSError) -> None:
        if self._failures.is_new(error):
            logger.error(
                "%s cannot be used: %s. Rows of the ledger are lost while Redis is away.",
                self._folder,
                error.strerror,
            )
