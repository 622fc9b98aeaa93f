"""The heartbeats of a worker of the admin API: written to Redis every few seconds, by a thread of its own."""

import logging
import os
import platform
import threading
from typing import Any

from shared.config_store.client import open_everywhere
from shared.config_store.redis_errors import redis_errors
from shared.core import VERSION
from shared.core.errors import StoreDown, StoreLost
from shared.core.process.failures import Failures
from shared.http.readiness import STORE_LOST
from shared.services import Services
from shared.workers.heartbeat import NEWS_SECONDS, Heartbeat, Plane
from shared.workers.store import HeartbeatStore

logger = logging.getLogger(__name__)

_STOP_SECONDS = 1.0


class AdminHeartbeats:
    """Tells that this worker lives. Start it after the fork, and stop it when the worker ends.

    Attributes:
        id: the name of this worker, which no other one has.
    """

    def __init__(self, services: Services, worker: Any) -> None:
        """`worker` is gunicorn's, which has threads."""
        self.id = os.urandom(8).hex()
        self._services, self._worker = services, worker
        self._client = open_everywhere(services.address.options)
        self._store = HeartbeatStore(self._client)
        self._started, self._current = services.clock.now(), 0.0
        self._trouble: dict[str, str] = {}
        self._failures = Failures()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeats", daemon=True)

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def stop(self) -> None:
        """End, and take the heartbeat back."""
        self._ending.set()
        self._thread.join(_STOP_SECONDS)
        try:
            with redis_errors():
                self._store.forget(self.id)
        except StoreDown as error:
            logger.debug("The heartbeat was left to expire: %s", error)
        self._client.close()

    def _run(self) -> None:
        while True:
            self._tell()
            if self._ending.wait(NEWS_SECONDS):
                return

    def _tell(self) -> None:
        try:
            self._check()
            with redis_errors():
                self._store.tell(self._heartbeat())
        except StoreDown as error:
            if self._failures.is_new(error):
                logger.warning("This worker is not shown among the workers: %s", error)
        else:
            self._failures.end()

    def _check(self) -> None:
        """Look at the store as a request does. Raises `StoreDown`."""
        began = self._services.clock.now()
        try:
            self._services.store.ping()
        except StoreLost:
            self._trouble = {"store": STORE_LOST}
        else:
            self._trouble, self._current = {}, began

    def _heartbeat(self) -> Heartbeat:
        worker, seen = self._worker, self._services.known.seen
        return Heartbeat(
            id=self.id,
            plane=Plane.ADMIN,
            machine=platform.node(),
            pid=os.getpid(),
            version=VERSION,
            started=self._started,
            revision=0 if seen is None else seen.revision,
            current=self._current,
            in_flight=worker.nr_conns - len(worker.keepalived_conns) - len(worker.pending_conns),
            connections=worker.nr_conns,
            draining=not worker.alive,
            trouble=self._trouble,
        )
