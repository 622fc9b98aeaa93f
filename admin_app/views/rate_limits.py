"""/tenants/{id}/rate-limits: the limits in force, and how much of each is used."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import batched
from typing import Any

from flask import Response
from flask.views import MethodView
from marshmallow import Schema, ValidationError, fields, validate

from admin_app.auth.access import Access, requires
from admin_app.changes.limit_warnings import limits_of
from admin_app.changes.snapshot import find_tenant
from admin_app.context import services
from admin_app.http.openapi import Blueprint
from admin_app.http.responses import response
from shared.core.fields import Pattern, Strict, ip_address
from shared.core.http_tokens import TOKEN
from shared.http.paths import normalize_path
from shared.limits.compiled import CompiledLimit
from shared.limits.values import CLOSED, CONCURRENT, Limit, LimitState
from shared.model.config import ApiKey, Rule, Snapshot
from shared.model.messages import Exchange, Headers, Request

blueprint = Blueprint("rate-limits", __name__, "Limits in force, with their live usage.")

# Limits that are looked at in one call, so that no tenant holds the store up.
_AT_ONCE = 100
# More than can be used, and exact in the store's doubles.
_UNBOUNDED = 2**52


def _path(value: str) -> None:
    try:
        normalize_path(value)
    except ValueError as error:
        raise ValidationError(str(error)) from None


class UsageQuery(Strict):
    """A request whose counters to show. Limits that need more of it than is given show no usage."""

    ip = fields.String(
        load_default=None, validate=ip_address, metadata={"description": "Usage of this client address."}
    )
    key_id = fields.String(
        load_default=None, validate=validate.Length(max=100), metadata={"description": "Of this API key."}
    )
    method = fields.String(
        load_default=None, validate=validate.Length(max=32), metadata={"description": "Of this method."}
    )
    path = fields.String(
        load_default=None,
        validate=[validate.Length(max=2048), _path],
        metadata={"description": "Of this path."},
    )
    model = fields.String(
        load_default=None, validate=validate.Length(max=200), metadata={"description": "Of this model."}
    )
    header = fields.String(
        load_default=None,
        validate=[
            validate.Length(max=1024),
            Pattern(f"^{TOKEN}:.*$", "Must be a header name, a colon and a value."),
        ],
        metadata={"description": "Of this value of a header, as 'X-Team: red'."},
    )


class RateLimit(Schema):
    """A limit in force. Usage is null where only a request says which counter is meant; see the query."""

    scope = fields.String(required=True, validate=validate.OneOf(["rule", "gateway"]))
    rule_id = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The rule whose requests it counts; null for those of all rules."},
    )
    name = fields.String(required=True)
    unit = fields.String(required=True, validate=validate.OneOf(["requests", "concurrent"]))
    limit = fields.Integer(required=True)
    window = fields.String(required=True, allow_none=True, metadata={"description": "null at a time."})
    used = fields.Integer(required=True, allow_none=True)
    remaining = fields.Integer(required=True, allow_none=True)
    reset_after_ms = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Until something is free again; null when nobody knows."},
    )


class RateLimitList(Schema):
    """The tenant's limits first, then those of each active rule."""

    limits = fields.List(fields.Nested(RateLimit), required=True)


@dataclass(frozen=True, slots=True)
class _InForce:
    compiled: CompiledLimit
    rule: Rule | None


@blueprint.route("/tenants/<tenant_id>/rate-limits")
class RateLimits(MethodView):
    @requires(Access.READ)
    @blueprint.reads(UsageQuery, location="query")
    @blueprint.responses(200, RateLimitList)
    def get(self, query: dict[str, Any], tenant_id: str) -> Response:
        """Read a tenant's limits and their usage

        Looking counts nothing. The tier's ceilings are among them.
        """
        snapshot = find_tenant(tenant_id)
        found = list(_in_force(snapshot))
        counters = [_counter(item, snapshot, query) for item in found]
        used = _used(counter for counter in counters if counter)
        shown = [
            _document(item, used.get(counter.key) if counter else None)
            for item, counter in zip(found, counters, strict=True)
        ]
        return response({"limits": [*_ceiling(snapshot), *shown]})


def _in_force(snapshot: Snapshot) -> Iterator[_InForce]:
    """Each limit once: what counts for all rules at the tenant, what one rule adds to it at that rule."""
    common = [compiled for compiled in limits_of(snapshot.tenant, None) if compiled.scope == "gateway"]
    yield from (_InForce(compiled, None) for compiled in common)
    for rule in snapshot.rules:
        if rule.active:
            own = limits_of(snapshot.tenant, rule)
            yield from (_InForce(compiled, rule) for compiled in own if compiled not in common)


def _counter(item: _InForce, snapshot: Snapshot, query: Mapping[str, Any]) -> Limit | None:
    """The counter that the request of the query would be charged to; None when the query says too little."""
    given = {name for name in ("ip", "method", "path", "model") if query[name] is not None}
    given |= {"key"} if query["key_id"] is not None else set()
    name, _, value = (query["header"] or "").partition(":")
    given.add(f"header:{name.lower()}")
    model = query["model"] or ""
    compiled = item.compiled
    if not given.issuperset(compiled.spec.by) or not compiled.holds_for_model(model):
        return None
    request = Request(
        query["method"] or "GET", normalize_path(query["path"] or "/"), Headers([(name, value)])
    )
    key = ApiKey(query["key_id"], "", "", "") if query["key_id"] else None
    rule = item.rule or Rule("", "/", "")
    exchange = Exchange("", snapshot.tenant, rule, request, query["ip"] or "0.0.0.0", key)
    limit = compiled.limit(compiled.value(exchange, model))
    # The number is edited while the counter stays, so more may be used than there is.
    return replace(limit, quota=replace(limit.quota, limit=_UNBOUNDED), on_error=CLOSED)


def _used(counters: Iterable[Limit]) -> dict[str, LimitState]:
    """The state of each counter, by its key. Raises `StoreDown`."""
    different = {counter.key: counter for counter in counters}
    states: dict[str, LimitState] = {}
    for some in batched(different.values(), _AT_ONCE):
        decision = services().peek(some)
        states |= {state.limit.key: state for state in decision.states}
    return states


def _document(item: _InForce, state: LimitState | None) -> dict[str, Any]:
    compiled = item.compiled
    number = compiled.spec.quota.limit
    used = None if state is None else _UNBOUNDED - state.remaining
    concurrent = compiled.spec.kind == CONCURRENT
    return {
        "scope": compiled.scope,
        "rule_id": item.rule.id if item.rule else None,
        "name": compiled.spec.name,
        "unit": "concurrent" if concurrent else "requests",
        "limit": number,
        "window": compiled.window or None,
        "used": used,
        "remaining": None if used is None else max(number - used, 0),
        "reset_after_ms": None if state is None or concurrent else state.reset_after_ms,
    }


def _ceiling(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    """The tier's exchanges at a time, which each worker counts for itself, so that nobody knows the sum."""
    tier = services().settings.tiers.get(snapshot.tenant.tier)
    if tier is not None and tier.concurrent is not None:
        unknown = dict.fromkeys(("rule_id", "window", "used", "remaining", "reset_after_ms"))
        yield {"scope": "gateway", "name": "tier", "unit": "concurrent", "limit": tier.concurrent, **unknown}
