"""Copies the audit log from Redis to files of a day, before old entries leave the stream. Synchronous.

``<folder>/2026-12-01.jsonl`` has the entries of one day (UTC), one per line, as they are stored: ``id``,
``number``, ``mac`` and the text of the ``entry``. The files say how far the log was copied, so each machine
that leads the job has a whole copy of its own.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from redis import Redis

from shared.config_store import layout
from shared.config_store.history.audit import SignedEntry

#: The folder in ``data_dir``.
FOLDER: Final = "audit"
_PAGE: Final = 500
_TAIL: Final = 64 * 1024  # bytes; a line has at most about 12 KB
_DAYS: Final = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9].jsonl"


class AuditArchive:
    """The files of the audit log on this machine. The client must return bytes."""

    def __init__(self, client: Redis, folder: Path) -> None:
        self._client = client
        self._folder = folder
        self._last: str | None = None

    def run(self, is_leader: Callable[[], bool] = lambda: True) -> int:
        """Copy what is newer than the files, as long as `is_leader`. Returns the number of entries.

        Raises OSError when a file cannot be written, and redis-py's errors. Copied rows are kept.
        """
        count = 0
        # Another process of this machine may have led meanwhile.
        self._last = last_id(self._folder)
        while is_leader() and (page := self._page()):
            days: dict[str, list[SignedEntry]] = {}
            for one in page:
                days.setdefault(_day(one.id), []).append(one)
            for day, entries in days.items():
                _append(self._folder / f"{day}.jsonl", entries)
            self._last = page[-1].id
            count += len(page)
        return count

    def _page(self) -> Sequence[SignedEntry]:
        after = "-" if self._last is None else f"({self._last}"
        found: Any = self._client.xrange(layout.AUDIT, after, "+", _PAGE)
        return [SignedEntry.parse(entry_id, fields) for entry_id, fields in found]


def archived(folder: Path) -> Iterator[SignedEntry]:
    """The entries in the files, the oldest first. Raises ValueError with the place of a damaged line."""
    for path in _files(folder):
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith("\n"):
                    break  # the process ended while it wrote it, so it is copied again
                try:
                    yield _parse(line)
                except (ValueError, KeyError, TypeError):
                    raise ValueError(f"{path}, line {number}: is not an entry of the audit log.") from None


def last_id(folder: Path) -> str | None:
    """The id of the newest entry in the files; None without any. Raises OSError."""
    for path in reversed(_files(folder)):
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            lines = file.read().splitlines(keepends=True)
        for line in reversed(lines):
            if line.endswith(b"\n"):
                return _parse(line.decode()).id
    return None


def _files(folder: Path) -> Sequence[Path]:
    return sorted(folder.glob(_DAYS))


def _parse(line: str) -> SignedEntry:
    stored = json.loads(line)
    return SignedEntry(str(stored["id"]), stored["entry"].encode(), str(stored["mac"]), int(stored["number"]))


def _day(entry_id: str) -> str:
    return datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC).strftime("%Y-%m-%d")


def _append(path: Path, entries: Sequence[SignedEntry]) -> None:
    """Append lines, and return when they are on disk. A half line at the end is removed first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size = os.fstat(file).st_size
        tail = os.pread(file, _TAIL, max(0, size - _TAIL))
        os.ftruncate(file, size - len(tail) + tail.rfind(b"\n") + 1)
        lines = memoryview("".join(map(_line, entries)).encode())
        while lines:
            lines = lines[os.write(file, lines) :]
        os.fsync(file)
    finally:
        os.close(file)


def _line(one: SignedEntry) -> str:
    stored = {"id": one.id, "number": one.number, "mac": one.mac, "entry": one.text.decode()}
    return json.dumps(stored, separators=(",", ":")) + "\n"
