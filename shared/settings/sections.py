"""Every setting of the gateway: its name, its reader, its default and its help. Declared nowhere else."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from shared.core.model import Tier
from shared.settings.declare import section, setting
from shared.settings.tiers import SHIPPED, tiers
from shared.settings.values import (
    Network,
    any_text,
    choice,
    domain,
    later,
    network,
    one_worker,
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


def is_loopback(host: str) -> bool:
    """True for localhost and for loopback addresses: what no other machine can reach."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


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
    workers: int = setting(one_worker, 1, "Processes of the proxy. More than 1 is not available yet.")
    engine: str = setting(
        choice("mitmproxy", later=["express"]),
        "mitmproxy",
        "The proxy's engine: mitmproxy. (express is not available yet.)",
    )
    drain_timeout: float | None = setting(
        later("the mitmproxy engine does not drain"),
        None,
        "Time that open exchanges get when the proxy stops. Not available yet.",
    )
    tls: Mapping[str, str] | None = setting(
        later("the proxy speaks plain HTTP; put a TLS terminator in front of it"),
        None,
        "Certificate and key of the proxy. Not available yet.",
    )


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
class Limits:
    """The largest messages, in bytes, and the longest waits."""

    request_body: int = setting(size, "20MB", "Largest request body. 1 KB is 1024 bytes.")
    response_body: int = setting(size, "20MB", "Largest answer that is buffered for plugins.")
    public_body: int = setting(size, "64KB", "Largest request body of a caller without an API key.")
    head: int = setting(size, "32KB", "Largest head of a request: request line and headers.")
    fields: int = setting(whole(1), 100, "Most header fields of a request.")
    timeouts: Mapping[str, float] | None = setting(
        later("the mitmproxy engine enforces none"), None, "Longest waits. Not available yet."
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
    limits: Limits = section(Limits, "The largest messages and the longest waits.")
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
