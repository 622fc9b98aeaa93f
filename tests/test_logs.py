"""Log lines: whole, masked, and never a wait."""

import json
import logging
import os
import select
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.logs import FIELDS, LogWriter, configure
from tests.support.wait import until


class Pipe:
    """A pipe with a writer of lines at its end."""

    def __init__(self) -> None:
        self._read, self.end = os.pipe()
        self.writer = LogWriter(self.end)
        self._text = b""

    def fileno(self) -> int:
        return self.end

    def read(self) -> None:
        """Read what is there."""
        while select.select([self._read], [], [], 0)[0] and (some := os.read(self._read, 1 << 16)):
            self._text += some

    def lines(self) -> list[dict[str, Any]]:
        """The lines that were written, at the end of the log or so far."""
        self.read()
        return [json.loads(line) for line in self._text.splitlines()]

    def wait_for(self, text: str) -> list[dict[str, Any]]:
        """The lines, as soon as one of them has `text`."""
        for _ in until(20):
            self.read()
            if text.encode() in self._text:
                return self.lines()
        raise TimeoutError(text)

    def close(self) -> None:
        os.close(self.end)
        os.close(self._read)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, given back as it was."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.fixture
def configured(root: logging.Logger, pipe: Pipe) -> Iterator[Callable[[], LogWriter]]:
    """Sends the log of this process to the pipe. Called in the test: pytest's own handler must not remain."""
    writers: list[LogWriter] = []

    def begin() -> LogWriter:
        writers.append(configure("info", pipe))  # type: ignore[arg-type]  # as much of a stream as is needed
        return writers[0]

    yield begin
    for writer in writers:
        writer.close()


def test_a_record_is_one_line_of_json_with_secrets_masked(
    configured: Callable[[], LogWriter], pipe: Pipe
) -> None:
    writer = configured()
    logging.getLogger("a.b").warning("key %s\nin two lines", "sk-proj-abcdefghijklmnop")
    logging.getLogger("a.b").debug("not heard")
    try:
        raise ValueError("password=hunter2")
    except ValueError:
        logging.getLogger("a.b").exception("it failed")
    writer.close()
    first, second = pipe.lines()
    assert (first["level"], first["logger"]) == ("warning", "a.b")
    assert "abcdefgh" not in first["message"]
    assert "ValueError" in second["traceback"]
    assert "hunter2" not in second["traceback"]
    assert first["time"].endswith("+00:00")


def test_log_record_can_have_further_members(configured: Callable[[], LogWriter], pipe: Pipe) -> None:
    writer = configured()
    logging.getLogger("a").info("changed", extra={FIELDS: {"tenant": "acme", "version": 2}})
    writer.close()
    [line] = pipe.lines()
    assert (line["message"], line["tenant"], line["version"]) == ("changed", "acme", 2)


def record(fields: dict[str, Any]) -> logging.LogRecord:
    """A record with further members of its line."""
    return logging.makeLogRecord({"levelname": "INFO", "name": "a", "message": "m", FIELDS: fields})


class Mute:
    def __str__(self) -> str:
        raise SystemExit("no text")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("half a pair: \ud83d", "half a pair: \\ud83d"),
        ({"\udcff": ["\ud800", None, True, 1.5, (1,)]}, {"\\udcff": ["\\ud800", None, True, 1.5, [1]]}),
        (2**70, str(2**70)),
        ({1: "a number as a name"}, {"1": "a number as a name"}),
        (Mute(), "<Mute>"),
        (b"\xff", "b'\\xff'"),
    ],
)
def test_line_that_json_cannot_hold_is_written_escaped(pipe: Pipe, value: object, shown: object) -> None:
    pipe.writer.put(0.0, b"", record({"value": value, "other": "é"}))
    pipe.writer.start()
    pipe.writer.close()
    assert [(line["value"], line["other"]) for line in pipe.lines()] == [(shown, "é")]


def test_line_that_contains_itself_is_written(pipe: Pipe) -> None:
    ring: list[object] = []
    ring.append(ring)
    pipe.writer.put(0.0, b"", record({"ring": ring}))
    pipe.writer.start()
    pipe.writer.close()
    assert len(pipe.lines()) == 1


def test_nothing_ends_the_log(configured: Callable[[], LogWriter], pipe: Pipe) -> None:
    writer = configured()
    logger = logging.getLogger("a")
    try:
        raise ValueError("half a pair: \ud83d")
    except ValueError:
        logger.exception("it failed: %s", "\udcff")
    logger.info("%d", "no number")
    writer.put(0.0, b"", logging.LogRecord("no message", 20, "", 0, "", (), None))
    pipe.wait_for("could not be written")
    assert writer.is_alive
    logger.info("still here")
    first, second, *_, last = pipe.wait_for("still here")
    assert first["message"] == "it failed: \\udcff"
    assert "half a pair: \\ud83d" in first["traceback"]
    assert second["message"].startswith("%d (its arguments do not fit: TypeError")
    assert last["message"] == "still here"


def test_a_log_that_has_stopped_is_trouble(pipe: Pipe) -> None:
    pipe.writer.start()
    assert pipe.writer.is_alive
    pipe.writer.close()
    assert not pipe.writer.is_alive


def test_log_lines_stay_whole_on_a_pipe_that_several_workers_share(pipe: Pipe) -> None:
    writers = [pipe.writer, LogWriter(pipe.end)]
    for number in range(100):
        for writer in writers:
            writer.put(0.0, orjson.dumps({"number": number, "text": "x" * 200}))
    for writer in writers:
        writer.start()
    numbers = [line["number"] for line in pipe.wait_for('"number":99')]
    for writer in writers:
        writer.close()
    assert sorted(set(numbers)) == list(range(100))


def test_lines_of_a_blocked_pipe_are_dropped_counted_and_told(pipe: Pipe) -> None:
    pipe.writer.start()
    queued = 0
    for number in range(100_000):  # a pipe holds 64 KiB
        pipe.writer.put(0.0, orjson.dumps({"number": number, "text": "x" * 200}))
        queued += 1
        if pipe.writer.dropped == 5:
            break
    assert pipe.writer.dropped == 5
    pipe.writer.put(0.0, orjson.dumps({"number": -1}))
    pipe.wait_for("were dropped")
    pipe.wait_for(f'"number":{queued - 6},')
    pipe.writer.put(0.0, orjson.dumps({"text": "goes on"}))
    lines = pipe.wait_for("goes on")
    [told] = [line for line in lines if "dropped" in line]
    assert (told["level"], told["message"]) == ("warning", "6 log lines were dropped.")
    assert told["dropped"] == 6
    assert len(lines) == queued - 5 + 2
    pipe.writer.close()


def test_a_blocked_pipe_does_not_keep_the_log_from_closing(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.logs._CLOSE_SECONDS", 0.05)
    pipe.writer.put(0.0, orjson.dumps({"text": "x" * 100_000}))
    pipe.writer.start()
    pipe.writer.close()
    assert pipe.writer.is_alive  # it still writes
    pipe.wait_for("\n")


def test_a_pipe_that_others_made_nonblocking_loses_no_line(pipe: Pipe) -> None:
    os.set_blocking(pipe.end, False)
    for number in range(1000):
        pipe.writer.put(0.0, orjson.dumps({"number": number, "text": "x" * 200}))
    pipe.writer.start()
    lines = pipe.wait_for('"number":999')
    pipe.writer.close()
    assert [line["number"] for line in lines] == list(range(1000))


def test_a_full_disk_costs_lines_and_nothing_else() -> None:
    with Path("/dev/full").open("w") as full:
        writer = LogWriter(full.fileno())
        writer.put(0.0, orjson.dumps({"a": 1}))
        writer.start()
        writer.close()
        assert writer.dropped == 1


def test_a_file_gets_many_lines_at_once_and_in_order(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        writer = LogWriter(file.fileno())
        for number in range(2_000):
            writer.put(0.0005 * number, orjson.dumps({"number": number, "text": "x" * 200}))
        writer.start()
        writer.close()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["number"] for line in lines] == list(range(2_000))
    assert [line["time"][17:] for line in lines[:4:2]] == ["00.000+00:00", "00.001+00:00"]
