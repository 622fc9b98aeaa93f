"""The health of all providers of an owner in one response: what serves, what does not, since when and why."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from marshmallow import Schema, fields, validate

from shared.core.fields import Timestamp
from shared.documents.ai.health import TargetHealthOutput, known_health, target_documents
from shared.documents.fields import nullable
from shared.health.known import KnownHealth
from shared.health.layout import StoredHealth
from shared.health.report import Report
from shared.model.providers import Provider, ProviderKey
from shared.providers.shipped.presets import Endpoint
from shared.records.figures import quantile
from shared.records.minutes import CALL_FAILED, CALLED, FIRST_MS, LIMITED

#: The figures of calls are those of so many minutes, the current one included.
MINUTES: Final = 5
OK, DEGRADED, DOWN, DISABLED = "ok", "degraded", "down", "disabled"
# A provider is degraded when at least half of so many calls within the window failed.
_MIN_CALLS, _FAILED_SHARE = 10, 0.5


class KeysOutput(Schema):
    """How many keys of a provider can be used."""

    usable = fields.Integer(required=True)
    total = fields.Integer(
        required=True, metadata={"description": "Those that are enabled and not at their end."}
    )


class ProviderStateOutput(Schema):
    """The health of one provider."""

    id = fields.String(**nullable("null: a shared one, for a tenant."))
    name = fields.String(required=True)
    kind = fields.String(required=True)
    shared = fields.Boolean(
        required=True, metadata={"description": "true: the platform shares it with the tenant."}
    )
    state = fields.String(
        required=True,
        validate=validate.OneOf([OK, DEGRADED, DOWN, DISABLED]),
        metadata={
            "description": "ok: nothing is wrong. degraded: some of its targets or keys are not used, or at "
            "least half of 10 calls or more failed. down: none can be used. disabled: it is switched off."
        },
    )
    since = Timestamp("When it became degraded or down. null: it did not.", required=True, allow_none=True)
    reason = fields.String(**nullable("Why it is degraded or down, without secrets."))
    calls = fields.Integer(required=True, metadata={"description": "Its calls within the window."})
    failed = fields.Integer(required=True, metadata={"description": "Those of them that failed."})
    rate_limited_per_minute = fields.Float(
        required=True, metadata={"description": "Responses with status 429 per minute."}
    )
    p95_ms = fields.Float(
        **nullable("Milliseconds to the first content, of 95 % of its calls. null: no calls.")
    )
    keys = fields.Nested(KeysOutput, **nullable())
    targets = fields.List(
        fields.Nested(TargetHealthOutput),
        required=True,
        metadata={"description": "Those that are declared, called or open; [] of a shared one."},
    )


class ProvidersHealthOutput(Schema):
    """The health of all providers that the caller may see. Figures are up to six seconds old."""

    window_seconds = fields.Integer(
        required=True, metadata={"description": "The time of calls, failed, p95_ms and the rate of 429."}
    )
    providers = fields.List(fields.Nested(ProviderStateOutput), required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The state of the providers, as one caller sees it.

    Attributes:
        tenant_id: the tenant; empty for the platform.
        stored: the health by the ids of providers.
        calls: the figures of calls within the window; see `shared.records.minutes`.
        seconds: the length of the window.
        now: seconds since the Unix epoch.
    """

    tenant_id: str
    stored: Mapping[str, StoredHealth]
    calls: Mapping[str, int]
    seconds: float
    now: float


@dataclass(frozen=True, slots=True)
class _Trouble:
    """Why a provider is not as it should be."""

    state: str
    reason: str
    since: float | None


def providers_health_document(
    own: Iterable[Provider], shared: Iterable[Provider], observed: Observed
) -> dict[str, Any]:
    """The JSON of the health of an owner's providers, and of those that the platform shares with it."""
    providers = [
        *(_of_owner(one, observed) for one in own),
        *(_of_shared(one, observed) for one in shared),
    ]
    document: dict[str, Any] = ProvidersHealthOutput().dump(
        {"window_seconds": round(observed.seconds), "providers": providers}
    )
    return document


def _of_owner(provider: Provider, observed: Observed) -> dict[str, Any]:
    stored = observed.stored[provider.id]
    known = known_health(stored, observed.now)
    targets = target_documents(provider, observed.tenant_id, known, stored, observed.now)
    keys = [one for one in provider.keys if _is_active(one, observed.now)]
    unusable = _unusable(keys, known, observed.tenant_id)
    troubles = [*_of_targets(targets, with_reason=True), *_of_keys(provider, keys, unusable)]
    return {
        **_common(provider, troubles, observed),
        "id": provider.id,
        "shared": False,
        "keys": {"usable": len(keys) - len(unusable), "total": len(keys)},
        "targets": targets,
    }


def _of_shared(provider: Provider, observed: Observed) -> dict[str, Any]:
    """The health for the tenant, without the errors, keys and targets of the platform's provider."""
    stored = observed.stored[provider.id]
    known = known_health(stored, observed.now)
    targets = target_documents(provider, observed.tenant_id, known, stored, observed.now)
    troubles = _of_targets(targets, with_reason=False)
    return {
        **_common(provider, troubles, observed),
        "id": None,
        "shared": True,
        "keys": None,
        "targets": [],
    }


def _common(provider: Provider, troubles: Sequence[_Trouble], observed: Observed) -> dict[str, Any]:
    def of(figure: str) -> int:
        return observed.calls.get(f"{provider.id}:{figure}", 0)

    troubles = [*troubles, *_of_calls(of(CALLED), of(CALL_FAILED))]
    state = OK if not troubles else DOWN if any(one.state == DOWN for one in troubles) else DEGRADED
    is_wrong = provider.enabled and bool(troubles)
    times = [one.since for one in troubles if one.since is not None and one.state == state]
    return {
        "name": provider.name,
        "kind": provider.kind,
        "state": state if provider.enabled else DISABLED,
        "since": min(times, default=None) if is_wrong else None,
        "reason": " ".join(one.reason for one in troubles) if is_wrong else None,
        "calls": of(CALLED),
        "failed": of(CALL_FAILED),
        "rate_limited_per_minute": round(of(LIMITED) * 60 / observed.seconds, 2),
        "p95_ms": quantile(observed.calls, provider.id, FIRST_MS, 0.95),
    }


def _of_calls(calls: int, failed: int) -> list[_Trouble]:
    if calls < _MIN_CALLS or failed < calls * _FAILED_SHARE:
        return []
    return [_Trouble(DEGRADED, f"{failed} of the last {calls} calls failed.", None)]


def _of_targets(targets: Sequence[Mapping[str, Any]], *, with_reason: bool) -> list[_Trouble]:
    opened = [one for one in targets if one["state"] == "open"]
    if not opened:
        return []
    first = min(opened, key=lambda one: one["since"])
    why = f": {first['reason']}." if with_reason else "."
    count = f"{len(opened)} of {len(targets)} targets {'is' if len(opened) == 1 else 'are'} not called"
    state = DOWN if len(opened) == len(targets) else DEGRADED
    return [_Trouble(state, count + why, first["since"])]


def _of_keys(
    provider: Provider, keys: Sequence[ProviderKey], unusable: Mapping[str, Report]
) -> list[_Trouble]:
    needs_key = Endpoint.of(provider).needs_key
    if not keys:
        return [_Trouble(DOWN, "It has no enabled key.", None)] if needs_key else []
    if not unusable:
        return []
    first = min(unusable.values(), key=lambda one: one.at)
    count = f"{len(unusable)} of {len(keys)} keys {'is' if len(unusable) == 1 else 'are'} not used"
    state = DOWN if len(unusable) == len(keys) else DEGRADED
    return [_Trouble(state, f"{count}: {first.reason}.", first.at)]


def _is_active(key: ProviderKey, now: float) -> bool:
    return key.enabled and (key.expires_at is None or key.expires_at > now)


def _unusable(keys: Iterable[ProviderKey], known: KnownHealth, tenant_id: str) -> Mapping[str, Report]:
    """The reports of the keys that are used for no model, by the ids of the keys."""
    found = {}
    for key in keys:
        whole = [one for one in known.of_key_id(tenant_id, key.id) if not one.model]
        if whole:
            found[key.id] = min(whole, key=lambda one: one.at)
    return found
