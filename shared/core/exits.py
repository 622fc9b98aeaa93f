"""How a program ends that cannot start: with a sentence on standard error, and the exit code for it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from shared.core.errors import EX_CONFIG, FolderUnusable, GatewayError


@contextmanager
def exit_with_sentence(program: str) -> Iterator[None]:
    """End the process with the sentence of a `GatewayError`, and with `EX_CONFIG`, instead of a traceback."""
    try:
        yield
    except (GatewayError, ExceptionGroup) as error:
        found: Exception = error
        while isinstance(found, ExceptionGroup) and len(found.exceptions) == 1:  # of a group of tasks
            found = found.exceptions[0]
        if not isinstance(found, GatewayError):
            raise
        sys.stderr.write(f"{program}: {found}\n")
        sys.exit(EX_CONFIG)


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
