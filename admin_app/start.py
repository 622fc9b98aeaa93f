"""The start of the admin API: checked once in gunicorn's master, then repeated in each worker."""

from collections.abc import Iterable

from shared.core.process.exits import exit_with_sentence
from shared.redis_server.choose import RedisAddress, log_store
from shared.services import Services, connect
from shared.settings import load_settings
from shared.settings.listen import ADMIN, check_listen
from shared.start_line import log_admin_start

_PROGRAM = "admin"
_TRIES = 30  # for a port in use; the worker of a killed master notices its end within a second


class _Master:
    """What the workers get from the process that they are forked from."""

    store: RedisAddress | None = None


def prepare(addresses: Iterable[tuple[str, int]]) -> None:
    """Open the store, and end with a sentence when the admin API cannot start. The store stays open.

    An embedded one ends with the master and not with a worker. `addresses` are those where the master will
    listen.
    """
    with exit_with_sentence(_PROGRAM):
        for host, port in addresses:
            check_listen(host, port, ADMIN, tries=_TRIES)
        store = _Master.store = connect(load_settings()).address
    log_store(store)


def log_start(addresses: Iterable[tuple[str, int]]) -> None:
    """Log that the master listens at `addresses`, after `prepare`."""
    if _Master.store is not None:
        log_admin_start(addresses, _Master.store)


def open_services() -> Services:
    """The services of a worker, on the store of the master. Ends with a sentence when they cannot be used."""
    with exit_with_sentence(_PROGRAM):
        store = _Master.store and _Master.store.shared()
        return connect(load_settings(), store, remembers=True)
