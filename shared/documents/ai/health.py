"""The health of the targets and keys of a provider as JSON."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from marshmallow import Schema, fields, validate

from shared.core.durations import HOUR_SECONDS
from shared.core.fields import Duration, Timestamp
from shared.documents.ai.provider_key import KeyHealthOutput
from shared.documents.fields import Input, nullable
from shared.health.known import KnownHealth
from shared.health.layout import Failure, StoredHealth
from shared.health.report import MAX_SECONDS, Report, key_id_of
from shared.model.providers import Provider, ProviderKey
from shared.upstreams.outcome import KeyEffect

#: The last failures of a target that are shown.
MAX_FAILURES: Final = 10
# The figures of a worker count for a bit longer than it takes it to write the next ones.
_FRESH_SECONDS: Final = 30.0
_OPEN, _CLOSED = "open", "closed"
_OK, _DISABLED, _REJECTED, _COOLING = "ok", "disabled", "rejected", "cooling"


class FailureOutput(Schema):
    """A failure of a target or of a key."""

    at = Timestamp("When it was seen.", required=True)
    key = fields.String(**nullable("null: it is the target's."))
    reason = fields.String(required=True, metadata={"description": "In a few words, without secrets."})


class TargetHealthOutput(Schema):
    """The health of one target."""

    target = fields.String(required=True, metadata={"description": "`<provider id>/<model>`."})
    state = fields.String(
        required=True,
        validate=validate.OneOf([_OPEN, _CLOSED]),
        metadata={"description": "open: it is not called. closed: it is."},
    )
    since = Timestamp("When it was opened. null: it is closed.", required=True, allow_none=True)
    until = Timestamp("When it is tried again. null: it is closed.", required=True, allow_none=True)
    reason = fields.String(**nullable("Why it is open."))
    by = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(["calls", "probe", "operator", None]),
        metadata={"description": "The cause for which it was opened."},
    )
    open_for_tenants = fields.Integer(
        required=True,
        metadata={"description": "Tenants for which it is open because of their own calls."},
    )
    ewma = fields.Float(**nullable("Seconds to the first content, of the slowest worker. null: not known."))
    in_flight = fields.Integer(
        **nullable("Calls under way in all workers, at most 10 s ago. null: not known.")
    )
    last_errors = fields.List(
        fields.Nested(FailureOutput),
        required=True,
        metadata={"description": f"The last {MAX_FAILURES}, the newest first."},
    )


class ProviderHealthOutput(Schema):
    """The health of the targets of a provider: those that are declared, called or open."""

    targets = fields.List(fields.Nested(TargetHealthOutput), required=True)


class RuleTargetOutput(TargetHealthOutput):
    """The health of one target of a rule."""

    name = fields.String(
        required=True, metadata={"description": "The URL of the target, or `<provider>/<model>`."}
    )


class RuleHealthOutput(Schema):
    """The health of the targets of a rule; none of a rule with a single target, which is always called."""

    targets = fields.List(fields.Nested(RuleTargetOutput), required=True)


class OpenTargetInput(Input):
    """How long a target is not called."""

    duration = Duration(
        minimum=1,
        maximum=MAX_SECONDS,
        load_default=float(HOUR_SECONDS),
        description="Seconds, or text such as 30m.",
    )
    reason = fields.String(
        load_default="opened by an operator",
        validate=validate.Length(1, 200),
        metadata={"description": "Shown with the target."},
    )


class CloseTargetInput(Input):
    """Nothing has to be said."""


def health_document(provider: Provider, tenant_id: str, stored: StoredHealth, now: float) -> dict[str, Any]:
    """The JSON of the health of a provider. `tenant_id` is that of its owner; empty for the platform."""
    targets = target_documents(provider, tenant_id, known_health(stored, now), stored, now)
    document: dict[str, Any] = ProviderHealthOutput().dump({"targets": targets})
    return document


def target_documents(
    provider: Provider, tenant_id: str, known: KnownHealth, stored: StoredHealth, now: float
) -> list[Mapping[str, Any]]:
    """The members of the health of each target, by name. Times are numbers."""
    names = {*known.targets(), *(beat.target for beat in stored.beats)}
    names |= {f"{provider.id}/{model.id}" for model in provider.models}
    return [_target(name, tenant_id, known, stored, now) for name in sorted(names)]


def rule_health_document(targets: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The JSON of the health of a rule, with the `name` of each target."""
    document: dict[str, Any] = RuleHealthOutput().dump({"targets": targets})
    return document


def target_states(
    targets: Iterable[str], tenant_id: str, stored: StoredHealth, now: float
) -> list[Mapping[str, Any]]:
    """The health of targets that a tenant may see. `stored` is of their owner."""
    known = known_health(stored, now)
    return [_target(name, tenant_id, known, stored, now) for name in targets]


def known_health(stored: StoredHealth, now: float) -> KnownHealth:
    """The state with which a worker would start now."""
    known = KnownHealth()
    for report in stored.reports:
        known.add(report, now)
    return known


def _target(
    name: str, tenant_id: str, known: KnownHealth, stored: StoredHealth, now: float
) -> Mapping[str, Any]:
    latest = _latest(known.of_target(tenant_id, name))
    fresh = [beat for beat in stored.beats if beat.target == name and now - beat.at < _FRESH_SECONDS]
    latencies = [beat.latency for beat in stored.beats if beat.target == name and beat.latency is not None]
    failures = [one for one in stored.failures if one.target == name][:MAX_FAILURES]
    return {
        "target": name,
        "state": _OPEN if latest else _CLOSED,
        "since": latest and latest.at,
        "until": latest and latest.until,
        "reason": latest and latest.reason,
        "by": latest and latest.cause,
        "open_for_tenants": known.tenants(name),
        "ewma": max(latencies, default=None),
        "in_flight": sum(beat.in_flight for beat in fresh) if fresh else None,
        "last_errors": [_failure(one) for one in failures],
    }


def _failure(failure: Failure) -> Mapping[str, Any]:
    return {"at": failure.at, "key": key_id_of(failure.key) or None, "reason": failure.why}


def _latest(reports: Iterable[Report]) -> Report | None:
    """The report that counts for longest."""
    return max(reports, key=lambda one: one.until, default=None)


def key_health(key: ProviderKey, tenant_id: str, stored: StoredHealth, now: float) -> Mapping[str, Any]:
    """The members of a key's document that tell its health."""
    reports = known_health(stored, now).of_key_id(tenant_id, key.id)
    latest = _latest(reports)
    status = _OK
    if not key.enabled or (key.expires_at is not None and key.expires_at <= now):
        status = _DISABLED
    elif latest is not None:
        is_rejected = any(one.cause == KeyEffect.REJECTED for one in reports)
        status = _REJECTED if is_rejected else _COOLING
    last = next((one for one in stored.failures if key_id_of(one.key) == key.id), None)
    document: dict[str, Any] = KeyHealthOutput().dump(
        {"status": status, "cooling_until": latest and latest.until, "last_error": last and last.why}
    )
    return document
