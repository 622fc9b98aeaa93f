"""The settings of what the programs tell about themselves and about requests."""

from dataclasses import dataclass

from shared.settings.declare import setting
from shared.settings.values import choice, host, size, text, truth, whole


@dataclass(frozen=True, slots=True)
class Log:
    """The log, on standard output."""

    level: str = setting(
        choice("debug", "info", "warning", "error"), "info", "Minimum level: debug, info, warning or error."
    )
    format: str = setting(choice("json"), "json", "json: one JSON object per line.")


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger of calls of models."""

    max_bytes: int = setting(
        size,
        "256MB",
        "Maximum memory of the ledgers of all tenants in Redis. Above it, the oldest rows of the largest "
        "ledgers are removed.",
    )


@dataclass(frozen=True, slots=True)
class Records:
    """The records of requests, for the admin API. They are dropped when Redis has no room or no time."""

    per_tenant: int = setting(
        whole(0, 100_000),
        2000,
        "About the most requests of a tenant that are kept; the newest. 0: no records, and no figures for "
        "overviews.",
    )
    max_bytes: int = setting(
        size,
        "256MB",
        "Maximum memory of the records of all tenants in Redis. Above it, the oldest records of the tenants "
        "with most are removed.",
    )
    traces: int = setting(
        whole(0, 1000),
        5,
        "Requests per second and worker whose records have each step of their plugins with its time.",
    )


@dataclass(frozen=True, slots=True)
class Metrics:
    """The ports of the metrics."""

    port: int = setting(
        whole(0, 65535), 9464, "Port of the proxy's metrics. 0: none, and requests are not counted."
    )
    admin_api_port: int = setting(whole(0, 65535), 9465, "Port of the admin API's metrics. 0: none.")
    host: str = setting(
        host, "127.0.0.1", "Listen address of both ports. Off loopback, metrics.token is required."
    )
    token: str | None = setting(
        text, None, "The bearer token that a scrape must send. null: none is needed.", secret=True
    )
    tenant_labels: bool = setting(
        truth, True, "Whether metrics tell tenants and rules apart. false: these labels are empty."
    )

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports in use."""
        return tuple(port for port in (self.port, self.admin_api_port) if port)
