"""Batches that wait on disk."""

import os
from pathlib import Path

import pytest

from shared.usage.pending import PendingBatches


def take_all(pending: PendingBatches) -> list[str]:
    found: list[str] = []
    while lines := pending.take():
        found += lines
        pending.commit()
    return found


def test_lines_are_read_in_order_and_again_until_they_are_settled(tmp_path: Path) -> None:
    pending = PendingBatches(tmp_path / "new")
    assert pending.take() == []
    assert pending.append(["a", "b"]) == 2
    assert pending.take() == pending.take() == ["a", "b"]
    assert pending.append(["c"]) == 1
    pending.commit()
    assert pending.take() == ["c"]
    pending.commit()
    assert pending.take() == []
    assert not list(tmp_path.glob("new/*.jsonl"))
    pending.append(["d"])
    assert take_all(pending) == ["d"]
    pending.close()


def test_each_worker_has_a_file_and_takes_over_those_of_workers_that_ended(tmp_path: Path) -> None:
    one, two = PendingBatches(tmp_path), PendingBatches(tmp_path)
    one.append(["of one"])
    two.append(["of two"])
    assert sorted(path.name for path in tmp_path.glob("*.jsonl")) == ["0.jsonl", "1.jsonl"]
    assert take_all(one) == ["of one"]
    two.close()
    assert take_all(one) == ["of two"]
    one.close()


def test_a_worker_that_ended_in_between_leaves_the_lines_to_the_next(tmp_path: Path) -> None:
    one = PendingBatches(tmp_path)
    one.append(["a", "b"])
    one.take()
    one.close()
    next_one = PendingBatches(tmp_path)
    assert take_all(next_one) == ["a", "b"]
    next_one.close()


def test_a_file_is_bounded_and_says_how_much_it_took(tmp_path: Path) -> None:
    pending = PendingBatches(tmp_path, max_bytes=10)
    assert pending.append(["1234", "5678", "9"]) == 2
    assert pending.append(["x"]) == 0
    assert take_all(pending) == ["1234", "5678"]
    assert pending.append(["9"]) == 1
    pending.close()


def test_many_lines_are_read_in_parts(tmp_path: Path) -> None:
    pending = PendingBatches(tmp_path)
    lines = [f"{number}" * 1_000 for number in range(1_000)]
    pending.append(lines)
    assert 0 < len(pending.take()) < len(lines)
    assert take_all(pending) == lines
    pending.close()


def test_a_line_that_was_not_written_to_its_end_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "3.jsonl").write_text("whole\nhal")
    pending = PendingBatches(tmp_path)
    assert take_all(pending) == ["whole"]
    assert not list(tmp_path.glob("*.jsonl"))
    pending.close()


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pending = PendingBatches(tmp_path)
    pending.append(["a"])
    write = os.write
    written = []

    def fails(file: int, data: bytes) -> int:
        written.append(1)
        if len(written) > 1:
            raise OSError(28, "No space left on device")
        return write(file, data[:2])

    monkeypatch.setattr(os, "write", fails)
    assert pending.append(["bcdef"]) == 0
    monkeypatch.undo()
    pending.append(["g"])
    assert take_all(pending) == ["a", "g"]
    pending.close()


def test_only_the_user_of_the_gateway_can_read_the_files(tmp_path: Path) -> None:
    pending = PendingBatches(tmp_path / "new")
    pending.append(["a"])
    pending.close()
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "new").iterdir())
