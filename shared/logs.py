"""Log lines: one JSON object a line, secrets masked, and never a wait for whoever reads them."""

import logging
import queue
from collections.abc import Sequence
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from typing import TextIO

import orjson

from shared.core.redaction import redact

# Records that may wait for a reader. A blocked pipe costs lines, never a request (reliability.md R25).
_WAITING = 10_000


class JsonFormatter(logging.Formatter):
    """One JSON object: ``time, level, logger``, then ``message`` or the `fields` of the record.

    `fields` come by ``extra={"fields": {…}}`` and are written as they are.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        fields = getattr(record, "fields", None)
        line.update({"message": redact(record.getMessage())} if fields is None else fields)
        if record.exc_info:
            line["traceback"] = redact(self.formatException(record.exc_info))
        return orjson.dumps(line).decode()


class _Bounded(QueueHandler):
    """Drops a record when the queue is full, and counts it."""

    dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        # The listener is a thread of this process: nothing has to be made fit for a pipe.
        return record


def configure(level: str, stream: TextIO, quiet: Sequence[str] = ()) -> QueueListener:
    """Send all logging of this process to `stream`. Stop the listener at the end.

    `quiet` are loggers of dependencies that are heard from WARNING on.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    waiting: queue.Queue[logging.LogRecord] = queue.Queue(_WAITING)
    root = logging.getLogger()
    root.handlers[:] = [_Bounded(waiting)]
    root.setLevel(level.upper())
    for name in quiet:
        logging.getLogger(name).setLevel(logging.WARNING)
    listener = QueueListener(waiting, handler)
    listener.start()
    return listener
