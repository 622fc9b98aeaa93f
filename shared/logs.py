"""Log lines: one JSON object per line, with masked secrets. Logging never blocks a request."""

import logging
import os
import select
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TextIO

import orjson

from shared.core.errors import describe_error
from shared.secrets.redaction import redact

# Lines that wait to be written. A blocked pipe loses lines, never a request (reliability.md R25).
_MAX_WAITING = 10_000
_PAUSE = 0.05  # seconds between two writes of all waiting lines
_CLOSE_SECONDS = 2.0  # to write the last lines; a pipe that is blocked for longer loses them
_MAX_DEPTH = 16  # of values in a line that orjson does not write
_INT64 = range(-(2**63), 2**64)  # the integers that orjson writes

#: A function of the time of a line, in seconds since the epoch, and of its fields.
PutLine = Callable[[float, Mapping[str, object]], None]


class LogWriter:
    """Writes lines to the file descriptor `fd` in its own thread, in batches. Close it at the end.

    A line costs a request a tenth of a call of `logging`: no record, no lock, no switch of threads. Lines
    beyond the queue are dropped and counted; a line says how many, as soon as lines can be written again.
    The thread uses no Python stream, so a blocked write holds no lock that the end of the process needs.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._waiting: deque[tuple[float, Mapping[str, object] | logging.LogRecord]] = deque()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._dropping = threading.Lock()
        #: Lines that were dropped, and how many of them a line has told.
        self.dropped = self._told = 0

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Write the waiting lines, and end."""
        self._ending.set()
        self._thread.join(_CLOSE_SECONDS)

    def put(self, at: float, line: Mapping[str, object] | logging.LogRecord) -> None:
        """Queue a line of the time `at`, in seconds since the epoch."""
        if len(self._waiting) >= _MAX_WAITING:
            self._drop(1)
            return
        self._waiting.append((at, line))

    @property
    def is_alive(self) -> bool:
        """Whether lines are still written, for health checks."""
        return self._thread.is_alive()

    def _drop(self, count: int) -> None:
        with self._dropping:  # several threads put lines
            self.dropped += count

    def _run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._ending.wait(_PAUSE)
            self._write_all()

    def _write_all(self) -> None:
        at = 0.0
        lines = []
        for _ in range(len(self._waiting)):
            at, line = self._waiting.popleft()
            lines.append(_json(at, line))
        for some in _batches(lines):
            try:
                self._write(b"".join(some))
            except OSError:
                # The disk is full, or the reader is gone.
                self._drop(len(some))
        if lines and self.dropped > self._told:
            self._tell(at)

    def _tell(self, at: float) -> None:
        """Write how many lines are missing, once that works again."""
        total = self.dropped
        count = total - self._told
        fields = {"level": "warning", "logger": __name__, "message": f"{count} log lines were dropped."}
        try:
            self._write(_json(at, {**fields, "dropped": count}))
        except OSError:
            return
        self._told = total

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                # Another process made the shared pipe nonblocking, and it is full.
                writable = select.poll()
                writable.register(self._fd, select.POLLOUT)
                writable.poll()


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
        except Exception as error:  # noqa: BLE001 -- an argument's __str__ can raise anything
            record.message = f"{_text(record.msg)} (its arguments do not fit: {describe_error(error)})"
        self._writer.put(record.created, record)


def _json(at: float, line: Mapping[str, object] | logging.LogRecord) -> bytes:
    """The line as JSON. Values that JSON does not have are escaped or shown as text."""
    seconds, milliseconds = divmod(int(at * 1000), 1000)
    time = f"{_second(seconds)}.{milliseconds:03}+00:00"
    try:
        fields = _of_record(line) if isinstance(line, logging.LogRecord) else line
        return _dump({"time": time, **fields})
    except Exception as error:  # noqa: BLE001 -- the boundary of the log: no line may end its thread
        message = redact(f"A log line could not be written: {describe_error(error)}")
        return _dump({"time": time, "level": "error", "logger": __name__, "message": message})


def _dump(fields: Mapping[str, object]) -> bytes:
    try:
        return orjson.dumps(fields, default=_text, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # half a surrogate pair, an integer of over 64 bits, a value without text
        return orjson.dumps(writable(fields), option=orjson.OPT_APPEND_NEWLINE)


def writable(value: object, depth: int = 0) -> object:
    """The value with everything that orjson does not write as escaped text."""
    match value:
        case None | bool() | float():
            return value
        case int() if value in _INT64:
            return value
        case str():
            return value.encode(errors="backslashreplace").decode()
        case Mapping() if depth < _MAX_DEPTH:
            return {_text(name): writable(inner, depth + 1) for name, inner in value.items()}
        case list() | tuple() if depth < _MAX_DEPTH:
            return [writable(inner, depth + 1) for inner in value]
    return _text(value)


def _text(value: object) -> str:
    try:
        text = str(value)
    except BaseException:  # noqa: BLE001 -- a value's own __str__ can raise anything
        text = f"<{type(value).__name__}>"
    return text.encode(errors="backslashreplace").decode()


@lru_cache(4)  # the lines of a second come together, and a date takes longer than the rest
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _of_record(record: logging.LogRecord) -> dict[str, object]:
    line: dict[str, object] = {
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": redact(record.message),
        **getattr(record, FIELDS, {}),
    }
    if record.exc_info:
        line["traceback"] = redact(_PLAIN.formatException(record.exc_info))
    return line


_PLAIN = logging.Formatter()
#: The attribute of a record with further members of its line: ``logger.info(…, extra={FIELDS: {…}})``.
FIELDS = "fields"


def configure(level: str, stream: TextIO, quiet: Sequence[str] = ()) -> LogWriter:
    """Send all logging of this process to `stream`. Close the writer at the end.

    The loggers in `quiet` log warnings and errors only.
    """
    writer = LogWriter(stream.fileno())
    root = logging.getLogger()
    root.handlers[:] = [_ToWriter(writer)]
    root.setLevel(level.upper())
    for name in quiet:
        logging.getLogger(name).setLevel(logging.WARNING)
    writer.start()
    return writer
