"""The composition root: builds the services from the settings. Clocks are created only here."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from shared.alerts.writer import AlertWriter, open_writer
from shared.config_store.cache.gateways import GatewayCache
from shared.config_store.cache.snapshot_keeper import SnapshotKeeper
from shared.config_store.client import open_everywhere
from shared.config_store.history.audit import AuditKey
from shared.config_store.identity import KnownStore, SecretIds
from shared.config_store.port import ConfigSource, ConfigStore
from shared.config_store.records.parts import PartNames
from shared.config_store.records.platform import discovering
from shared.config_store.redis_errors import redis_errors
from shared.config_store.seen_file import SeenFile
from shared.config_store.snapshot import SnapshotFile
from shared.config_store.source import open_source
from shared.config_store.store import open_store
from shared.core import tasks
from shared.core.clock import Clock
from shared.core.errors import StoreDown
from shared.explain import ExplainRequest, ExplainResult, run_explain
from shared.health.link import HealthLink, open_link
from shared.health.states import PoolStates
from shared.http.readiness import OK, STORE_LOST, UNAVAILABLE, Probed
from shared.limits.fallback.guarded_limiter import GuardedLimiter
from shared.limits.port import Limiter
from shared.limits.redis.limiter import open_redis_limiter
from shared.limits.retry_queues import RetryQueues, Turn
from shared.limits.values import Decision, Limit
from shared.model.config import Snapshot
from shared.net import resolve as resolving
from shared.net.fetch import GuardedFetch
from shared.net.policy import Policy
from shared.net.port import Fetch, FetchRequest, FetchResponse
from shared.net.resolver import Resolver
from shared.pipeline.chain import Catalogue
from shared.pipeline.dry_run import not_called
from shared.pipeline.plugin import Tools
from shared.plugins import load_catalogue
from shared.redis_server.choose import RedisAddress, open_redis
from shared.redis_server.options import addresses_of
from shared.redis_server.store_secrets import open_secrets
from shared.routing.admission import HostRules
from shared.routing.body_limits import BodyLimits
from shared.routing.compile import Compiler, Gateway
from shared.routing.platform import CompiledPlatform
from shared.routing.timeouts import UpstreamTimeouts
from shared.secrets.api_keys import PepperedHasher, secret_id
from shared.secrets.sealing import AesSealer
from shared.settings import OpenedSecrets, Settings, SettingsError, opened_secrets
from shared.settings.files import check_ca_file
from shared.settings.sections import ANY_IP
from shared.stored.store import Bindings, open_bindings
from shared.usage.pending import PendingBatches
from shared.usage.reader import KeyUsageReader, open_key_usage
from shared.usage.settler import Settler, open_settler

logger = logging.getLogger(__name__)

# The timeout of the admin API for counters, connecting included; the same as for its store.
_PEEK_SECONDS = 0.25


class SystemClock:
    """The clock of this machine. A request reads it several times, so its methods are the functions."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


@dataclass(frozen=True, slots=True)
class DataPlane:
    """The connections of a worker of the proxy."""

    source: ConfigSource
    gateways: GatewayCache[Gateway, CompiledPlatform]
    limiter: GuardedLimiter
    resolver: Resolver
    settler: Settler
    states: PoolStates
    health: HealthLink
    key_usage: KeyUsageReader
    bindings: Bindings
    alerts: AlertWriter

    def probe(self) -> Probed:
        """The state of each part. The worker serves if it knows any tenants, also from the disk."""
        gateways = self.gateways
        unavailable = gateways.trouble is not None or gateways.last_config_check is None
        store = STORE_LOST if gateways.is_lost else UNAVAILABLE if unavailable else OK
        limits = UNAVAILABLE if self.limiter.is_alone else OK
        return Probed({"store": store, "limits": limits}, gateways.is_informed)


@dataclass(frozen=True, slots=True)
class Services:
    """The services of the admin API and of the proxy. Close it at the end.

    Attributes:
        settings: all settings.
        clock: the clock.
        catalogue: all plugins.
        store: the configuration.
        hasher: hashes API keys.
        sealer: encrypts secrets.
        policy: the addresses that may be called.
        address: the Redis in use.
        known: the store that was served last.
        disk: the last good configuration of this machine.
        instance: the name of this deployment in Via, derived from the newest pepper: all machines agree.
        opened: the secrets that the operator opened for providers, by ``env:<name>`` and ``file:<name>``.
    """

    random_bytes = staticmethod(os.urandom)

    settings: Settings
    clock: Clock
    catalogue: Catalogue
    store: ConfigStore
    hasher: PepperedHasher
    sealer: AesSealer
    policy: Policy
    address: RedisAddress
    known: KnownStore
    disk: SnapshotFile
    instance: str
    opened: OpenedSecrets

    def check_target(self, url: str, *, allow_query: bool = False) -> resolving.CheckedTarget:
        """Check a URL to be saved, and return what is known of it. Raises as `resolving.check_target`."""
        return resolving.check_target(url, self.policy, allow_query=allow_query)

    def read_secrets_again(self) -> None:
        """Read the opened secrets again. Tenants that use changed ones are compiled again."""
        try:
            changed = self.opened.read_again()
        except SettingsError as error:
            logger.error("%s The secrets of providers stay as they were read before.", error)
            return
        if changed:
            logger.info("These secrets of providers changed: %s.", ", ".join(changed))

    def fetch(self, request: FetchRequest, *, ca: str | None = None) -> FetchResponse:
        """The response to one call, on a connection of its own. Raises `OutsideError`.

        `ca` has certificates (PEM) to trust besides the usual ones.
        """
        with contextlib.closing(self.open_fetch(ca)) as fetch:
            return fetch(request)

    def open_fetch(self, ca: str | None = None) -> GuardedFetch:
        """Open a fetcher for many calls to the addresses that may be called. Close it."""
        return GuardedFetch(self.policy, self.clock, self.settings.security.ca_file, ca)

    @contextlib.contextmanager
    def reading[Reader](self, reader: Callable[[Any], Reader]) -> Iterator[Reader]:
        """A reader, made of a client of Redis. Raises `StoreDown` when Redis does not respond."""
        with open_everywhere(self.address.options) as client, redis_errors():
            yield reader(client)

    def peek(self, groups: Sequence[Sequence[Limit]]) -> Sequence[Decision]:
        """The state of the limits of each group; charges nothing. Not for a running loop.

        The limits of a group are those of one tenant. Raises `StoreDown`.
        """
        return asyncio.run(self._peek(groups))

    async def _peek(self, groups: Sequence[Sequence[Limit]]) -> Sequence[Decision]:
        limiter = open_redis_limiter(self.address.options, _PEEK_SECONDS)
        try:
            return await asyncio.gather(*map(limiter.peek, groups))
        finally:
            await limiter.close()

    def explain(self, request: ExplainRequest, snapshot: Snapshot, *, calls_outside: bool) -> ExplainResult:
        """Return the result of a dry run; charges nothing. Not for a running loop.

        Outside services of tenants are called only when `calls_outside`.
        """
        return asyncio.run(self._explain(request, snapshot, calls_outside))

    async def _explain(
        self, request: ExplainRequest, snapshot: Snapshot, calls_outside: bool
    ) -> ExplainResult:
        limiter = open_redis_limiter(self.address.options, _PEEK_SECONDS)
        fetch = self.open_fetch() if calls_outside else None
        compiler = self._compiler(self._tools(limiter, fetch or not_called))
        bindings = open_bindings(self.address.options, *self.hasher.secrets("affinity"))
        platform = self.store.read_platform()
        asked = discovering((*platform.providers, *snapshot.tenant.providers))
        discovered = self.store.discovered(asked)
        try:
            return await run_explain(
                request,
                replace(snapshot, discovered=discovered),
                platform=replace(platform, discovered=discovered),
                compiler=compiler,
                hosts=hosts_of(self.settings),
                hasher=self.hasher,
                instance=self.instance,
                settings=self.settings,
                random_bytes=os.urandom,
                bindings=bindings,
            )
        finally:
            await limiter.close()
            await bindings.close()
            if fetch:
                fetch.close()

    def _tools(self, limiter: Limiter, fetch: Fetch, turn: Callable[[], Turn] = Turn) -> Tools:
        return Tools(
            limiter,
            fetch,
            self.clock,
            retry_queues=RetryQueues(turn),
            json_parts=self.settings.limits.json_parts,
        )

    def _compiler(self, tools: Tools, worker: int = 0) -> Compiler:
        settings, longest = self.settings, self.settings.limits.timeouts
        timeouts = UpstreamTimeouts(longest.connect, longest.first_byte, longest.idle, longest.total)
        internal = settings.security.allowed_target_networks
        return Compiler(
            self.catalogue,
            settings.tiers,
            self.sealer,
            tools,
            timeouts=timeouts,
            internal=internal,
            traced=settings.trace.forward,
            bodies=BodyLimits.of(settings.limits),
            opened=self.opened,
            states=PoolStates(
                self.hasher.secrets("affinity")[0],
                self.clock.now() - self.clock.monotonic(),
                worker,
                max(settings.server.worker_count, worker + 1),
            ),
        )

    @contextlib.asynccontextmanager
    async def data_plane(self, worker: int = 0) -> AsyncIterator[DataPlane]:
        """Open the connections of the worker with that number. They close with the context."""
        cache, options = self.settings.cache, self.address.options
        limiter, health, fetch = self._limiter(), open_link(options, os.urandom(8).hex()), self.open_fetch()
        tools = replace(self._tools(limiter, fetch, lambda: limiter.turn), redis_time=limiter.redis_time)
        compiler = self._compiler(tools, worker)

        async def learn(owners: Sequence[str]) -> None:
            await health.learn(owners, compiler.states, self.clock)

        source = open_source(options, self.known, learn, PartNames.of(*self.hasher.each))
        gateways = GatewayCache[Gateway, CompiledPlatform](
            source,
            compiler,
            self.clock,
            compile_platform=compiler.platform,
            config_ttl=cache.config_ttl,
            cleanup_interval=cache.cleanup_interval,
            max_idle_time=cache.max_idle_time,
            max_entries=cache.max_entries,
            disk=self.disk,
        )
        keeper = SnapshotKeeper(
            source,
            self.disk,
            gateways,
            self.clock,
            known=self.known,
            mode=self.address.mode,
            workers=lambda: limiter.workers,
        )
        self.opened.listeners.append(gateways.compile_platform_again)
        await gateways.start()
        limiter.start()
        keeping = tasks.start(keeper.run(cache.config_ttl), "snapshot")
        settler, key_usage, alerts = self._settler(), open_key_usage(options), open_writer(options)
        bindings = open_bindings(options, *self.hasher.secrets("affinity"))
        resolver, states = Resolver(self.policy, self.clock.monotonic), compiler.states
        try:
            yield DataPlane(
                *(source, gateways, limiter, resolver, settler, states, health, key_usage, bindings, alerts)
            )
        finally:
            self.opened.listeners.remove(gateways.compile_platform_again)
            await asyncio.gather(*(one.close() for one in (bindings, key_usage, settler, alerts)))
            keeping.cancel()
            await asyncio.wait({keeping})
            for one in (gateways, limiter, source, health):
                await one.close()
            fetch.close()

    def _limiter(self) -> GuardedLimiter:
        cache, remote = self.settings.cache, open_redis_limiter(self.address.options)
        return GuardedLimiter(
            remote,
            self.clock,
            workers=self.settings.server.worker_count,
            last_count=self.disk.meta().get("workers", 0),
            name=os.urandom(8).hex(),
            cluster=remote.cluster,
            cleanup_interval=cache.cleanup_interval,
            max_idle_time=cache.max_idle_time,
            max_entries=cache.max_entries,
        )

    def _settler(self) -> Settler:
        return open_settler(
            self.address.options,
            lambda: os.urandom(16).hex(),
            max_bytes=self.settings.ledger.max_bytes,
            pending=PendingBatches(self.settings.data_dir / "pending-settles"),
        )

    def close(self) -> None:
        self.address.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(settings: Settings, address: RedisAddress | None = None, *, remembers: bool = False) -> Services:
    """Connect all services. Without an `address`, starts the embedded Valkey if the settings say so.

    A process that `remembers` keeps the file with the newest state of the store up to date. Raises
    `GatewayError` when a file, a secret, a plugin or the store cannot be used.
    """
    security, folder = settings.security, settings.data_dir
    check_ca_file(security)
    opened = opened_secrets(settings)
    catalogue = load_catalogue(settings.plugins.paths)
    address = address or open_redis(settings)
    try:
        disk = SnapshotFile(folder / "snapshot.sqlite")
        file = SeenFile(folder / "store.json", address.mode)
        seen = file.load_newest(disk.meta().get("stores", {}))
        peppers, keys = open_secrets(settings, address, seen, os.urandom)
        known = KnownStore(SecretIds.of(peppers, keys), seen, file.save_soon if remembers else lambda _: None)
        hasher = PepperedHasher(*peppers)
        names = PartNames.of(*hasher.each)
        quarantine, audit_key = settings.admin.subdomain_quarantine, AuditKey.of(hasher)
        store = open_store(address.options, quarantine, known, names, audit_key, address.replicas)
        _look_at(store, address)
    except BaseException:
        address.close()
        raise
    return Services(
        settings=settings,
        clock=SystemClock(),
        catalogue=catalogue,
        store=store,
        hasher=hasher,
        sealer=AesSealer(keys, os.urandom),
        policy=Policy(
            security.allowed_target_networks, _own_listeners(settings, address), security.egress_proxy.proxy
        ),
        address=address,
        known=known,
        disk=disk,
        instance=f"ai-gateway-{secret_id(peppers[0])}",
        opened=opened,
    )


def _look_at(store: ConfigStore, address: RedisAddress) -> None:
    """Log why the store cannot be used. One that does not respond, or is lost, does not prevent the start."""
    try:
        store.ping()
    except StoreDown as error:
        logger.error("The store %s (%s) cannot be used now. %s", address.name, address.mode, error)


def hosts_of(settings: Settings) -> HostRules:
    """How Host headers name tenants under these settings."""
    shared = tuple(host for host in settings.server.shared_hosts if host != ANY_IP)
    return HostRules(settings.server.base_domain, shared, ANY_IP in settings.server.shared_hosts)


def _own_listeners(settings: Settings, address: RedisAddress) -> tuple[tuple[str, int], ...]:
    """The addresses that no rule may target, whatever networks are allowed: the gateway and its store."""
    server = settings.server
    listeners = [
        *((host, server.admin_port) for host in server.admin_host),
        *((host, server.proxy_port) for host in server.proxy_host),
        ("127.0.0.1", server.web_port),
        *((settings.metrics.host, port) for port in settings.metrics.ports),
    ]
    return (*listeners, *addresses_of(address.options))
