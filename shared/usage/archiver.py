"""Copies the ledgers from Redis to files of a day, compressed with zstd, and reads such files. Synchronous.

``<folder>/2026-12-01/<tenant>.jsonl.zst`` has the rows of one tenant and day. Each copy appends a frame, so
the file is always readable by ``zstd -d``. A row that was copied twice is there twice, with one id: readers
keep the first. At first the rows stay in Redis, too, for reports; later those that are copied are removed.
"""

import io
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import zstandard
from redis import Redis

from shared.core.durations import DAY_SECONDS
from shared.usage.keys import SIZES_KEY, archived_key, ledger_key
from shared.usage.reader import PAGE, UsageReader
from shared.usage.row import LedgerRow, without_repeats

logger = logging.getLogger(__name__)

#: How long copied rows stay in Redis: reports read those of a month.
KEPT_SECONDS: Final = 32 * DAY_SECONDS
_CHUNK: Final = 1024 * 1024
# The id of a tenant as a part of a path.
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")


class Archiver:
    """Copies what was not copied yet. One at a time per deployment; two of them copy some rows twice.

    The client must return bytes.
    """

    def __init__(self, client: Redis, folder: Path, *, kept_seconds: float = KEPT_SECONDS) -> None:
        self._client = client
        self._folder = folder
        self._kept_ms = int(kept_seconds * 1000)
        self._whole: set[Path] = set()

    def run(self, is_leader: Callable[[], bool] = lambda: True) -> int:
        """Copy all ledgers, as long as `is_leader`. Returns the number of rows.

        Raises OSError when a file cannot be written, and redis-py's errors. Copied rows are kept.
        """
        count = 0
        for tenant_id in UsageReader(self._client).tenants():
            if _NAME.fullmatch(tenant_id) is None:
                logger.error("The ledger of tenant %r has no name for a file and is not copied.", tenant_id)
                continue
            while is_leader():
                copied = self._copy_page(tenant_id)
                count += copied
                if copied < PAGE:
                    break
            self._trim(tenant_id)
        return count

    def _copy_page(self, tenant_id: str) -> int:
        """Copy the next rows of a ledger. Returns how many."""
        position: Any = self._client.get(archived_key(tenant_id))
        entries = UsageReader(self._client).entries(tenant_id, after=(position or b"").decode())
        if not entries:
            return 0
        days: dict[str, list[bytes]] = {}
        for entry in entries:
            if entry.row is None:
                logger.error("Entry %s of a ledger is copied, but it is damaged: %s", entry.id, entry.fault)
            days.setdefault(entry.day, []).append(entry.text)
        for day, lines in days.items():
            path = self._folder / day / f"{tenant_id}.jsonl.zst"
            self._append(path, b"".join(line + b"\n" for line in lines))
        self._client.set(archived_key(tenant_id), entries[-1].id)
        return len(entries)

    def _append(self, path: Path, text: bytes) -> None:
        """Append a frame, and return when it is on disk."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path not in self._whole and path.exists():
            _put_aside_if_damaged(path)
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if path not in self._whole:
                # A process that ended while it wrote has left a half frame, after which none could be read.
                os.ftruncate(file, sum(size for _, size in _frames(path)))
                if len(self._whole) > PAGE:
                    self._whole.clear()
                self._whole.add(path)
            frame = memoryview(zstandard.ZstdCompressor(write_checksum=True).compress(text))
            try:
                while frame:
                    frame = frame[os.write(file, frame) :]
                os.fsync(file)
            except OSError:
                self._whole.discard(path)
                raise
        finally:
            os.close(file)

    def _trim(self, tenant_id: str) -> None:
        """Remove the rows from Redis that are copied and old enough."""
        position: Any = self._client.get(archived_key(tenant_id))
        if position is None:
            return
        now: Any = self._client.time()
        oldest = int(now[0]) * 1000 - self._kept_ms
        time, _, number = position.decode().partition("-")
        minimum = f"{oldest}-0" if oldest <= int(time) else f"{time}-{int(number) + 1}"
        rows: Any = self._client.xlen(ledger_key(tenant_id))
        removed: Any = self._client.xtrim(ledger_key(tenant_id), minid=minimum, approximate=False)
        if removed:
            size: Any = self._client.hget(SIZES_KEY, tenant_id) or 0
            self._client.hset(SIZES_KEY, tenant_id, str(int(size) * max(rows - removed, 0) // rows))


def archived_rows(folder: Path, tenant_id: str, day: str) -> Iterator[LedgerRow]:
    """The rows of a tenant and day that were copied, each once. Raises ValueError on a damaged file."""
    path = folder / day / f"{tenant_id}.jsonl.zst"
    frames = _frames(path) if path.exists() else ()
    return without_repeats(LedgerRow.parse(line) for text, _ in frames for line in text.splitlines())


def _put_aside_if_damaged(path: Path) -> None:
    try:
        for _ in _frames(path):
            pass
    except ValueError as error:
        aside = path.with_name(f"{path.name}.damaged")
        logger.error("%s. It is kept as %s.", error, aside)
        path.replace(aside)


def _frames(path: Path) -> Iterable[tuple[bytes, int]]:
    """Yield the text of each whole frame of a file, and its bytes. A half frame at the end is left out."""
    with path.open("rb") as file:
        rest = b""
        while True:
            decoder = zstandard.ZstdDecompressor().decompressobj()
            text, size = io.BytesIO(), 0
            while not decoder.eof:
                piece = rest or file.read(_CHUNK)
                rest = b""
                if not piece:
                    return
                try:
                    text.write(decoder.decompress(piece))
                except zstandard.ZstdError as error:
                    raise ValueError(f"{path} is damaged: {error}") from None
                size += len(piece)
            rest = decoder.unused_data
            yield text.getvalue(), size - len(rest)
