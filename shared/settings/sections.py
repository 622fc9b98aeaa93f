"""Every setting of the gateway, declared once: its name, parser, default and help text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shared.core.addresses import Network
from shared.core.sizes import JSON_PARTS
from shared.model.config import Tier
from shared.net.egress import EgressProxy, parse_egress_proxy
from shared.settings.declare import section, setting
from shared.settings.in_force import SettingInForce
from shared.settings.observe import Ledger, Log, Metrics, Otel, Records, Trace
from shared.settings.redis import Redis
from shared.settings.tiers import SHIPPED, tiers
from shared.settings.values import (
    choice,
    cores,
    domain,
    egress_url,
    host,
    host_or_network,
    hosts,
    is_loopback,
    network,
    opened_variable,
    path,
    port_number,
    public_url,
    seconds,
    several,
    size,
    text,
    whole,
)

#: In `server.shared_hosts`: every IP address.
ANY_IP = "any_ip"
#: In `server.shared_hosts`, as written: the value of `server.base_domain`.
BASE_DOMAIN = "base_domain"
#: The values of `server.engine`.
EXPRESS, MITMPROXY = "express", "mitmproxy"
#: The value of `server.proxy_protocol` that turns it on.
PROXY_V2 = "v2"
#: A larger number is probably a mistake.
MAX_WORKERS = 64


@dataclass(frozen=True, slots=True)
class Tls:
    """The proxy's certificate."""

    cert: Path | None = setting(path, None, "PEM file with the certificate chain. SIGHUP reloads both files.")
    key: Path | None = setting(path, None, "PEM file with the private key, not encrypted.")

    @property
    def files(self) -> tuple[Path, Path] | None:
        """Certificate and key; None without TLS."""
        return (self.cert, self.key) if self.cert and self.key else None


@dataclass(frozen=True, slots=True)
class Server:
    """The listeners and the proxy."""

    admin_host: tuple[str, ...] = setting(
        hosts,
        "127.0.0.1",
        "Listen address of the admin API, or a list of them. Off loopback, admin.token is required.",
    )
    admin_port: int = setting(port_number, 8080, "Port of the admin API.")
    admin_workers: int = setting(whole(1, MAX_WORKERS), 2, "Worker processes of the admin API, 1 to 64.")
    proxy_host: tuple[str, ...] = setting(
        hosts,
        "127.0.0.1",
        'Listen address of the proxy, or a list of them: ["10.0.0.1", "::1"]. 0.0.0.0 stands for all IPv4 '
        'addresses, "::" for all IPv6 and IPv4 addresses.',
    )
    proxy_port: int = setting(port_number, 8081, "Port of the proxy.")
    base_domain: str = setting(domain, "example.com", "Tenants are served at {subdomain}.{base_domain}.")
    public_url: str | None = setting(
        public_url,
        None,
        "Address at which clients call the proxy, for a load balancer in front of it: "
        "https://{subdomain}.example.com. null: that of the proxy itself. Examples of calls show it.",
    )
    shared_hosts: tuple[str, ...] = setting(
        several(host),
        ["localhost", BASE_DOMAIN, ANY_IP],
        "Hosts on which the API key selects the tenant; add names of containers, such as gateway or "
        "host.docker.internal. base_domain: the setting above. any_ip: every IP address.",
    )
    web_port: int = setting(port_number, 8083, "Port of mitmweb, which `python run_proxy.py --web` starts.")
    workers: int | None = setting(
        whole(1, MAX_WORKERS),
        None,
        "Worker processes of the proxy, 1 to 64. null: one per CPU core. The mitmproxy engine has one.",
    )
    engine: str = setting(
        choice(EXPRESS, MITMPROXY),
        EXPRESS,
        "HTTP engine of the proxy. express: for production. mitmproxy: mitmproxy's own core, without "
        "timeouts, drain and TLS.",
    )
    drain_timeout: float = setting(
        seconds, "30s", "Time for open requests to complete when the proxy stops. Express engine only."
    )
    proxy_protocol: str = setting(
        choice("off", PROXY_V2),
        "off",
        "v2: each connection begins with a header of the PROXY protocol v2, in which a TCP load balancer of "
        "trusted_proxies names its client. Other connections are rejected. Express engine only.",
    )
    tls: Tls = section(Tls, "HTTPS on the proxy's port. Express engine only. Set both files or none.")

    @property
    def is_admin_local(self) -> bool:
        """True when no other machine can reach the admin API."""
        return all(is_loopback(host) for host in self.admin_host)

    @property
    def is_proxy_local(self) -> bool:
        """True when no other machine can reach the proxy."""
        return all(is_loopback(host) for host in self.proxy_host)

    @property
    def worker_count(self) -> int:
        """The number of worker processes."""
        if self.engine == MITMPROXY:
            return 1
        return self.workers or min(cores(), MAX_WORKERS)


@dataclass(frozen=True, slots=True)
class Admin:
    """The admin API."""

    token: str | None = setting(
        text,
        None,
        "The platform key, which may call every operation; also the variable GATEWAY_ADMIN_TOKEN. null: "
        "requests from this machine need no key.",
        secret=True,
    )
    subdomain_quarantine: float = setting(
        seconds, "24h", "Time before the subdomain of a deleted tenant can be used again."
    )
    max_plan_body: int = setting(size, "32MB", "Maximum size of a file that is planned.")
    changes_per_minute: int | None = setting(
        whole(1),
        600,
        "Maximum changes per minute with the keys of one tenant. Further ones get 429. null: no maximum. The "
        "platform has none.",
    )


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo upstreams of run_local.sh."""

    port: int = setting(port_number, 8082, "Port of the demo upstream.")
    second_port: int = setting(
        port_number, 8085, "Port of a second demo upstream, which can be made to fail."
    )
    control_port: int = setting(port_number, 8086, "Port on which the second one is made to fail.")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts in seconds: the first four for clients, the others for upstreams."""

    head: float = setting(seconds, "10s", "Maximum time to receive the head of a request.")
    body_grace: float = setting(seconds, "10s", "Time before body_rate applies.")
    body_rate: int = setting(
        size,
        "1KB",
        "Minimum request body rate in bytes per second. Clients must read responses at this rate, too.",
    )
    keep_alive: float = setting(seconds, "75s", "Maximum time between two requests on a connection.")
    connect: float = setting(seconds, "5s", "Maximum time to connect to the upstream, TLS included.")
    first_byte: float = setting(
        seconds, "600s", "Maximum time from the end of the request to the head of the response."
    )
    idle: float = setting(seconds, "300s", "Maximum time between two reads of the response body.")
    total: float | None = setting(
        seconds, None, "Maximum time of the exchange with the upstream. null: none."
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """Maximum sizes in bytes, maximum concurrency, and timeouts."""

    request_body: int = setting(
        size, "50MB", "Maximum size of a request body, unless its rule has another. 1 KB is 1024 bytes."
    )
    response_body: int = setting(
        size,
        "50MB",
        "Maximum size of a response body that plugins read as a whole, unless its rule has another.",
    )
    max_request_body: int = setting(size, "1GB", "Maximum request_body of a rule.")
    max_response_body: int = setting(size, "200MB", "Maximum response_body of a rule.")
    buffered_bytes: int = setting(
        size,
        "512MB",
        "Maximum bytes of the bodies that a worker holds as a whole, because plugins read them. A tenant may "
        "use half of it. Above it, requests get 503. Bodies that no plugin reads do not count.",
    )
    public_body: int = setting(size, "64KB", "Maximum size of a request body without an API key.")
    json_parts: int = setting(
        whole(1),
        JSON_PARTS,
        "Maximum number of strings, names, arrays and objects in a JSON body that plugins read; five "
        "numbers count as one. A much higher value lets one body delay all requests of its worker.",
    )
    head: int = setting(size, "32KB", "Maximum size of a request head (request line and headers).")
    fields: int = setting(whole(1), 100, "Maximum number of header fields in a request.")
    connections: int = setting(
        whole(1), 10000, "Maximum client connections per worker. Further ones get 503."
    )
    in_flight: int = setting(whole(1), 5000, "Maximum concurrent requests per worker. Further ones get 503.")
    timeouts: Timeouts = section(
        Timeouts, "Timeouts of the express engine. Rules can override connect, first_byte, idle and total."
    )


@dataclass(frozen=True, slots=True)
class Cache:
    """The cache of each worker. Durations are in seconds."""

    config_ttl: float = setting(
        seconds, "1s", "Time between two checks for changes, which the workers of all machines share."
    )
    cleanup_interval: float = setting(
        seconds, "60s", "Time between two removals of unused tenants and counters."
    )
    max_idle_time: float = setting(
        seconds, "1h", "A tenant or counter that is unused for this time is removed."
    )
    max_entries: int = setting(whole(1), 10000, "Maximum number of cached tenants, and of counters.")


@dataclass(frozen=True, slots=True)
class Egress:
    """The proxy of outgoing calls."""

    url: str | None = setting(
        egress_url,
        None,
        "http://host:port of a proxy that opens tunnels with CONNECT, with user:password@ if it asks for "
        "them. null: direct connections. Express engine only. HTTPS_PROXY is not used.",
        secret=True,
    )
    no_proxy: tuple[str | Network, ...] = setting(
        several(host_or_network),
        [],
        "Names, with all names below them, and networks that are called directly, such as "
        "[models.internal, 10.0.0.0/8].",
    )
    resolve: str = setting(
        choice("here", "proxy"),
        "here",
        "here: the gateway resolves names, checks the addresses, and asks the proxy for a checked one. "
        "proxy: the proxy resolves names, and must keep them from leading to private addresses.",
    )

    @property
    def proxy(self) -> EgressProxy | None:
        """The proxy; None without one."""
        if self.url is None:
            return None
        return parse_egress_proxy(self.url, no_proxy=self.no_proxy, resolves=self.resolve == "proxy")


@dataclass(frozen=True, slots=True)
class Security:
    """Allowed targets, and the files with secrets."""

    allowed_target_networks: tuple[Network, ...] = setting(
        several(network),
        [],
        "Private networks that rules and plugins may call, such as [10.1.0.0/16].",
    )
    ca_file: Path | None = setting(
        path,
        None,
        "PEM file with certificate authorities to trust in addition to the public ones, for upstreams, "
        "validators and Redis.",
    )
    pepper_file: Path | None = setting(
        path,
        None,
        "File with the secret that hashes API keys, the newest line first. null: generated in data_dir.",
    )
    key_file: Path | None = setting(
        path, None, "File with the key that encrypts stored secrets. null: generated in data_dir."
    )
    egress_proxy: Egress = section(Egress, "The proxy through which calls of upstreams and services leave.")


@dataclass(frozen=True, slots=True)
class Secrets:
    """Credentials of the platform's providers outside the store."""

    env: tuple[str, ...] = setting(
        several(opened_variable),
        [],
        "Variables with credentials, such as [OPENAI_API_KEY]. Keys of the platform's providers may name "
        'them: {"env": "OPENAI_API_KEY"}.',
    )
    folder: Path | None = setting(
        path,
        None,
        "Folder of files with credentials, such as /run/secrets. Keys of the platform's providers may name "
        'its files: {"file": "openai"}. A link must lead to a file in the folder. SIGHUP reads them again.',
    )


@dataclass(frozen=True, slots=True)
class Plugins:
    """The sources and threads of plugins."""

    paths: tuple[Path, ...] = setting(several(path), [], "Folders with your own plugins.")
    threads: int = setting(whole(1, 1000), 32, "Threads per worker for plugins that block.")


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, with the names of config.yaml."""

    server: Server = section(Server, "The listeners and the proxy.")
    redis: Redis = section(Redis, "Redis, which stores the configuration and the counters of limits.")
    admin: Admin = section(Admin, "The admin API.")
    data_dir: Path = setting(path, "./data", "Folder of the embedded Valkey's data and of generated secrets.")
    demo: Demo = section(Demo, "The demo upstreams that run_local.sh starts.")
    trusted_proxies: tuple[Network, ...] = setting(
        several(network),
        [],
        "Networks of proxies in front of the gateway. Only they may name clients: by X-Forwarded-For, or by "
        "the PROXY protocol.",
    )
    limits: Limits = section(Limits, "Maximum sizes, maximum concurrency, and timeouts.")
    cache: Cache = section(Cache, "The configuration that each worker caches.")
    ledger: Ledger = section(Ledger, "The ledger, which has a row for each call of a model.")
    records: Records = section(Records, "The records of requests, which the admin API shows.")
    security: Security = section(Security, "Allowed targets, and files with secrets.")
    secrets: Secrets = section(
        Secrets, "Credentials of the platform's providers that are not in the store. They are read at start."
    )
    plugins: Plugins = section(Plugins, "Plugins.")
    log: Log = section(
        Log, "The log, on standard output. docs/reference/logs.md lists the fields of its lines."
    )
    metrics: Metrics = section(
        Metrics, "Metrics for Prometheus, at /metrics. docs/reference/metrics.md lists them."
    )
    trace: Trace = section(Trace, "The place of requests in traces (W3C Trace Context).")
    otel: Otel = section(
        Otel, "Spans for an OTLP collector, as docs/how-to/tracing.md shows. They need requirements-otel.txt."
    )
    tiers: Mapping[str, Tier] = setting(
        tiers,
        SHIPPED,
        "Ceilings of tenants, by tier. limits: as in rate_limiter, per tenant. concurrent: requests per "
        "worker. max_targets: per rule or model; other maxima: stored objects. null: unlimited. budgets: "
        "those of each tenant. Keys that a shipped tier omits keep their defaults.",
    )
    #: All of them as they were read, with their origins.
    in_force: Sequence[SettingInForce] = field(default=(), repr=False, compare=False)
