"""/tenants/{id}/rate-limits: the limits in force, with their usage."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import batched
from typing import Any

from flask import Response
from flask.views import MethodView
from marshmallow import Schema, fields, validate

from admin_app.auth.access import Access, requires
from admin_app.changes.limits import limits_by_rule
from admin_app.changes.snapshot import find_tenant
from admin_app.context import services
from admin_app.http.openapi import Blueprint
from admin_app.http.responses import response
from shared.core.fields import Pattern, Strict, ip_address, validated
from shared.core.http_tokens import TOKEN
from shared.documents import examples
from shared.http.paths import normalize_path
from shared.limits.compiled import CompiledLimit
from shared.limits.values import CLOSED, CONCURRENT, UNITS, Limit, LimitState
from shared.model.config import Rule, Snapshot
from shared.pipeline.testing import sample_exchange

blueprint = Blueprint("rate-limits", __name__, "The limits in force, with their current usage.")

# Counters that one call reads, so that no tenant keeps Redis busy for long.
_BATCH = 100
# More than the largest limit, and exact in the doubles of Lua.
_UNBOUNDED = 2**52


class UsageQuery(Strict):
    """A request whose usage is shown. A limit shows usage only if the query has every value it counts by."""

    ip = fields.String(
        load_default=None,
        validate=ip_address,
        metadata={"description": "The client address whose usage is shown."},
    )
    key_id = fields.String(
        load_default=None,
        validate=validate.Length(max=100),
        metadata={"description": "The id of the API key."},
    )
    method = fields.String(
        load_default=None, validate=validate.Length(max=32), metadata={"description": "The method."}
    )
    path = fields.String(
        load_default=None,
        validate=[validate.Length(max=2048), partial(validated, normalize_path)],
        metadata={"description": "The path."},
    )
    model = fields.String(
        load_default=None, validate=validate.Length(max=200), metadata={"description": "The model."}
    )
    header = fields.String(
        load_default=None,
        validate=[
            validate.Length(max=1024),
            Pattern(f"^{TOKEN}:.*$", "Must be a header name, a colon and a value."),
        ],
        metadata={"description": "The value of a header, as 'X-Team: red'."},
    )


class RateLimit(Schema):
    """A limit in force. Its usage is null when its counter depends on values that the query lacks."""

    scope = fields.String(required=True, validate=validate.OneOf(["rule", "gateway"]))
    rule_id = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The rule whose requests it counts; null for all rules."},
    )
    name = fields.String(required=True)
    unit = fields.String(required=True, validate=validate.OneOf(["requests", "concurrent"]))
    limit = fields.Integer(required=True)
    window = fields.String(
        required=True, allow_none=True, metadata={"description": "null for concurrent requests."}
    )
    used = fields.Integer(required=True, allow_none=True)
    remaining = fields.Integer(required=True, allow_none=True)
    reset_after_ms = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Milliseconds until part of the limit is free. null if unknown."},
    )


class RateLimitList(Schema):
    """The tenant's limits first, then those of each active rule."""

    limits = fields.List(fields.Nested(RateLimit), required=True)


@blueprint.route("/tenants/<tenant_id>/rate-limits")
class RateLimits(MethodView):
    @requires(Access.READ)
    @blueprint.operation("listRateLimits")
    @blueprint.reads(UsageQuery, location="query")
    @blueprint.responses(200, RateLimitList, example=examples.RATE_LIMITS)
    def get(self, query: dict[str, Any], tenant_id: str) -> Response:
        """Read a tenant's limits and their usage

        The limits of the tier are included. This call is not counted.
        """
        snapshot = find_tenant(tenant_id)
        found = list(_in_force(snapshot))
        counters = [_counter(compiled, query) for compiled, _ in found]
        used = _used(counter for counter in counters if counter)
        shown = [
            _document(compiled, rule, used.get(counter.key) if counter else None)
            for (compiled, rule), counter in zip(found, counters, strict=True)
        ]
        return response({"limits": [*_ceiling(snapshot), *shown]})


def _in_force(snapshot: Snapshot) -> Iterator[tuple[CompiledLimit, Rule | None]]:
    """Each limit once: without a rule those of the tenant, then those that each active rule adds."""
    active = [rule for rule in snapshot.rules if rule.active]
    limits = limits_by_rule(snapshot.tenant, active)
    common = [compiled for compiled in limits[None] if compiled.scope == "gateway"]
    yield from ((compiled, None) for compiled in common)
    for rule in active:
        yield from ((compiled, rule) for compiled in limits[rule.id] if compiled not in common)


def _counter(compiled: CompiledLimit, query: Mapping[str, Any]) -> Limit | None:
    """The counter of the request in the query; None when it lacks a value that the limit counts by."""
    given = {name for name in ("ip", "method", "path", "model") if query[name] is not None}
    given |= {"key"} if query["key_id"] is not None else set()
    name, _, value = (query["header"] or "").partition(":")
    given.add(f"header:{name.lower()}")
    model = query["model"] or ""
    if not given.issuperset(compiled.spec.by) or not compiled.holds_for_model(model):
        return None
    exchange = sample_exchange(
        method=query["method"] or "GET",
        path=normalize_path(query["path"] or "/"),
        headers={name: value},
        client=query["ip"] or "0.0.0.0",
        key_id=query["key_id"],
    )
    limit = compiled.limit(compiled.value(exchange, model))
    # A changed limit keeps its counter, so the usage may be above the limit.
    return replace(limit, quota=replace(limit.quota, limit=_UNBOUNDED), on_error=CLOSED)


def _used(counters: Iterable[Limit]) -> dict[str, LimitState]:
    """The state of each counter, by its key. Raises `StoreDown`."""
    different = {counter.key: counter for counter in counters}
    states: dict[str, LimitState] = {}
    for some in batched(different.values(), _BATCH):
        decision = services().peek(some)
        states |= {state.limit.key: state for state in decision.states}
    return states


def _document(compiled: CompiledLimit, rule: Rule | None, state: LimitState | None) -> dict[str, Any]:
    number = compiled.spec.quota.limit
    used = None if state is None else _UNBOUNDED - state.remaining
    concurrent = compiled.spec.kind == CONCURRENT
    return {
        "scope": compiled.scope,
        "rule_id": rule.id if rule else None,
        "name": compiled.spec.name,
        "unit": UNITS[compiled.spec.kind],
        "limit": number,
        "window": compiled.window or None,
        "used": used,
        "remaining": None if used is None else max(number - used, 0),
        "reset_after_ms": None if state is None or concurrent else state.reset_after_ms,
    }


def _ceiling(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    """The tier's concurrent requests. Each worker counts its own, so the usage is not known."""
    tier = services().settings.tiers.get(snapshot.tenant.tier)
    if tier is not None and tier.concurrent is not None:
        unknown = dict.fromkeys(("rule_id", "window", "used", "remaining", "reset_after_ms"))
        yield {"scope": "gateway", "name": "tier", "unit": "concurrent", "limit": tier.concurrent, **unknown}
