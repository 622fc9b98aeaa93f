"""Log lines: one JSON object per line, with masked secrets. Logging never blocks a request."""

import logging
import select
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TextIO

import orjson

from shared.secrets.redaction import redact

# Lines that wait to be written. A blocked pipe loses lines, never a request (reliability.md R25).
_MAX_WAITING = 10_000
_PAUSE = 0.05  # seconds between two writes of all waiting lines

#: A function of the time of a line, in seconds since the epoch, and of its fields.
PutLine = Callable[[float, Mapping[str, object]], None]


class LogWriter:
    """Writes lines to `stream` in its own thread, in batches. Close it at the end.

    A line costs a request a tenth of a call of `logging`: no record, no lock, no switch of threads. Lines
    beyond the queue are dropped and counted.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._waiting: deque[tuple[float, Mapping[str, object] | logging.LogRecord]] = deque()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self.dropped = 0

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Write the waiting lines, and end."""
        self._ending.set()
        self._thread.join(timeout=2)

    def put(self, at: float, line: Mapping[str, object] | logging.LogRecord) -> None:
        """Queue a line of the time `at`, in seconds since the epoch."""
        if len(self._waiting) >= _MAX_WAITING:
            self.dropped += 1
            return
        self._waiting.append((at, line))

    def _run(self) -> None:
        while not self._ending.wait(_PAUSE):
            self._write_all()
        self._write_all()

    def _write_all(self) -> None:
        lines = [_json(*self._waiting.popleft()) for _ in range(len(self._waiting))]
        for some in _batches(lines):
            try:
                self._stream.write(b"".join(some).decode())
                self._stream.flush()
            except OSError:
                # The disk is full, or the reader is gone.
                self.dropped += len(some)


def _batches(lines: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Lines for one write each. Several workers share a pipe, which keeps only writes of this size whole."""
    batch: list[bytes] = []
    size = 0
    for line in lines:
        if batch and size + len(line) > select.PIPE_BUF:
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line)
    if batch:
        yield batch


class _ToWriter(logging.Handler):
    """Passes records to the writer. Their message is formatted at once, because they are written later."""

    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            record.message = record.getMessage()
        except (TypeError, ValueError):
            self.handleError(record)  # the arguments do not match the format
        else:
            self._writer.put(record.created, record)


def _json(at: float, line: Mapping[str, object] | logging.LogRecord) -> bytes:
    seconds, milliseconds = divmod(int(at * 1000), 1000)
    time = f"{_second(seconds)}.{milliseconds:03}+00:00"
    fields = _of_record(line) if isinstance(line, logging.LogRecord) else line
    return orjson.dumps({"time": time, **fields}, default=str, option=orjson.OPT_APPEND_NEWLINE)


@lru_cache(4)  # the lines of a second come together, and a date takes longer than the rest
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _of_record(record: logging.LogRecord) -> dict[str, object]:
    line: dict[str, object] = {
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": redact(record.message),
    }
    if record.exc_info:
        line["traceback"] = redact(_PLAIN.formatException(record.exc_info))
    return line


_PLAIN = logging.Formatter()


def configure(level: str, stream: TextIO, quiet: Sequence[str] = ()) -> LogWriter:
    """Send all logging of this process to `stream`. Close the writer at the end.

    The loggers in `quiet` log warnings and errors only.
    """
    writer = LogWriter(stream)
    root = logging.getLogger()
    root.handlers[:] = [_ToWriter(writer)]
    root.setLevel(level.upper())
    for name in quiet:
        logging.getLogger(name).setLevel(logging.WARNING)
    writer.start()
    return writer
