"""How programs end that cannot start, and what is said about a folder that cannot be written."""

import errno
from pathlib import Path

import pytest

from shared.core.errors import EX_CONFIG, FolderUnusable, GatewayError
from shared.core.exits import check_writable, exit_with_sentence, writing_to

DOWN = GatewayError("The store is down. Start it.")


@pytest.mark.parametrize("error", [DOWN, ExceptionGroup("of tasks", [ExceptionGroup("inner", [DOWN])])])
def test_error_at_the_start_is_a_sentence_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    with pytest.raises(SystemExit) as ended, exit_with_sentence("proxy"):
        raise error
    assert ended.value.code == EX_CONFIG == 78
    assert capsys.readouterr().err == "proxy: The store is down. Start it.\n"


@pytest.mark.parametrize(
    "error", [ExceptionGroup("of tasks", [DOWN, ValueError()]), ExceptionGroup("", [ValueError()])]
)
def test_error_of_another_kind_keeps_its_traceback(error: Exception) -> None:
    with pytest.raises(ExceptionGroup), exit_with_sentence("proxy"):
        raise error


def test_start_without_an_error_goes_on() -> None:
    with exit_with_sentence("proxy"):
        pass


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
