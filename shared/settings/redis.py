"""The settings of Redis: one server, a primary that sentinels name, or a Cluster."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from shared.settings.declare import section, setting
from shared.settings.values import (
    NODE,
    any_text,
    choice,
    is_loopback,
    named,
    node,
    path,
    port_number,
    redis_url,
    seconds,
    several,
    text,
    whole,
)

#: The values of `redis.mode`.
AUTO, EXTERNAL, SENTINEL, CLUSTER = "auto", "external", "sentinel", "cluster"
#: The values of `redis.scripts`.
EVALSHA, EVAL = "evalsha", "eval"
#: The values of `redis.confirm`.
MEMORY, DISK = "memory", "disk"


@dataclass(frozen=True, slots=True)
class RedisTls:
    """TLS to Redis."""

    ca: Path | None = setting(path, None, "PEM file with the authority of the servers' certificates.")
    cert: Path | None = setting(
        path, None, "PEM file with the gateway's certificate, if servers ask for one."
    )
    key: Path | None = setting(path, None, "PEM file with the private key of cert, not encrypted.")


@dataclass(frozen=True, slots=True)
class Redis:
    """The Redis server, or several of them."""

    mode: str = setting(
        choice(AUTO, EXTERNAL, SENTINEL, CLUSTER),
        AUTO,
        "auto: use the server below; if its host is this machine and nothing responds, an embedded Valkey "
        "in data_dir. external: only the server below. sentinel: the primary that the sentinels name. "
        "cluster: a Cluster.",
    )
    url: str | None = setting(
        redis_url,
        None,
        "redis://, rediss:// or unix:// URL, instead of host, port, username, password and db. Not for "
        "sentinel and cluster.",
        secret=True,
    )
    host: str = setting(text, "localhost", "Host of the Redis server.")
    port: int = setting(port_number, 6379, "Port of the Redis server.")
    username: str = setting(any_text, "", "User of the Redis servers, by their ACL. Empty: the default user.")
    password: str = setting(any_text, "", "Password of the Redis servers.", secret=True)
    db: int = setting(whole(0), 0, "Database number. A Cluster has only 0.")
    sentinels: tuple[str, ...] = setting(
        several(node), [], "Sentinels as host:port, for the mode sentinel: at least three, on three machines."
    )
    sentinel_master: str = setting(text, "gateway", "Name by which the sentinels know the primary.")
    sentinel_password: str = setting(any_text, "", "Password of the sentinels.", secret=True)
    nodes: tuple[str, ...] = setting(
        several(node),
        [],
        "Some nodes of the Cluster as host:port, for the mode cluster.",
    )
    tls: RedisTls = section(
        RedisTls, "TLS to all of these servers. It is on if one of the files is set, or the URL is rediss://."
    )
    min_replicas: int = setting(
        whole(0, 10),
        0,
        "Replicas that must have a change of the configuration, and its entry in the audit log. If fewer "
        "have it in time, the admin API responds with 503 not_replicated.",
    )
    wait: float = setting(seconds, "100ms", "Time for the replicas to have a change.")
    confirm: str = setting(
        choice(MEMORY, DISK),
        MEMORY,
        "memory: a replica has a change when it has received it. disk: when it is on its disk and on the "
        "primary's, for which wait must be over a second with appendfsync everysec.",
    )
    scripts: str = setting(
        choice(EVALSHA, EVAL),
        EVALSHA,
        "evalsha: send scripts by their digest. eval: send them as a whole, to a server that takes no other "
        "ones. A server that says so at the start gets eval.",
    )
    address_map: Mapping[str, str] = setting(
        named(NODE, node, '{"172.17.0.2:6379": "redis-1.internal:6379"}'),
        {},
        "Reachable addresses of servers that announce others, as in Docker or behind NAT, or that have their "
        "names in certificates: announced host:port to reachable host:port.",
    )

    @property
    def is_local(self) -> bool:
        """True when the servers are on this machine, by their addresses or as localhost."""
        if names := self.sentinels if self.mode == SENTINEL else self.nodes if self.mode == CLUSTER else ():
            return all(is_loopback(name.rpartition(":")[0]) for name in names)
        if self.url is None:
            return is_loopback(self.host)
        parts = urlsplit(self.url)
        return parts.scheme == "unix" or is_loopback(parts.hostname or "localhost")

    @property
    def is_encrypted(self) -> bool:
        """Whether connections use TLS."""
        return any((self.tls.ca, self.tls.cert)) or (self.url or "").startswith("rediss://")
