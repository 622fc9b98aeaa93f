"""Fetches the lists of models of the providers that have `discover`, as a job that one process leads."""

import logging
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from admin_app.jobs.owners import ChangedOwners, Owned
from shared.config_store.leader import Term
from shared.config_store.records.platform import discovering
from shared.core.errors import BadRecord, GatewayError
from shared.core.process.failures import Failures
from shared.model.providers import MIN_TENANT_DISCOVER, Discovered, Provider
from shared.routing.provider_calls import (
    Call,
    ProviderCalls,
    ProviderCompiler,
    call_provider,
    first_key,
    listed_models,
)
from shared.secrets.context import PLATFORM
from shared.services import Services

#: The bounds of a list: what is beyond them is left out, and logged.
MAX_NAMES: Final = 2_000
MAX_CHARACTERS: Final = 256
# The longest time until a look-up that failed is repeated, in seconds.
_RETRY: Final = 600.0
# Anthropic's list has 20 models on a page.
_MAX_PAGES: Final = 20
# Look-ups at a time, and those of one tenant: its slow providers must not delay those of others.
_SLOTS: Final = 8
_TENANTS_SLOTS: Final = 2

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Entry:
    """A provider whose list is fetched, and the time of the next look-up, in seconds since the Unix epoch."""

    owner: str
    provider: Provider
    next_at: float

    @property
    def interval(self) -> float:
        """Seconds from one look-up to the next."""
        seconds = self.provider.discover or MIN_TENANT_DISCOVER
        return seconds if self.owner == PLATFORM else max(seconds, MIN_TENANT_DISCOVER)

    def is_due(self, now: float) -> bool:
        """Whether it is time; a clock that was set back does not delay it by more than the interval."""
        return now >= self.next_at or self.next_at - now > self.interval


class Discovery:
    """The work of a `Leader`: call `run` about every second. It reads the changes, and starts look-ups.

    A failure keeps the last list. Each cause is logged once. Two processes that do it at the same time store
    the same.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._pool = ThreadPoolExecutor(_SLOTS, "discovery")
        self._failures = Failures()
        self._changed = ChangedOwners(services.store)
        self._entries: dict[str, dict[str, _Entry]] = {}
        self._running: dict[Future[None], _Entry] = {}

    def run(self, term: Term) -> None:
        """Take note of what changed, and start the look-ups that are due. Raises `StoreDown`."""
        for owner in self._changed.read(term, self._entries.clear):
            self._read(owner)
        self._end()
        self._start(term)

    def close(self) -> None:
        """Start nothing more. A look-up that runs ends by its own timeout, and stores nothing."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _read(self, owner: str) -> None:
        old = self._entries.pop(owner, {})
        try:
            owned = Owned.read(self._services.store, owner).providers
            providers = [one for one in owned if one.enabled and one.discover is not None]
        except BadRecord as error:
            if self._failures.is_new(error, owner):
                logger.warning("The lists of models of %s are not fetched: %s", owner, error)
            return
        if not providers:
            return
        stored = self._services.store.discovered(discovering(providers))
        self._entries[owner] = {
            one.id: _entry(owner, one, old.get(one.id), stored.get(one.id)) for one in providers
        }

    def _end(self) -> None:
        """Forget the look-ups that have ended. Raises the error of one that was not foreseen."""
        ended = [one for one in self._running if one.done()]
        for one in ended:
            del self._running[one]
        for one in ended:
            one.result()

    def _start(self, term: Term) -> None:
        now = self._services.clock.now()
        running = [entry.owner for entry in self._running.values()]
        due = (entry for one in self._entries.values() for entry in one.values() if entry.is_due(now))
        for entry in sorted(due, key=lambda one: (one.owner != PLATFORM, one.next_at)):
            if len(running) >= _SLOTS or not term.is_held():
                return
            if entry.owner != PLATFORM and running.count(entry.owner) >= _TENANTS_SLOTS:
                continue
            entry.next_at = now + min(entry.interval, _RETRY)
            running.append(entry.owner)
            self._running[self._pool.submit(self._look_up, entry, term)] = entry

    def _look_up(self, entry: _Entry, term: Term) -> None:
        provider, now = entry.provider, self._services.clock.now()
        try:
            names = self._names(entry, term)
            if not term.is_held() or self._entries.get(entry.owner, {}).get(provider.id) is not entry:
                return  # the next leader does it, or the provider was changed meanwhile
            self._services.store.write_discovered(entry.owner, provider.id, Discovered(names, now))
        except (GatewayError, ValueError) as error:
            if self._failures.is_new(error, provider.id):
                logger.warning(
                    "The list of models of the provider %s (%s, of %s) could not be fetched: %s",
                    provider.name,
                    provider.id,
                    entry.owner,
                    error,
                )
            return
        self._failures.end(provider.id)
        entry.next_at = now + entry.interval

    def _names(self, entry: _Entry, term: Term) -> tuple[str, ...]:
        """The names in the list of a provider, sorted. Raises `GatewayError` or ValueError."""
        services = self._services
        calls = ProviderCompiler(services.sealer, opened=services.opened)(entry.provider, entry.owner)
        key = first_key(calls, services.clock.now())
        if key is None and calls.known.endpoint.needs_key:
            raise ValueError("it has no enabled key whose secret can be read.")
        found: set[str] = set()
        query: dict[str, str] = {}
        for _ in range(_MAX_PAGES):
            call = Call.of_list(calls, **query)
            if call is None:
                raise ValueError("this kind has no list of models.")
            response = call_provider(services.fetch, calls, key, call)
            if response.trouble is not None:
                raise ValueError(response.trouble)
            found.update(names_in(response.document, entry.provider.kind))
            last = _next_page(response.document)
            if last is None or query.get("after_id") == last or not term.is_held():
                break
            query = {"after_id": last}
        return self._bounded(found, calls)

    def _bounded(self, found: set[str], calls: ProviderCalls) -> tuple[str, ...]:
        usable = sorted(name for name in found if 0 < len(name) <= MAX_CHARACTERS and name.isprintable())
        left_out = len(found) - len(usable[:MAX_NAMES])
        name = ("bounds", calls.known.provider.id)
        if not left_out:
            self._failures.end(name)
        elif self._failures.is_new(left_out, name):
            logger.warning(
                "%d models of the provider %s are left out: at most %d names of %d printable characters are "
                "kept. Declare those that clients need.",
                left_out,
                calls.known.provider.id,
                MAX_NAMES,
                MAX_CHARACTERS,
            )
        return tuple(usable[:MAX_NAMES])


def names_in(document: Any, kind: str) -> set[str]:
    """The names of a list of models. Gemini writes them as paths, and is called without these."""
    items = listed_models(document) or ()
    names = {one["id"] for one in items if isinstance(one, Mapping) and isinstance(one.get("id"), str)}
    return {name.removeprefix("models/") for name in names} if kind == "gemini" else names


def _next_page(document: Any) -> str | None:
    """The name after which the next page of Anthropic's list begins."""
    last = document.get("last_id") if isinstance(document, Mapping) and document.get("has_more") else None
    return last if isinstance(last, str) and last else None


def _entry(owner: str, provider: Provider, old: _Entry | None, stored: Discovered | None) -> _Entry:
    """A provider as it is now. It is due at once if it was changed after its list was fetched."""
    if old is not None:
        return old if old.provider == provider else _Entry(owner, provider, 0.0)
    entry = _Entry(owner, provider, 0.0)
    if stored is not None and stored.checked_at >= provider.updated_at:
        entry.next_at = stored.checked_at + entry.interval
    return entry
