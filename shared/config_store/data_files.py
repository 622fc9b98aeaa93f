"""Files in `data_dir` that several processes share: replaced as a whole, or used as locks."""

import fcntl
import os
from pathlib import Path
from tempfile import mkstemp


def replace_file(path: Path, text: str) -> None:
    """Replace the file in one step. Only this user can open it. Raises OSError."""
    handle, half = mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(handle)
        os.replace(half, path)
    except OSError:
        os.unlink(half)
        raise


def lock_file(path: Path) -> int | None:
    """The lock as an open file, until it is closed; None when another process has it. Raises OSError."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
