"""The start of the admin API: checked once in gunicorn's master, then repeated in each worker."""

from collections.abc import Iterable

from admin_app.metrics import MasterMetrics
from shared.core.process.exits import exit_with_sentence
from shared.redis_server.choose import RedisAddress, log_store
from shared.services import Services, connect
from shared.settings import load_settings
from shared.settings.listen import ADMIN, check_listen
from shared.start_line import log_admin_start

_PROGRAM = "admin"
_TRIES = 30  # for a port in use; the worker of a killed master notices its end within a second


class _Master:
    """The values that workers inherit from the process that they are forked from."""

    store: RedisAddress | None = None
    metrics: MasterMetrics | None = None


def prepare(addresses: Iterable[tuple[str, int]], *, is_upgrade: bool = False) -> None:
    """Open the store, and end with a sentence when the admin API cannot start. The store stays open.

    An embedded one ends with the master and not with a worker. `addresses` are those where the master will
    listen. `is_upgrade`: this master replaces a running one, which has the port of the metrics.
    """
    with exit_with_sentence(_PROGRAM):
        settings = load_settings()
        for host, port in addresses:
            check_listen(host, port, ADMIN, tries=_TRIES)
        if settings.metrics.admin_api_port:
            _Master.metrics = MasterMetrics(settings, tries=_TRIES, is_upgrade=is_upgrade)
        store = _Master.store = connect(settings).address
    log_store(store)


def log_start(addresses: Iterable[tuple[str, int]], workers: int) -> None:
    """Log that the master listens at `addresses` for so many workers, after `prepare`."""
    if _Master.store is not None:
        log_admin_start(addresses, _Master.store, workers)


def open_services() -> Services:
    """The services of a worker, on the store of the master. Ends with a sentence when they cannot be used."""
    with exit_with_sentence(_PROGRAM):
        store = _Master.store and _Master.store.shared()
        return connect(load_settings(), store, remembers=True)


def metrics() -> MasterMetrics | None:
    """The metrics that the master has opened; None if they are off."""
    return _Master.metrics
