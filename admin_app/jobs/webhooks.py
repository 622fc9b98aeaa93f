"""Sends alerts to webhooks, as a job that one process leads.

Each delivery is stored first, so that the next leader goes on with it. A receiver that is slow, or fails, has
one call at a time, and delays no other one.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple

from admin_app.jobs.webhook_call import Called, call_webhook
from shared.alerts.alert import BREAKER_OPENED, BUDGET_REACHED, KEY_REJECTED
from shared.alerts.deliveries import Deliveries, Position
from shared.alerts.delivery import Delivery, LastDelivery
from shared.alerts.stream import StoredAlert
from shared.config_store.leader import Term
from shared.config_store.redis_errors import redis_errors
from shared.core.errors import BadRecord
from shared.documents.overview import NEARLY_SPENT
from shared.metrics import names
from shared.metrics.registry import REGISTRY
from shared.model.webhooks import Webhook
from shared.net.fetch import GuardedFetch
from shared.secrets.context import PLATFORM
from shared.services import Services

logger = logging.getLogger(__name__)

#: Seconds after each failure until an alert is sent again. After the last one it is dropped, within an hour.
PAUSES: Final = (60.0, 240.0, 900.0, 2_340.0)
#: The most alerts that wait for one webhook, and for all. More are dropped.
MAX_WAITING: Final = 100
MAX_ALL_WAITING: Final = 10_000
#: The most alerts about one tenant, which could make many, that wait for one webhook of the platform.
MAX_OF_TENANT: Final = 25
# Alerts that are read at a time, and calls at a time, of all owners and of one.
_READ: Final = 100
_SLOTS: Final = 16
_OWNERS_SLOTS: Final = 4


class _Owned(NamedTuple):
    """The webhooks of an owner, and the ids of its providers."""

    webhooks: Sequence[Webhook] = ()
    providers: frozenset[str] = frozenset()


class Webhooks:
    """The work of a `Leader`: call `run` about every second. It reads new alerts, and starts calls.

    Two processes that do it at the same time send the same twice, under the same id.
    """

    def __init__(self, services: Services, deliveries: Deliveries) -> None:
        self._services = services
        self._deliveries = deliveries
        self._pool = ThreadPoolExecutor(_SLOTS, "webhooks")
        self._fetch: GuardedFetch | None = None
        self._term, self._position = 0, Position()
        self._waiting: dict[str, Delivery] = {}
        self._running: dict[Future[Called | None], Delivery] = {}
        # The number of calls, and that of the last one by webhook and tenant, as long as more wait.
        self._calls, self._last = 0, dict[tuple[str, str], int]()

    def run(self, term: Term) -> None:
        """Read what happened, and send what is due. Raises `StoreDown`."""
        with redis_errors():
            if term.number != self._term:  # another process may have led meanwhile
                self._running.clear()
                self._position, found = self._deliveries.load(self._services.clock.now())
                self._waiting = {one.name: one for one in found}
                self._term = term.number
            self._end()
            while term.is_held() and self._read():
                pass
            self._start(term)

    def close(self) -> None:
        """Start nothing more. A call that runs ends by its timeout, and is repeated by the next leader."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._fetch is not None:
            self._fetch.close()

    def _read(self) -> bool:
        """Store what is to be sent of the next alerts. Return whether there may be more."""
        entries, position, missed = self._deliveries.alerts(self._position, _READ)
        if missed:
            _count("missed", missed)
            logger.warning("Webhooks were not told of %d alerts: newer ones had displaced them.", missed)
        if not entries:
            return False
        owners: dict[str, _Owned] = {}
        new: dict[str, Delivery] = {}
        counts = Counter(name for one in self._waiting.values() for name in _counted(one))
        for entry_id, fields in entries:
            try:
                alert = StoredAlert.parse(entry_id, fields)
            except ValueError as error:
                logger.warning("The alert %s cannot be read: %s", entry_id.decode(), error)
                continue
            self._note_reached(alert)
            for one in self._wanted(alert, owners):
                if _has_room(one, counts) and len(self._waiting) + len(new) < MAX_ALL_WAITING:
                    counts.update(_counted(one))
                    new[one.name] = one
                else:
                    _count("dropped")
        self._deliveries.add(new.values(), position)
        self._position = position
        self._waiting.update(new)
        return len(entries) == _READ

    def _note_reached(self, alert: StoredAlert) -> None:
        """Note the tenant of a budget of which little is left, for the dashboard."""
        percent, ends = alert.about.get("percent"), alert.about.get("resets_at")
        if alert.kind != BUDGET_REACHED or alert.tenant is None or not isinstance(percent, int):
            return
        if percent >= NEARLY_SPENT * 100:
            until = datetime.fromisoformat(ends).timestamp() if isinstance(ends, str) else None
            self._deliveries.note_reached(alert.tenant, until, self._services.clock.now())

    def _wanted(self, alert: StoredAlert, owners: dict[str, _Owned]) -> Iterator[Delivery]:
        """The deliveries of an alert: to the platform, and to the tenant whose own it is about."""
        for owner in (PLATFORM, alert.tenant):
            if owner is None:
                continue
            owned = owners.get(owner) or owners.setdefault(owner, self._owned(owner))
            if owner != PLATFORM and not _is_own(alert, owned):
                continue
            for webhook in owned.webhooks:
                is_new = alert.milliseconds >= webhook.created_at * 1000
                if webhook.active and alert.kind in webhook.events and is_new:
                    yield Delivery(
                        owner=owner,
                        webhook=webhook.id,
                        alert=alert.id,
                        event=alert.kind,
                        body=alert.body.decode(),
                        tenant=alert.tenant or "",
                    )

    def _owned(self, owner: str) -> _Owned:
        """The present webhooks and providers of an owner; none for a tenant that is disabled or deleted."""
        try:
            if owner == PLATFORM:
                return _Owned(self._services.store.read_platform().webhooks)
            snapshot = self._services.store.read(owner)
        except BadRecord as error:
            logger.warning("The webhooks of %s are not called: %s", owner, error)
            return _Owned()
        if snapshot is None or snapshot.tenant.status != "active":
            return _Owned()
        tenant = snapshot.tenant
        return _Owned(tenant.webhooks, frozenset(one.id for one in tenant.providers))

    def _start(self, term: Term) -> None:
        """Start the calls that are due: new ones before those that failed, and tenants in turns."""
        now = self._services.clock.now()
        running = {one.webhook for one in self._running.values()}
        busy = Counter(one.owner for one in self._running.values())
        under_way = {one.name for one in self._running.values()}
        due = [one for one in self._waiting.values() if one.next_at <= now and one.name not in under_way]
        wanted = {_about(one) for one in due}
        last = self._last = {name: number for name, number in self._last.items() if name in wanted}
        for one in sorted(due, key=lambda one: (one.tries, last.get(_about(one), 0), one.next_at)):
            if len(self._running) >= _SLOTS or not term.is_held():
                return
            if one.webhook in running or busy[one.owner] >= _OWNERS_SLOTS:
                continue
            running.add(one.webhook)
            busy[one.owner] += 1
            self._calls += 1
            last[_about(one)] = self._calls
            self._fetch = self._fetch or self._services.open_fetch()
            self._running[self._pool.submit(self._send, one, self._fetch)] = one

    def _send(self, one: Delivery, fetch: GuardedFetch) -> Called | None:
        """Call a webhook as it is now; None: it is gone, or no longer active."""
        webhook = next((hook for hook in self._owned(one.owner).webhooks if hook.id == one.webhook), None)
        if webhook is None or not webhook.active:
            return None
        return call_webhook(
            self._services,
            partial(fetch, owner=one.owner),
            webhook,
            owner=one.owner,
            event=one.event,
            delivery=one.id,
            body=one.body.encode(),
        )

    def _end(self) -> None:
        """Note what became of the calls that are over. Raises the error of one that was not foreseen."""
        for future in [one for one in self._running if one.done()]:
            one = self._running.pop(future)
            called = future.result()
            if one.name not in self._waiting:
                continue
            self._note(one, called)

    def _note(self, one: Delivery, called: Called | None) -> None:
        if called is None:
            del self._waiting[one.name]
            self._deliveries.end(one, None)
            return
        tries, now = one.tries + 1, self._services.clock.now()
        is_last = tries > len(PAUSES)
        state = "delivered" if called.error is None else "dropped" if is_last else "failed"
        last = LastDelivery(
            at=now,
            event=one.event,
            delivery=one.id,
            status=called.status,
            milliseconds=called.milliseconds,
            tries=tries,
            state=state,
            error=called.error,
        )
        _count(state)
        if state == "failed":
            again = self._waiting[one.name] = replace(one, tries=tries, next_at=now + PAUSES[tries - 1])
            self._deliveries.keep(again, last)
            return
        del self._waiting[one.name]
        self._deliveries.end(one, last)
        if state == "dropped":
            logger.warning(
                "The webhook %s of %s did not take %s: %s", one.webhook, one.owner, one.id, called.error
            )


def _about(one: Delivery) -> tuple[str, str]:
    """The webhook of a delivery, and the tenant that it is about."""
    return one.webhook, one.tenant


def _counted(one: Delivery) -> tuple[str, tuple[str, str]]:
    """Under which names a delivery that waits is counted."""
    return one.webhook, _about(one)


def _has_room(one: Delivery, counts: Counter[str | tuple[str, str]]) -> bool:
    """Whether one more may wait."""
    most = MAX_OF_TENANT if one.owner == PLATFORM else MAX_WAITING
    return counts[one.webhook] < MAX_WAITING and counts[_about(one)] < most


def _is_own(alert: StoredAlert, owned: _Owned) -> bool:
    """Whether an alert is about what the tenant has itself, not about a provider that is shared with it."""
    if alert.kind not in (KEY_REJECTED, BREAKER_OPENED):
        return True
    provider = alert.about.get("provider_id")
    return provider is None or provider in owned.providers


def _count(outcome: str, number: int = 1) -> None:
    REGISTRY.value(names.WEBHOOK_DELIVERIES, outcome).value += number
