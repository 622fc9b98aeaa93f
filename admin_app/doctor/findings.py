"""Findings about the settings and about the status of the platform: one finding per check."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from shared.redis_client.server import Server
from shared.settings import Settings
from shared.settings.redis import CLUSTER, SENTINEL, Redis
from shared.workers.heartbeat import Heartbeat, Plane, WorkerState
from shared.workers.status import Status

#: The longest good round trip to Redis, and the largest good offset between two clocks, in seconds.
MAX_ROUND_TRIP: Final = 0.005
MAX_OFFSET: Final = 1.0
_DEFAULT_USER: Final = "default"  # of Redis


class Level(StrEnum):
    """How urgent a finding is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Finding(NamedTuple):
    """The result of a check in a sentence, and what to do about it; `fix` is None if all is well."""

    check: str
    level: Level
    detail: str
    fix: str | None = None


def of_settings(settings: Settings) -> Iterator[Finding]:
    """Findings about the security of the deployment, by its settings: docs/how-to/hardening.md."""
    yield from _of_admin(settings)
    yield from _of_proxy(settings)
    yield from _of_redis(settings.redis)
    if networks := settings.security.allowed_target_networks:
        shown = ", ".join(map(str, networks))
        fix = "Leave security.allowed_target_networks empty, or open only networks that you mean to."
        yield Finding("targets", Level.WARNING, f"Rules may call these private networks: {shown}.", fix)
    else:
        yield Finding("targets", Level.OK, "Rules may call public addresses only.")
    named = [settings.security.pepper_file, settings.security.key_file]
    if None in named:
        fix = "Keep copies of both, and name them by security.pepper_file and security.key_file."
        detail = f"The pepper or the encryption key was generated, and is in {settings.data_dir} only."
        yield Finding("secrets", Level.WARNING, detail, fix)
    else:
        yield Finding("secrets", Level.OK, "The pepper and the encryption key are files of yours.")


def _of_redis(redis: Redis) -> Iterator[Finding]:
    url = urlsplit(redis.url or "")
    if redis.is_local:
        yield Finding("redis.access", Level.OK, "Redis is on this machine.")
        return
    if not (redis.password or url.password):
        fix = "Set a password or an ACL user in Redis, and redis.password or redis.url."
        yield Finding("redis.access", Level.ERROR, "Redis is on another machine and needs no password.", fix)
    elif not redis.is_encrypted:
        fix = "Set redis.tls.ca, or redis.url to a rediss:// address."
        yield Finding("redis.access", Level.WARNING, "The connection to Redis is not encrypted.", fix)
    else:
        yield Finding("redis.access", Level.OK, "Redis needs a password, and the connection is encrypted.")
    if (redis.username or url.username or _DEFAULT_USER) == _DEFAULT_USER:
        fix = "Give each program a user of its own: see deploy/redis/users.acl."
        yield Finding("redis.user", Level.WARNING, "The user default of Redis may do everything.", fix)
    else:
        yield Finding("redis.user", Level.OK, "The admin API is not Redis' user default.")


def of_rights(spare: Sequence[str]) -> Iterator[Finding]:
    """Whether the user of the admin API may do more than it needs; see `RightsReader`."""
    if spare:
        detail = f"The user of the admin API may do more than it needs: {', '.join(spare)}."
        fix = "Give it the rules of gateway-admin in deploy/redis/users.acl, and the proxy those of its own."
        yield Finding("redis.rights", Level.WARNING, detail, fix)
        return
    detail = (
        "The user of the admin API may not manage users, read settings, run any script or use keys of other "
        "programs. Redis does not tell it its rules, so nothing else was compared."
    )
    yield Finding("redis.rights", Level.OK, detail)


def _of_admin(settings: Settings) -> Iterator[Finding]:
    if settings.admin.token is None:
        fix = "Set GATEWAY_ADMIN_TOKEN."
        detail = "There is no platform key: each program on this machine has all rights."
        yield Finding("admin.token", Level.WARNING, detail, fix)
    else:
        yield Finding("admin.token", Level.OK, "The admin API needs a key.")
    if settings.server.is_admin_local:
        yield Finding("admin.listen", Level.OK, "Only this machine reaches the admin API.")
    else:
        fix = "Set server.admin_host to loopback or a private address, with a proxy for TLS in front."
        detail = "Other machines reach the admin API, which has no TLS of its own."
        yield Finding("admin.listen", Level.WARNING, detail, fix)


def _of_proxy(settings: Settings) -> Iterator[Finding]:
    server = settings.server
    if server.is_proxy_local or server.tls.files:
        yield Finding("proxy.tls", Level.OK, "The proxy has TLS, or only this machine reaches it.")
    elif settings.trusted_proxies:
        yield Finding("proxy.tls", Level.OK, "Balancers in trusted_proxies stand before the proxy.")
    else:
        fix = "Set server.tls.cert and server.tls.key, or name the balancer in trusted_proxies."
        yield Finding("proxy.tls", Level.ERROR, "Keys reach the proxy without encryption.", fix)
    wide = [str(one) for one in settings.trusted_proxies if one.prefixlen == 0]
    if wide:
        fix = "Name the networks of your balancers only."
        yield Finding("proxy.clients", Level.ERROR, "Any client may state any address of its own.", fix)


def of_status(status: Status, now: float) -> Iterator[Finding]:
    """Findings about the store and the workers of all machines. `now` is the time of this machine."""
    milliseconds = status.round_trip * 1000
    if status.round_trip > MAX_ROUND_TRIP:
        fix = "Run Redis in the same network as the gateway, and look at its load."
        yield Finding("redis.latency", Level.WARNING, f"Redis responds in {milliseconds:.1f} ms.", fix)
    else:
        yield Finding("redis.latency", Level.OK, f"Redis responds in {milliseconds:.1f} ms.")
    yield from _of_server(status.server, now)
    if status.faults:
        fix = "See GET /readyz, and roll these tenants back."
        yield Finding("store.faults", Level.ERROR, f"{status.faults} tenants cannot be read.", fix)
    revision = status.state.revision if status.state else 0
    yield from _of_fleet(status.fleet.heartbeats, revision, now)


def _of_server(server: Server | None, now: float) -> Iterator[Finding]:
    if server is None:
        fix = "Allow the command INFO to the ACL user of the gateway."
        yield Finding("redis.info", Level.WARNING, "Redis does not tell its state.", fix)
        return
    warnings = server.warnings()
    for one in warnings:
        yield Finding(f"redis.{one.part.replace('/', '.')}", Level.WARNING, one.reason, one.fix)
    if not warnings:
        yield Finding("redis.state", Level.OK, f"{server.name} keeps each change.")
    if server.time is not None:
        offset = abs(server.time - now)
        detail = f"The clock of Redis differs by {offset:.1f} s from this one."
        if offset > MAX_OFFSET:
            fix = "Synchronize the clocks of all machines, by NTP."
            yield Finding("clock", Level.WARNING, detail, fix)
        else:
            yield Finding("clock", Level.OK, detail)


def of_replicas(redis: Redis, server: Server | None) -> Iterator[Finding]:
    """Whether a failover may lose changes, and whether replicas can have them."""
    wanted = redis.min_replicas
    if not wanted:
        if redis.mode in (SENTINEL, CLUSTER):
            fix = "Set redis.min_replicas to 1, and run two replicas."
            yield Finding("redis.replicas", Level.WARNING, "A failover may lose the latest changes.", fix)
        return
    have = server.replicas if server is not None else 0
    detail = f"Redis has {have} replicas, and redis.min_replicas is {wanted}."
    if have < wanted:
        fix = "Start replicas, or lower redis.min_replicas: changes get 503 until then."
        yield Finding("redis.replicas", Level.ERROR, detail, fix)
    elif have == wanted:
        fix = "Start one more: without any of these, changes get 503."
        yield Finding("redis.replicas", Level.WARNING, detail, fix)
    else:
        yield Finding("redis.replicas", Level.OK, detail)


def _of_fleet(heartbeats: Sequence[Heartbeat], revision: int, now: float) -> Iterator[Finding]:
    proxies = [one for one in heartbeats if one.plane is Plane.PROXY]
    if not proxies:
        fix = "Start the proxy: python run_proxy.py"
        yield Finding("workers", Level.ERROR, "No worker of the proxy runs.", fix)
    states = [(one, one.state(revision, now)) for one in heartbeats]
    for state, fix in (
        (WorkerState.BEHIND, "Read the logs of these workers: they lack changes of the configuration."),
        (WorkerState.DEGRADED, "Read the logs of these workers."),
    ):
        names = sorted(f"{one.machine} {one.pid}" for one, found in states if found is state)
        if names:
            yield Finding(
                f"workers.{state}", Level.ERROR, f"{len(names)} workers: {', '.join(names[:5])}.", fix
            )
    versions = sorted({one.version for one in heartbeats})
    if len(versions) > 1:
        fix = "Finish the upgrade: docs/how-to/upgrading.md"
        yield Finding("versions", Level.WARNING, f"Workers run {', '.join(versions)}.", fix)
    elif proxies:
        yield Finding("workers", Level.OK, f"{len(heartbeats)} workers run version {versions[0]}.")
