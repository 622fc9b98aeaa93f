"""The jobs of the fleet that an admin process does while it leads them.

Without an admin process nothing fails: lists of models get old, ledgers stay in Redis until the bound of
their memory, targets are not probed, the audit log is not copied, webhooks are not called, and request
records are bounded by tenant only. The next admin process catches up.
"""

import logging
from collections.abc import Mapping
from typing import Final

from admin_app.jobs.discovery import Discovery
from admin_app.jobs.probes import Probes
from admin_app.jobs.webhooks import Webhooks
from shared.alerts.deliveries import Deliveries
from shared.config_store.client import open_everywhere
from shared.config_store.history.archive import FOLDER, AuditArchive
from shared.config_store.leader import Leader, Term
from shared.config_store.redis_errors import redis_errors
from shared.core.errors import StoreDown
from shared.core.process.failures import Failures
from shared.health.store import HealthStore
from shared.records.sweeper import Sweeper
from shared.services import Services
from shared.usage.archiver import Archiver

logger = logging.getLogger(__name__)

#: The jobs, and what each of them does.
JOBS: Final[Mapping[str, str]] = {
    "discovery": "Reads the lists of models of providers",
    "probes": "Calls the health paths of targets",
    "archive": "Copies ledgers to files",
    "audit": "Copies the audit log to files",
    "records": "Bounds the memory of request records",
    "webhooks": "Sends alerts to webhooks",
}

#: Seconds from one look at what there is to do to the next.
DISCOVERY_EVERY: Final = 1.0
PROBES_EVERY: Final = 1.0
ARCHIVE_EVERY: Final = 60.0
AUDIT_EVERY: Final = 10.0
SWEEP_EVERY: Final = 10.0
WEBHOOKS_EVERY: Final = 1.0
_STOP_SECONDS: Final = 3.0


class Jobs:
    """The jobs of one worker of the admin API. Start them after its fork, and stop them when it ends."""

    def __init__(
        self,
        services: Services,
        *,
        name: str = "",
        discovery_every: float = DISCOVERY_EVERY,
        probes_every: float = PROBES_EVERY,
    ) -> None:
        """`name` is that of this worker, which no other one has; random if it is empty."""
        self._client = open_everywhere(services.address.options)
        self._discovery = Discovery(services)
        self._probes = Probes(services, HealthStore(self._client))
        self._folder = services.settings.data_dir / "ledger"
        self._archiver = Archiver(self._client, self._folder)
        self._audit_folder = services.settings.data_dir / FOLDER
        self._audit = AuditArchive(self._client, self._audit_folder)
        self._sweeper = Sweeper(self._client, services.settings.records.max_bytes)
        self._webhooks = Webhooks(services, Deliveries(self._client))
        self._failures = Failures()
        self._leaders = tuple(
            Leader(self._client, job, work, services.clock, every=every, name=name)
            for job, work, every in zip(
                JOBS,
                (
                    self._discovery.run,
                    self._probes.run,
                    self._archive,
                    self._copy_audit,
                    self._sweep,
                    self._webhooks.run,
                ),
                (discovery_every, probes_every, ARCHIVE_EVERY, AUDIT_EVERY, SWEEP_EVERY, WEBHOOKS_EVERY),
                strict=True,
            )
        )

    def start(self) -> None:
        """Begin to ask for the leads, in threads that end with the process."""
        for leader in self._leaders:
            leader.start()

    def stop(self) -> None:
        """End the threads, and give the leads up."""
        for leader in self._leaders:
            leader.stop(_STOP_SECONDS)
        self._discovery.close()
        self._probes.close()
        self._webhooks.close()
        self._client.close()

    def _archive(self, term: Term) -> None:
        """Copy the ledgers. Rows that cannot be copied now stay in Redis, and are copied later."""
        try:
            with redis_errors():
                self._archiver.run(term.is_held)
        except (StoreDown, OSError) as error:
            if self._failures.is_new(error):
                logger.error("The ledgers cannot be copied to %s: %s", self._folder, error)
        else:
            self._failures.end()

    def _copy_audit(self, term: Term) -> None:
        """Copy the audit log. Its newest 100,000 entries stay in Redis, so that this has time."""
        try:
            with redis_errors():
                self._audit.run(term.is_held)
        except (StoreDown, OSError, ValueError) as error:
            if self._failures.is_new(error, "audit"):
                logger.error("The audit log cannot be copied to %s: %s", self._audit_folder, error)
        else:
            self._failures.end("audit")

    def _sweep(self, term: Term) -> None:
        """Trim the request records to their bound."""
        try:
            with redis_errors():
                self._sweeper.run(term.is_held)
        except StoreDown as error:
            if self._failures.is_new(error, "records"):
                logger.error("The request records cannot be bounded: %s", error)
        else:
            self._failures.end("records")
