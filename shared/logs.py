"""Log lines: one JSON object per line, with masked secrets. Logging never blocks a request."""

import logging
import os
import select
import stat
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, TextIO

import orjson

from shared.core.errors import describe_error
from shared.secrets.redaction import redact

# Lines that wait to be written. A blocked pipe loses lines, never a request (reliability.md R25).
_MAX_WAITING = 10_000
_PAUSE = 0.1  # seconds between two writes of all waiting lines
_CLOSE_SECONDS = 2.0  # to write the last lines; a pipe that is blocked for longer loses them
_MAX_DEPTH = 16  # of values in a line that orjson does not write
_INT64 = range(-(2**63), 2**64)  # the integers that orjson writes

#: A function of the time of a line, in seconds since the epoch, and of its JSON object without `time`.
PutLine = Callable[[float, bytes], None]
# A line that waits: its time, and its JSON object without `time`, or the record that it is made of.
_Line = tuple[float, bytes, logging.LogRecord | None]
# Several processes share a pipe, which keeps only writes of so many bytes whole. A file keeps all of them.
_FILE_BATCH: Final = 262_144
_BEGINNING: Final = len('{"time":"2026-01-01T00:00:00.000+00:00",')


class LogWriter:
    """Writes lines to the file descriptor `fd` in its own thread, in batches. Close it at the end.

    A line costs a request a tenth of a call of `logging`: no record, no lock, no switch of threads. Lines
    beyond the queue are dropped and counted; a line says how many, as soon as lines can be written again.
    The thread uses no Python stream, so a blocked write holds no lock that the end of the process needs.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._most = _FILE_BATCH if stat.S_ISREG(os.fstat(fd).st_mode) else select.PIPE_BUF
        self._waiting: list[_Line] = []
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

    def put(self, at: float, line: bytes, record: logging.LogRecord | None = None) -> None:
        """Queue a line of the time `at`, in seconds since the epoch. A `record` becomes the line later."""
        if self._waiting[_MAX_WAITING - 1 :]:  # `len` would be a call
            self._drop(1)
            return
        self._waiting += ((at, line, record),)  # `append` would be a call

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
        lines = self._waiting[:]
        del self._waiting[: len(lines)]  # other threads put lines behind them meanwhile
        for some, count in _batches(lines, self._most):
            try:
                self._write(some)
            except OSError:
                # The disk is full, or the reader is gone.
                self._drop(count)
        if lines and self.dropped > self._told:
            self._tell(lines[-1][0])

    def _tell(self, at: float) -> None:
        """Write how many lines are missing, once that works again."""
        total = self.dropped
        count = total - self._told
        message = f"{count} log lines were dropped."
        fields = {"level": "warning", "logger": __name__, "message": message, "dropped": count}
        try:
            for data, _ in _batches([(at, orjson.dumps(fields), None)], self._most):
                self._write(data)
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


def _batches(lines: Sequence[_Line], most: int) -> Iterator[tuple[bytes, int]]:
    """The JSON of lines for one write each, and their number. Only a line alone has over `most` bytes."""
    parts: list[bytes] = []
    size, count, begin, second, millisecond = 0, 0, b"", -1.0, -1.0
    for at, line, record in lines:
        if at * 1000 // 1 != millisecond:  # the lines of one come together, as do those of a second
            millisecond = at * 1000 // 1
            if millisecond // 1000 != second:
                second = millisecond // 1000
                shown = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
            begin = b'{"time":"%b.%03d+00:00",' % (shown, millisecond % 1000)
        data = line if record is None else _json(record)
        more = _BEGINNING + len(data)  # the first byte of `data` makes room for the end of the line
        if count and size + more > most:
            yield b"".join(parts), count
            parts, size, count = [], 0, 0
        parts += (begin, data[1:], b"\n")
        size, count = size + more, count + 1
    if count:
        yield b"".join(parts), count


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
        self._writer.put(record.created, b"", record)


def _json(record: logging.LogRecord) -> bytes:
    """The line of a record as JSON. Values that JSON does not have are escaped or shown as text."""
    try:
        return dump_line(_of_record(record))
    except Exception as error:  # noqa: BLE001 -- the boundary of the log: no line may end its thread
        message = redact(f"A log line could not be written: {describe_error(error)}")
        return dump_line({"level": "error", "logger": __name__, "message": message})


def dump_line(fields: Mapping[str, object]) -> bytes:
    """The fields as JSON; what JSON does not have is escaped or shown as text."""
    try:
        return orjson.dumps(fields, default=_text)
    except TypeError:  # half a surrogate pair, an integer of over 64 bits, a value without text
        return orjson.dumps(writable(fields))


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
