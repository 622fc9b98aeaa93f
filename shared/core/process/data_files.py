"""Files in `data_dir` that several processes share: written as a whole, or used as locks."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile, mkstemp

from shared.core.errors import FolderUnusable

#: The file in `data_dir` that a local gateway locks while it runs. It has the number of its process.
LOCAL = "local.pid"


@contextmanager
def whole_file(path: Path, *, replaces: bool = True) -> Iterator[Path]:
    """Yield an empty file to write, which becomes `path` in one step, and is on disk then.

    Only this user can open it. Unless it `replaces`, a file at `path` stays: of several processes that write
    one at once, the first wins. Raises OSError.
    """
    handle, name = mkstemp(prefix=f".{path.name}.", dir=path.parent)
    half = Path(name)
    try:
        yield half
        os.fsync(handle)
        if replaces:
            half.replace(path)
        else:
            with suppress(FileExistsError):
                os.link(half, path)
    finally:
        os.close(handle)
        half.unlink(missing_ok=True)


def lock_file(path: Path) -> int | None:
    """The lock as an open file, until it is closed; None when another process has it. Raises OSError."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Create a folder in data_dir, and write to it. An OSError becomes `FolderUnusable` with the way out."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise FolderUnusable(
            f"{error.filename or folder} cannot be written: {error.strerror}. Set data_dir "
            f"(GATEWAY__DATA_DIR) to a folder with free space that user {os.geteuid()} may write."
        ) from None


def check_writable(folder: Path) -> None:
    """Create the folder if needed. Raises `FolderUnusable` when no file can be written to it."""
    with writing_to(folder), TemporaryFile(dir=folder, buffering=0) as file:
        file.write(bytes(4096))
