"""Gets the health path of targets that are used, as a job that one process leads, and tells all workers.

`MIN_FAILED` failed probes in a row take a target out of its pools; `MIN_GOOD` good ones put it back. Probes
meet no plugins, have no body of a client, and go only where requests may go.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Final
from urllib.parse import urlencode

from admin_app.jobs.owners import ChangedOwners, Owned
from shared.config_store.leader import Term
from shared.config_store.redis_errors import redis_errors
from shared.core.empty import EMPTY
from shared.core.errors import BadRecord, GatewayError, OutsideError
from shared.core.process.failures import Failures
from shared.health.layout import USED_SECONDS, StoredHealth
from shared.health.report import CLOSED, MAX_SECONDS, OPERATOR, PROBE, Report, owner_of
from shared.health.store import HealthStore
from shared.model.pools import HealthCheck
from shared.model.providers import Provider
from shared.model.targets import Target, parse_target
from shared.net.fetch import GuardedFetch
from shared.net.port import FetchRequest
from shared.routing.provider_calls import ProviderCompiler, first_key
from shared.routing.target_pool import target_id
from shared.secrets.context import PLATFORM
from shared.services import Services

#: Failed probes in a row after which a target is not called, and good ones after which it is again.
MIN_FAILED: Final = 2
MIN_GOOD: Final = 2
#: Probes at a time, and those of one tenant: its slow targets must not delay those of others.
MAX_PROBES: Final = 50
MAX_TENANTS_PROBES: Final = 10
# A probe is judged by its status; more of its body is not read.
_MAX_BYTES: Final = 1024 * 1024
# Clients with certificates of their own that are kept.
_MAX_CLIENTS: Final = 32

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class _Check:
    """A target that is probed.

    Attributes:
        owner: the tenant, or the platform.
        target: its id.
        request: the probe.
        health: how often, and what is good.
        ca: certificates (PEM) to trust.
        next_at: the time of the next probe, in seconds since the Unix epoch.
        good, failed: the last probes in a row.
        open_since: since when the target is not called, because probes failed; None: it is.
    """

    owner: str
    target: str
    request: FetchRequest
    health: HealthCheck
    ca: str | None
    next_at: float = 0.0
    good: int = 0
    failed: int = 0
    open_since: float | None = None

    @property
    def place(self) -> str:
        """The owner of what is stored of the target."""
        return owner_of(self.target, self.owner)

    def is_same(self, other: "_Check | None") -> bool:
        """Whether nothing of its configuration has changed."""
        return other is not None and (self.request, self.health, self.ca) == (
            other.request,
            other.health,
            other.ca,
        )


@dataclass(slots=True)
class Probes:
    """The work of a `Leader`: call `run` about every second. It reads the changes, and starts probes."""

    services: Services
    store: HealthStore
    _changed: ChangedOwners = field(init=False)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(MAX_PROBES, "probes"))
    _failures: Failures = field(default_factory=Failures)
    _checks: dict[str, dict[str, _Check]] = field(default_factory=dict)
    _running: dict[Future[None], _Check] = field(default_factory=dict)
    _clients: dict[str | None, GuardedFetch] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._changed = ChangedOwners(self.services.store)

    def run(self, term: Term) -> None:
        """Take note of what changed, and start the probes that are due. Raises `StoreDown`."""
        for owner in self._changed.read(term, self._checks.clear):
            self._read(owner)
        ended = [one for one in self._running if one.done()]
        for one in ended:
            del self._running[one]
        for one in ended:
            one.result()
        self._start(term)

    def close(self) -> None:
        """Start nothing more. A probe that runs ends by its own timeout, and tells nothing."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _read(self, owner: str) -> None:
        before = self._checks.pop(owner, {})
        try:
            owned = Owned.read(self.services.store, owner)
            found: dict[str, _Check] = {}
            for check in self._checks_of(owner, owned):
                found.setdefault(check.target, check)
        except (BadRecord, ValueError) as error:
            if self._failures.is_new(error, owner):
                logger.warning("The targets of %s are not probed: %s", owner, error)
            return
        tier = self.services.settings.tiers.get(owned.tenant.tier) if owned.tenant else None
        kept = islice(found.values(), tier.max_targets if tier else None)
        checks = {
            one.target: before[one.target] if one.is_same(before.get(one.target)) else one for one in kept
        }
        if checks:
            self._checks[owner] = checks

    def _checks_of(self, owner: str, owned: Owned) -> Iterator[_Check]:
        for rule in (one for one in owned.rules if one.active):
            health = rule.policy.health
            for one in rule.targets if health.path is not None else ():
                yield _Check(
                    owner=owner,
                    target=target_id(owner, one.url),
                    request=_request(parse_target(one.url), health),
                    health=health,
                    ca=rule.ca,
                )
        # The target of a model at another owner's provider is not probed: that has a credential of its own.
        own = {one.name: one for one in owned.providers if one.enabled}
        for model in owned.models:
            health = model.policy.health
            for target in model.targets if health.path is not None else ():
                if (provider := own.get(target.provider)) is not None:
                    yield _Check(
                        owner=owner,
                        target=f"{provider.id}/{target.model}",
                        request=self._request_of(provider, owner, health),
                        health=health,
                        ca=provider.ca,
                    )

    def _request_of(self, provider: Provider, owner: str, health: HealthCheck) -> FetchRequest:
        """The probe of a provider, with its first key."""
        calls = ProviderCompiler(self.services.sealer, opened=self.services.opened)(provider, owner)
        headers, query = calls.own_parts(first_key(calls, self.services.clock.now()))
        return _request(calls.known.endpoint.base, health, headers, query)

    def _start(self, term: Term) -> None:
        now = self.services.clock.now()
        running = [check.owner for check in self._running.values()]
        busy = {id(check) for check in self._running.values()}
        due = [
            check
            for checks in self._checks.values()
            for check in checks.values()
            if id(check) not in busy and (now >= check.next_at or check.next_at - now > check.health.interval)
        ]
        stored = self._stored(due)
        for check in sorted(due, key=lambda one: one.next_at):
            if len(running) >= MAX_PROBES or not term.is_held():
                return
            if running.count(check.owner) >= MAX_TENANTS_PROBES and check.owner != PLATFORM:
                continue
            check.next_at = now + check.health.interval
            if not _is_probed(check, stored[check.place], now):
                continue
            running.append(check.owner)
            self._running[self._pool.submit(self._probe, check, term)] = check

    def _stored(self, checks: Iterable[_Check]) -> Mapping[str, StoredHealth]:
        with redis_errors():
            return self.store.read({check.place for check in checks})

    def _probe(self, check: _Check, term: Term) -> None:
        why = self._failure(check)
        if not term.is_held() or self._checks.get(check.owner, {}).get(check.target) is not check:
            return  # the next leader does it, or the target was changed meanwhile
        if why:
            check.good, check.failed = 0, check.failed + 1
            if check.failed >= MIN_FAILED or check.open_since is not None:
                # Longer than the next probes take: the target stays open until one of them is good.
                seconds = 3 * check.health.interval + check.health.timeout
                self._tell(check, PROBE, f"probe: {why}", seconds)
        else:
            check.good, check.failed = check.good + 1, 0
            if check.open_since is not None and check.good >= MIN_GOOD:
                self._tell(check, CLOSED, "two good probes", MAX_SECONDS)

    def _failure(self, check: _Check) -> str:
        """Why a probe failed; empty if it was good."""
        try:
            status = self._client(check.ca)(check.request, owner=check.owner).status
        except OutsideError as error:
            return str(error)
        return "" if status in check.health.ok else f"status {status}"

    def _client(self, ca: str | None) -> GuardedFetch:
        if (client := self._clients.get(ca)) is None:
            if len(self._clients) >= _MAX_CLIENTS:
                self._clients.clear()
            client = self._clients.setdefault(ca, self.services.open_fetch(ca))
        return client

    def _tell(self, check: _Check, cause: str, why: str, seconds: float) -> None:
        now = self.services.clock.now()
        is_news = cause == CLOSED or check.open_since is None
        since = now if is_news or check.open_since is None else check.open_since
        check.open_since = None if cause == CLOSED else since
        tenant = "" if check.owner == PLATFORM else check.owner
        report = Report(
            tenant=tenant, target=check.target, until=now + seconds, at=since, cause=cause, why=why
        )
        try:
            with redis_errors():
                self.store.tell(report, is_news=is_news)
            self._failures.end("tell")
        except GatewayError as error:
            if self._failures.is_new(error, "tell"):
                logger.warning("The results of probes cannot be published: %s", error)


def _request(
    target: Target,
    health: HealthCheck,
    headers: Mapping[str, str] = EMPTY,
    query: Mapping[str, str] = EMPTY,
) -> FetchRequest:
    """The probe of an origin. It opens a connection of its own, as a new worker would."""
    path = health.path or "/"
    if query:
        path += f"{'&' if '?' in path else '?'}{urlencode(query)}"
    return FetchRequest(
        method="GET",
        url=f"{target.scheme}://{target.authority}{path}",
        headers={**headers, "Connection": "close"},
        timeout=health.timeout,
        max_bytes=_MAX_BYTES,
    )


def _is_probed(check: _Check, stored: StoredHealth, now: float) -> bool:
    """Whether a target was used of late, and no operator has opened it. Notes what other leaders told."""
    tenant = "" if check.owner == PLATFORM else check.owner
    said = {
        one.cause: one
        for one in stored.reports
        if (one.tenant, one.target) == (tenant, check.target) and not one.key and one.until > now
    }
    check.open_since = said[PROBE].at if PROBE in said else None
    is_used = any(one.target == check.target and now - one.at < USED_SECONDS for one in stored.beats)
    return is_used and OPERATOR not in said
