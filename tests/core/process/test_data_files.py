"""Files that are whole or not there, and what is said about a folder that cannot be written."""

import errno
from pathlib import Path

import pytest

from shared.core.errors import FolderUnusable
from shared.core.process.data_files import check_writable, whole_file, writing_to


def test_file_is_replaced_as_a_whole_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_text("old")
    with whole_file(path) as half:
        half.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_file_of_a_faster_process_stays_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    with whole_file(path, replaces=False) as slow:
        slow.write_text("slow")
        with whole_file(path, replaces=False) as fast:
            fast.write_text("fast")
    assert path.read_text() == "fast"
    assert list(tmp_path.iterdir()) == [path]


def test_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), whole_file(path):
        raise OSError(errno.ENOSPC, "full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_folder_is_created_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    check_writable(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert list(folder.iterdir()) == []


def test_folder_that_is_a_file_is_named_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(FolderUnusable, match=r"data cannot be written: .*\. Set data_dir "):
        check_writable(tmp_path / "data")


def test_full_disk_is_named_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(FolderUnusable, match=r"^/x/pepper cannot be written: full\. "), writing_to(tmp_path):
        raise OSError(errno.ENOSPC, "full", "/x/pepper")
