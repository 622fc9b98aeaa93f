"""The metrics of the admin API: each worker writes its own, and serves those of all."""

import os
import threading
from contextlib import ExitStack, suppress
from socket import socket as Socket
from typing import Final

from shared.core import VERSION
from shared.core.errors import CannotListen
from shared.logs import LogWriter
from shared.metrics import names
from shared.metrics.exporter import exporting
from shared.metrics.files import MetricsFolder, SeriesFiles, forget_worker
from shared.metrics.registry import OTHER, REGISTRY
from shared.metrics_port import open_metrics
from shared.services import Services
from shared.settings import Settings
from shared.settings.listen import ADMIN_METRICS

_EVERY: Final = 1.0  # seconds
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class MasterMetrics:
    """The folder and the socket of the metrics, which gunicorn's master holds for its workers.

    A master that replaces another one has no socket: a worker opens it when the old one has ended. Raises
    `CannotListen` and `FolderUnusable`.
    """

    def __init__(self, settings: Settings, *, tries: int, is_upgrade: bool) -> None:
        self.settings = settings
        self._listener = None if is_upgrade else self._open(tries)
        self.folder = MetricsFolder(settings.data_dir, "admin")

    def listener(self) -> Socket | None:
        """The socket; None as long as another process has its port."""
        if self._listener is None:
            with suppress(CannotListen):
                self._listener = self._open(1)
        return self._listener

    def forget(self, pid: int) -> None:
        """Remove the gauges of a worker that has ended."""
        forget_worker(self.folder.path, str(pid))

    def close(self) -> None:
        """Remove the folder. Call it in the master only."""
        self.folder.close()
        if self._listener is not None:
            self._listener.close()

    def _open(self, tries: int) -> Socket:
        metrics = self.settings.metrics
        return open_metrics(metrics, metrics.admin_api_port, ADMIN_METRICS, tries=tries)


class WorkerMetrics:
    """Writes the series of a worker once a second, and serves those of all. Start it after the fork."""

    def __init__(self, master: MasterMetrics, services: Services, log: LogWriter | None) -> None:
        self._master, self._services, self._log = master, services, log
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics writer", daemon=True)

    def start(self) -> None:
        REGISTRY.begin("admin", VERSION)
        self._thread.start()

    def stop(self) -> None:
        """Write what was counted last, and end."""
        self._ending.set()
        self._thread.join(_EVERY)

    def _run(self) -> None:
        master, folder = self._master, self._master.folder.path
        with ExitStack() as stack:
            stack.enter_context(exporting(master.listener, folder, master.settings.metrics.token))
            files = SeriesFiles(folder, str(os.getpid()), REGISTRY)
            stack.callback(files.close)
            while not self._ending.wait(_EVERY):
                self._sample()
                with suppress(OSError):  # the disk is full; the log of changes says so
                    files.flush()

    def _sample(self) -> None:
        seen = self._services.known.seen
        REGISTRY.value(names.CONFIG_REVISION).value = 0 if seen is None else seen.revision
        if self._log is not None:
            REGISTRY.value(names.DROPPED, "log").value = self._log.dropped


def count_request(method: str, status: int) -> None:
    """Count a request that gets a response with this status."""
    shown = method if method in _METHODS else OTHER
    REGISTRY.value(names.ADMIN_REQUESTS, shown, f"{status // 100}xx").value += 1
