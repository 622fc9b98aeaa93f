"""Alerts: events that an operator or a tenant may want to know of.

An alert has ids, names and figures. It never has a secret, and nothing of a request or a response. The
process that sees the change writes it (`stream.py`); the leader of the job ``webhooks`` sends it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.core.durations import DAY_SECONDS
from shared.core.fields import timestamp_text
from shared.model.amounts import format_amount

BUDGET_REACHED: Final = "budget.reached"
RULE_FAULTED: Final = "rule.faulted"
KEY_REJECTED: Final = "key.rejected"
BREAKER_OPENED: Final = "breaker.opened"

#: The kinds of alerts, and their meanings.
KINDS: Final[Mapping[str, str]] = {
    BUDGET_REACHED: "A budget reached one of its percentages, or its limit.",
    RULE_FAULTED: "Rules cannot be compiled: they are closed, or the last good version stays in use.",
    KEY_REJECTED: "A provider rejected one of its keys.",
    BREAKER_OPENED: "A target failed so often that it is not called for a time.",
}
#: The kind of a delivery that somebody asked for, to try a webhook.
TEST: Final = "webhook.test"

# Seconds after which a state that lasts raises an alert again.
_PAUSE: Final = 300.0
# Seconds within which all machines see the same fault.
_MOMENT: Final = 60.0
# Characters of the faults of a document. The status of the gateway has them all.
_MAX_FAULTS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One thing that happened.

    Attributes:
        kind: one of `KINDS`.
        tenant: the id of the tenant that it happened to; None: all of the platform.
        at: when it was seen, in seconds since the Unix epoch.
        about: ids, names and figures, as JSON.
        mark: names the state that was reached; workers that see the same one add one alert.
        quiet: seconds after the last time in which the same `mark` adds no alert.
    """

    kind: str
    tenant: str | None
    at: float
    about: Mapping[str, Any]
    mark: str
    quiet: float


def budget_reached(
    *,
    tenant: str,
    budget_id: str,
    name: str,
    unit: str,
    percent: int,
    used: int,
    limit: int,
    began: float,
    ends: float | None,
    at: float,
) -> Alert:
    """A budget has used so many percent of its limit. There is one alert per period and percentage.

    Amounts are as the limiter counts them (nano-USD, tokens or requests). `began` and `ends` are those of the
    period, in seconds since the Unix epoch; None: it has no end.
    """
    about = {
        "budget_id": budget_id,
        "name": name,
        "unit": unit,
        "percent": percent,
        "used": format_amount(unit, used),
        "limit": format_amount(unit, limit),
        "period_start": timestamp_text(began),
        "resets_at": None if ends is None else timestamp_text(ends),
    }
    return Alert(
        kind=BUDGET_REACHED,
        tenant=tenant,
        at=at,
        about=about,
        mark=f"{tenant}:{budget_id}:{began:.0f}:{percent}",
        quiet=40.0 * DAY_SECONDS if ends is None else max(ends - at, 0.0) + DAY_SECONDS,
    )


def rule_faulted(*, tenant: str | None, faults: str, at: float) -> Alert:
    """A document has `faults`; None: that of the platform. They are new to its writer."""
    about = {"faults": faults[:_MAX_FAULTS]}
    return Alert(
        kind=RULE_FAULTED, tenant=tenant, at=at, about=about, mark=f"{tenant or ''}:{faults}", quiet=_MOMENT
    )


def key_rejected(
    *, tenant: str | None, provider: str, key: str, key_id: str, until: float, at: float
) -> Alert:
    """A provider rejected a key. `key` also names the secret: a new secret has an alert of its own."""
    about = {"provider_id": provider, "key_id": key_id, "until": timestamp_text(until)}
    return _passing(KEY_REJECTED, tenant=tenant, about=about, subject=f"{provider}:{key}", until=until, at=at)


def breaker_opened(*, tenant: str | None, provider: str, target: str, until: float, at: float) -> Alert:
    """A target is not called until then. `provider` is empty for a target without one."""
    about = {"provider_id": provider or None, "target": target, "until": timestamp_text(until)}
    return _passing(BREAKER_OPENED, tenant=tenant, about=about, subject=target, until=until, at=at)


def _passing(
    kind: str, *, tenant: str | None, about: Mapping[str, Any], subject: str, until: float, at: float
) -> Alert:
    """A state that ends by itself. While it begins again and again, there is one alert."""
    mark, quiet = f"{tenant or ''}:{subject}", max(until - at, 0.0) + _PAUSE
    return Alert(kind=kind, tenant=tenant, at=at, about=about, mark=mark, quiet=quiet)
