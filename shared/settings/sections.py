"""Every setting of the gateway: its name, its reader, its default and its help. Declared nowhere else."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from shared.core.sizes import JSON_PARTS
from shared.model.config import Tier
from shared.settings.declare import section, setting
from shared.settings.tiers import SHIPPED, tiers
from shared.settings.values import (
    Network,
    any_text,
    choice,
    cores,
    domain,
    network,
    path,
    port,
    redis_url,
    seconds,
    several,
    size,
    text,
    whole,
)

#: In `server.shared_hosts`: every IP address that is used as a host name.
ANY_IP = "any_ip"
#: In `server.shared_hosts` as it is written: the value of `server.base_domain`.
BASE_DOMAIN = "base_domain"
#: The values of `server.engine`.
EXPRESS, MITMPROXY = "express", "mitmproxy"
#: More processes would be a slip of the pen, or need a machine that we have not seen.
MOST_WORKERS = 64


def is_loopback(host: str) -> bool:
    """True for localhost and for loopback addresses: what no other machine can reach."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


@dataclass(frozen=True, slots=True)
class Tls:
    """The proxy's own certificate. SIGHUP reads the files again."""

    cert: Path | None = setting(path, None, "PEM file with the certificate and those that sign it.")
    key: Path | None = setting(path, None, "PEM file with the certificate's private key, not encrypted.")

    @property
    def files(self) -> tuple[Path, Path] | None:
        """Certificate and key, None when the proxy speaks plain HTTP."""
        return (self.cert, self.key) if self.cert and self.key else None


@dataclass(frozen=True, slots=True)
class Server:
    """Where the gateway listens."""

    admin_host: str = setting(
        text, "127.0.0.1", "Address of the admin API. Off loopback, admin.token must be set."
    )
    admin_port: int = setting(port, 8080, "Port of the admin API.")
    proxy_host: str = setting(text, "127.0.0.1", "Address of the proxy.")
    proxy_port: int = setting(port, 8081, "Port of the proxy.")
    base_domain: str = setting(domain, "example.com", "Tenants are served at {subdomain}.{base_domain}.")
    shared_hosts: tuple[str, ...] = setting(
        several(text),
        ["localhost", BASE_DOMAIN, ANY_IP],
        "Hosts under which the API key says which tenant is meant. base_domain stands for the setting "
        "above, any_ip for every IP address.",
    )
    web_port: int = setting(port, 8083, "Port of mitmweb under `python run_proxy.py --web`.")
    workers: int | None = setting(
        whole(1, MOST_WORKERS),
        None,
        "Processes of the proxy that serve, 1 to 64. null: one a core. The mitmproxy engine is one process.",
    )
    engine: str = setting(
        choice(EXPRESS, MITMPROXY),
        EXPRESS,
        "The wire of the proxy. express: our own, for production. mitmproxy: its own core, the reference, "
        "without timeouts, drain and TLS.",
    )
    drain_timeout: float = setting(
        seconds, "30s", "Time that open exchanges get to end when the proxy stops. For the express engine."
    )
    tls: Tls = section(Tls, "HTTPS on the proxy's port, by the express engine. Both or none.")

    @property
    def worker_count(self) -> int:
        """How many processes serve."""
        if self.engine == MITMPROXY:
            return 1
        return self.workers or min(cores(), MOST_WORKERS)


@dataclass(frozen=True, slots=True)
class Redis:
    """The store of configuration and counters."""

    mode: str = setting(
        choice("auto", "external"),
        "auto",
        "auto: the server below when it answers; when its host is this machine and nothing answers, an "
        "embedded Valkey that keeps its data in data_dir. external: never an embedded one. A host that is "
        "not this machine always means external.",
    )
    url: str | None = setting(
        redis_url, None, "redis://, rediss:// or unix://; replaces host, port, password and db.", secret=True
    )
    host: str = setting(text, "localhost", "Host of the Redis server.")
    port: int = setting(port, 6379, "Port of the Redis server.")
    password: str = setting(any_text, "", "Password of the Redis server.", secret=True)
    db: int = setting(whole(0), 0, "Number of the database.")

    @property
    def is_local(self) -> bool:
        """True when the server is on this machine. Other names of this machine count as foreign."""
        if self.url is None:
            return is_loopback(self.host)
        parts = urlsplit(self.url)
        return parts.scheme == "unix" or is_loopback(parts.hostname or "localhost")


@dataclass(frozen=True, slots=True)
class Admin:
    """The admin API."""

    token: str | None = setting(
        text,
        None,
        "The platform's key. Also GATEWAY_ADMIN_TOKEN. Without it, calls from this machine count as the "
        "platform's.",
        secret=True,
    )
    subdomain_quarantine: float = setting(
        seconds, "24h", "How long the subdomain of a deleted tenant cannot be taken."
    )


@dataclass(frozen=True, slots=True)
class Demo:
    """The upstream that run_local.sh starts."""

    port: int = setting(port, 8082, "Port of the demo upstream.")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The longest waits, in seconds. The first four are for clients, the others for upstreams."""

    head: float = setting(seconds, "10s", "For the whole head of a request.")
    body_grace: float = setting(seconds, "10s", "After it a request body must come at body_rate.")
    body_rate: int = setting(size, "1KB", "Slowest request body, a second, counted from its start.")
    keep_alive: float = setting(seconds, "75s", "For the next request on an open connection.")
    connect: float = setting(seconds, "5s", "For a connection to the upstream, TLS included.")
    first_byte: float = setting(seconds, "300s", "For the head of the answer, once the request is sent.")
    idle: float = setting(seconds, "300s", "For the next bytes of an answer.")
    total: float | None = setting(
        seconds, None, "For the whole exchange with the upstream. null: no such limit."
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest messages, in bytes, the most at a time, and the longest waits."""

    request_body: int = setting(size, "20MB", "Largest request body. 1 KB is 1024 bytes.")
    response_body: int = setting(size, "20MB", "Largest answer that is buffered for plugins.")
    public_body: int = setting(size, "64KB", "Largest request body of a caller without an API key.")
    json_parts: int = setting(
        whole(1),
        JSON_PARTS,
        "Most texts, names, arrays and objects of a JSON body that plugins read; five numbers count as one. "
        "Much more than the default keeps a worker's other requests waiting.",
    )
    head: int = setting(size, "32KB", "Largest head of a request: request line and headers.")
    fields: int = setting(whole(1), 100, "Most header fields of a request.")
    connections: int = setting(
        whole(1), 10000, "Most client connections of a worker. Those beyond are answered 503."
    )
    in_flight: int = setting(
        whole(1), 5000, "Most requests of a worker at a time. Those beyond are answered 503."
    )
    timeouts: Timeouts = section(
        Timeouts, "The longest waits, on the express engine. A rule may set its own for upstreams."
    )


@dataclass(frozen=True, slots=True)
class Cache:
    """The configuration that each proxy process holds in memory. Durations are in seconds."""

    config_ttl: float = setting(seconds, "1s", "Longest time between two looks for changes.")
    cleanup_interval: float = setting(seconds, "60s", "Time between two sweeps of what is unused.")
    max_idle_time: float = setting(seconds, "1h", "What was not used for so long is dropped.")
    max_entries: int = setting(whole(1), 10000, "Most tenants held at a time.")


@dataclass(frozen=True, slots=True)
class Security:
    """Which targets may be called, and the files with secrets."""

    allowed_target_networks: tuple[Network, ...] = setting(
        several(network),
        [],
        "Networks that targets may be in although they are private, such as [10.1.0.0/16].",
    )
    ca_file: Path | None = setting(
        path, None, "PEM file with certificate authorities that are trusted beside the public ones."
    )
    pepper_file: Path | None = setting(
        path, None, "Secret for hashing API keys. Made in data_dir when not set."
    )
    key_file: Path | None = setting(
        path, None, "Key for encrypting stored secrets. Made in data_dir when not set."
    )


@dataclass(frozen=True, slots=True)
class Plugins:
    """Where plugins come from, and what runs them."""

    paths: tuple[Path, ...] = setting(several(path), [], "Folders with plugins of your own.")
    threads: int = setting(whole(1, 1000), 32, "Threads for plugins that wait.")


@dataclass(frozen=True, slots=True)
class Log:
    """The log, on standard error."""

    level: str = setting(
        choice("debug", "info", "warning", "error"), "info", "debug, info, warning or error."
    )
    format: str = setting(choice("json"), "json", "json: one object a line.")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that an operator can set. The names are those of config.yaml."""

    server: Server = section(Server, "Where the gateway listens.")
    redis: Redis = section(Redis, "The store of configuration and counters.")
    admin: Admin = section(Admin, "The admin API.")
    data_dir: Path = setting(path, "./data", "Folder of the embedded store and of generated secrets.")
    demo: Demo = section(Demo, "The upstream that run_local.sh starts.")
    trusted_proxies: tuple[Network, ...] = setting(
        several(network), [], "Networks of proxies in front of the gateway whose X-Forwarded-For is believed."
    )
    limits: Limits = section(Limits, "The largest messages, the most at a time, and the longest waits.")
    cache: Cache = section(Cache, "The configuration that each proxy process holds in memory.")
    security: Security = section(Security, "Which targets may be called, and the files with secrets.")
    plugins: Plugins = section(Plugins, "Where plugins come from, and what runs them.")
    log: Log = section(Log, "The log, on standard error.")
    tiers: Mapping[str, Tier] = setting(
        tiers,
        SHIPPED,
        "Ceilings that a tenant cannot lift. limits count all requests of a tenant, concurrent is the number "
        "at a time in each worker, max_rules and max_keys cap what is stored; null is no ceiling. A shipped "
        "tier keeps what you do not name.",
    )
