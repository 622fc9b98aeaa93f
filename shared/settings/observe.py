"""The settings of what the programs tell about themselves and about requests."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.http.trace_context import ALWAYS, NEVER, OWN
from shared.settings.declare import setting
from shared.settings.values import choice, host, http_url, named, share, size, text, truth, whole

#: The keys of `log.sample`: classes of statuses; `none` for a request whose client got none.
STATUS_CLASSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx", "none")
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


@dataclass(frozen=True, slots=True)
class Log:
    """The log, on standard output."""

    level: str = setting(
        choice("debug", "info", "warning", "error"), "info", "Minimum level: debug, info, warning or error."
    )
    format: str = setting(choice("json"), "json", "json: one JSON object per line.")
    sample: Mapping[str, float] = setting(
        named(STATUS_CLASSES, share, '{"2xx": 0.1}'),
        {"2xx": 1.0},
        "The share of the lines of requests that are written, by the class of their status: 1xx to 5xx, or "
        "none. A class that is not named has all its lines.",
    )


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


@dataclass(frozen=True, slots=True)
class Trace:
    """The headers of W3C Trace Context."""

    forward: str = setting(
        choice(ALWAYS, OWN, NEVER),
        OWN,
        "The upstreams that get traceparent and tracestate. always: all but those of rules with "
        "trace_headers: false. own: those in security.allowed_target_networks, and those of rules with "
        "trace_headers: true. never: none.",
    )


@dataclass(frozen=True, slots=True)
class Otel:
    """The export of traces by OTLP. It requires the packages of requirements-otel.txt."""

    endpoint: str | None = setting(
        http_url,
        None,
        "URL of an OTLP collector, such as http://localhost:4318; also the variable "
        "OTEL_EXPORTER_OTLP_ENDPOINT. Spans go to /v1/traces below it. null: no spans.",
    )
    headers: Mapping[str, str] | None = setting(
        named(_HEADER, text, '{"Authorization": "Bearer …"}'),
        None,
        "Headers of each call of the collector, such as its credential. null: none.",
        secret=True,
    )
    sample: float = setting(
        share,
        1.0,
        "The share of the requests without a traceparent that are exported. A client with a traceparent "
        "decides itself.",
    )
