"""Secrets in files: made once, for their owner alone; a given file is only read, and refused in a sentence."""

import functools
import os
import stat
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.core.errors import FolderUnusable
from shared.secrets.files import SecretFileError, read_secrets

ONE, TWO = b"1" * 32, b"2" * 32
read_pepper = functools.partial(read_secrets, setting="security.pepper_file")


def given(tmp_path: Path, text: bytes, mode: int = 0o600) -> Path:
    file = tmp_path / "given"
    file.write_bytes(text)
    file.chmod(mode)
    return file


def lines(*secrets: bytes) -> bytes:
    return b"\n".join(map(b64encode, secrets)) + b"\n"


def no_random_bytes(count: int) -> bytes:
    raise AssertionError("Nothing may be made.")


def test_the_first_process_makes_the_file_and_the_next_ones_read_it(tmp_path: Path) -> None:
    own = tmp_path / "data" / "pepper"
    first = read_pepper(None, own, os.urandom)
    assert [len(secret) for secret in first] == [32]
    assert read_pepper(None, own, no_random_bytes) == first
    assert stat.S_IMODE(own.stat().st_mode) == 0o600
    assert stat.S_IMODE(own.parent.stat().st_mode) == 0o700
    assert list(own.parent.iterdir()) == [own]


def test_secret_created_by_concurrent_readers_is_the_same_for_all(tmp_path: Path) -> None:
    own = tmp_path / "pepper"
    with ThreadPoolExecutor(16) as pool:
        read = list(pool.map(lambda _: read_pepper(None, own, os.urandom), range(64)))
    assert all(secrets == read[0] for secrets in read)
    assert list(tmp_path.iterdir()) == [own]


def test_a_given_file_is_read_line_by_line_and_nothing_is_made(tmp_path: Path) -> None:
    file = given(tmp_path, lines(ONE, TWO), mode=0o400)
    assert read_pepper(file, tmp_path / "own", no_random_bytes) == [ONE, TWO]
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_can_open_is_rejected(tmp_path: Path, mode: int) -> None:
    file = given(tmp_path, lines(ONE), mode)
    with pytest.raises(SecretFileError, match=f"chmod 600 {file}"):
        read_pepper(file, tmp_path / "own", no_random_bytes)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "32 bytes"),
        (b"\n\n", "32 bytes"),
        (lines(b"short"), "32 bytes"),
        (lines(ONE, TWO + b"3"), "32 bytes"),
        (b"not base64!", "base64"),
        (b"\xff" * 44, "base64"),
        (b"1" * 43, "base64"),
    ],
)
def test_a_file_with_other_content_is_rejected_without_it(tmp_path: Path, text: bytes, why: str) -> None:
    file = given(tmp_path, text)
    with pytest.raises(SecretFileError, match=why) as caught:
        read_pepper(file, tmp_path / "own", no_random_bytes)
    assert str(file) in str(caught.value)
    assert "not base64!" not in str(caught.value)


def test_a_given_file_that_is_missing_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(SecretFileError, match="No such file"):
        read_pepper(tmp_path / "given", tmp_path / "own", no_random_bytes)
    assert list(tmp_path.iterdir()) == []


def test_secret_folder_that_cannot_be_created_is_reported_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(FolderUnusable, match=r"data cannot be written: .*\. Set data_dir "):
        read_pepper(None, tmp_path / "data" / "pepper", os.urandom)
