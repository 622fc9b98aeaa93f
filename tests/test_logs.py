"""Log lines: whole, masked, and never a wait."""

import io
import json
import logging
import select
from collections.abc import Iterator

import pytest

from shared.logs import LogWriter, configure


class Pieces(io.StringIO):
    """Remembers what was written at once."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def write(self, text: str) -> int:
        self.pieces.append(text)
        return len(text)


class Broken(Pieces):
    def write(self, text: str) -> int:
        raise OSError("no space left")


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, given back as it was."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


def lines(stream: Pieces) -> list[dict[str, object]]:
    return [json.loads(line) for line in "".join(stream.pieces).splitlines()]


def test_a_record_is_one_line_of_json_with_secrets_masked(root: logging.Logger) -> None:
    stream = Pieces()
    writer = configure("info", stream)
    logging.getLogger("a.b").warning("key %s\nin two lines", "sk-proj-abcdefghijklmnop")
    logging.getLogger("a.b").debug("not heard")
    try:
        raise ValueError("password=hunter2")
    except ValueError:
        logging.getLogger("a.b").exception("it failed")
    writer.close()
    first, second = lines(stream)
    assert (first["level"], first["logger"]) == ("warning", "a.b")
    assert "abcdefgh" not in str(first["message"])
    assert "ValueError" in str(second["traceback"])
    assert "hunter2" not in str(second["traceback"])
    assert str(first["time"]).endswith("+00:00")


def test_log_record_with_invalid_arguments_is_skipped(
    root: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    stream = Pieces()
    writer = configure("info", stream)
    logging.getLogger("a").info("%d", "no number")
    logging.getLogger("a").info("still here")
    writer.close()
    assert [line["message"] for line in lines(stream)] == ["still here"]


def test_log_lines_stay_whole_on_a_pipe_that_several_workers_share() -> None:
    stream = Pieces()
    writer = LogWriter(stream)
    for number in range(100):
        writer.put(0.0, {"number": number, "text": "x" * 200})
    writer.start()
    writer.close()
    assert max(map(len, stream.pieces)) <= select.PIPE_BUF
    assert all(piece.endswith("\n") for piece in stream.pieces)
    assert [line["number"] for line in lines(stream)] == list(range(100))


def test_lines_without_a_reader_are_dropped_and_counted() -> None:
    writer = LogWriter(Pieces())
    for _ in range(10_001):
        writer.put(0.0, {})
    assert writer.dropped == 1


def test_a_full_disk_costs_lines_and_nothing_else() -> None:
    writer = LogWriter(Broken())
    writer.put(0.0, {"a": 1})
    writer.start()
    writer.close()
    assert writer.dropped == 1
