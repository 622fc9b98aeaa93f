"""Checks that involve several settings."""

from shared.settings.redis import CLUSTER, DISK, SENTINEL, Redis
from shared.settings.sections import MITMPROXY, PROXY_V2, Limits, Settings
from shared.settings.sources import SettingsError, Written
from shared.settings.values import is_loopback


def check(settings: Settings, written: Written) -> None:
    """Raise `SettingsError` when settings contradict each other."""
    _check_reach(settings, written)
    _check_redis(settings.redis, written)
    _check_engine(settings, written)
    _check_balancers(settings, written)
    _check_tls(settings, written)
    _check_ports(settings, written)
    _check_sizes(settings, written)


def _reject(written: Written, *steps: str, why: str) -> None:
    raise SettingsError(f"{written.origin(steps)}: {'.'.join(steps)}: {why}")


def _check_reach(settings: Settings, written: Written) -> None:
    server, security = settings.server, settings.security
    if not server.is_admin_local and settings.admin.token is None:
        _reject(
            written,
            *("server", "admin_host"),
            why=f"other machines could reach the admin API at {', '.join(server.admin_host)}; set "
            "admin.token (GATEWAY_ADMIN_TOKEN) or use 127.0.0.1",
        )
    metrics = settings.metrics
    if metrics.ports and metrics.token is None and not is_loopback(metrics.host):
        _reject(
            written,
            *("metrics", "host"),
            why=f"other machines could read the metrics at {metrics.host}; set metrics.token, or use "
            "127.0.0.1",
        )
    if not settings.redis.is_local and not (security.pepper_file and security.key_file):
        _reject(
            written,
            *("redis", _place_of_redis(settings.redis)),
            why="gateways that share a Redis server need the same secrets; set security.pepper_file and "
            "security.key_file to shared files",
        )


def _place_of_redis(redis: Redis) -> str:
    """The setting that names the servers."""
    named = {SENTINEL: "sentinels", CLUSTER: "nodes"}
    return named.get(redis.mode, "url" if redis.url else "host")


def _check_redis(redis: Redis, written: Written) -> None:
    if redis.mode in (SENTINEL, CLUSTER):
        if redis.url:
            _reject(written, "redis", "url", why=f"it is not for redis.mode {redis.mode}; remove it")
        if not getattr(redis, place := _place_of_redis(redis)):
            _reject(written, "redis", "mode", why=f"set redis.{place} to the addresses of servers, too")
    if redis.mode == CLUSTER and redis.db:
        _reject(written, "redis", "db", why="a Cluster has only the database 0; remove this setting")
    for name, other in (("cert", "key"), ("key", "cert")):
        if getattr(redis.tls, name) and not getattr(redis.tls, other):
            _reject(written, "redis", "tls", name, why=f"set redis.tls.{other}, too")
    if redis.confirm == DISK and not redis.min_replicas:
        _reject(written, "redis", "confirm", why="set redis.min_replicas to at least 1, too")


def _check_engine(settings: Settings, written: Written) -> None:
    server = settings.server
    if server.engine != MITMPROXY:
        return
    if server.workers not in (None, 1):
        _reject(
            written,
            *("server", "workers"),
            why="the mitmproxy engine has one process; remove this setting, or set server.engine to express",
        )
    if settings.security.egress_proxy.url:
        _reject(
            written,
            *("security", "egress_proxy", "url"),
            why="the mitmproxy engine calls upstreams directly; remove this setting, or set server.engine to "
            "express",
        )
    if server.proxy_protocol == PROXY_V2:
        _reject(
            written,
            *("server", "proxy_protocol"),
            why="the mitmproxy engine does not read the PROXY protocol; remove this setting, or set "
            "server.engine to express",
        )
    for name in ("cert", "key"):
        if getattr(server.tls, name):
            _reject(
                written,
                *("server", "tls", name),
                why="the mitmproxy engine has no TLS; remove this setting, or set server.engine to express",
            )


def _check_balancers(settings: Settings, written: Written) -> None:
    if settings.server.proxy_protocol == PROXY_V2 and not settings.trusted_proxies:
        _reject(
            written,
            *("server", "proxy_protocol"),
            why="no load balancer may name its clients; set trusted_proxies to the load balancer's network",
        )


def _check_tls(settings: Settings, written: Written) -> None:
    tls = settings.server.tls
    if tls.cert and not tls.key:
        _reject(written, "server", "tls", "cert", why="set server.tls.key to the private key, too")
    if tls.key and not tls.cert:
        _reject(written, "server", "tls", "key", why="set server.tls.cert to the certificate, too")


def _check_ports(settings: Settings, written: Written) -> None:
    server = settings.server
    ports: dict[int, tuple[str, str]] = {}
    for steps, port in (
        (("server", "admin_port"), server.admin_port),
        (("server", "proxy_port"), server.proxy_port),
        (("server", "web_port"), server.web_port),
        (("demo", "port"), settings.demo.port),
        (("demo", "second_port"), settings.demo.second_port),
        (("demo", "control_port"), settings.demo.control_port),
        (("metrics", "port"), settings.metrics.port),
        (("metrics", "admin_api_port"), settings.metrics.admin_api_port),
    ):
        if not port:
            continue
        if other := ports.get(port):
            _reject(written, *steps, why=f"{'.'.join(other)} has the same port {port}; choose another")
        ports[port] = steps


def _check_sizes(settings: Settings, written: Written) -> None:
    limits, defaults = settings.limits, Limits()
    for name in ("request_body", "response_body"):
        if getattr(limits, name) <= getattr(limits, f"max_{name}"):
            continue
        if getattr(limits, name) == getattr(defaults, name):
            _reject(written, "limits", f"max_{name}", why=f"limits.{name} exceeds it; lower that, too")
        _reject(written, "limits", name, why=f"it exceeds limits.max_{name}; raise that, too")
