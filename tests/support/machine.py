"""The needs of a test of the machine: another user, a folder for all users, a full disk."""

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: No user of this machine. Group 0 is what Kubernetes and OpenShift give to such a user.
ARBITRARY_UID = 54321


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every user can search; pytest's own folders are private."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def as_arbitrary_user() -> tuple[str, ...]:
    """A command that runs another one as a user without a name, in group 0 only.

    The interpreter may be in a folder that is private to this user. Then the process may read everything,
    and still write nothing.
    """
    if os.getuid() != 0:
        return ()
    command = ("setpriv", f"--reuid={ARBITRARY_UID}", "--regid=0", "--clear-groups")
    private = [parent for parent in Path(sys.executable).resolve().parents if not parent.stat().st_mode & 1]
    if private:
        command += ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    return command


@contextmanager
def small_disk(folder: Path, size: str = "64k") -> Iterator[Path]:
    """A file system of that size, as mount(8) writes it."""
    if os.getuid() != 0:
        raise RuntimeError("This test mounts a file system. Run it as root.")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(folder: Path) -> None:
    """Leave no free block on the file system of the folder, also while others write to it."""
    with (folder / "filler").open("wb", buffering=0) as filler:
        try:
            while filler.write(bytes(4096)):
                pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
