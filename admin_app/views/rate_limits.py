"""/rate-limits and /tenants/{id}/rate-limits: the limits in force, with their usage."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from admin_app.http.paging import PageQuery, invalid_cursor
from admin_app.http.responses import response
from shared.core.fields import Pattern, Strict, ip_address, validated
from shared.core.http_tokens import TOKEN
from shared.documents import examples
from shared.documents.fields import amount, nullable
from shared.http.paths import normalize_path
from shared.limits.compiled import CompiledLimit
from shared.limits.headers import with_amounts
from shared.limits.quotas import UNITS
from shared.limits.values import CLOSED, CONCURRENT, MAX_UNITS, Limit, LimitState
from shared.model.config import ApiKey, Rule, Snapshot
from shared.pipeline.testing import sample_exchange

blueprint = Blueprint("rate-limits", __name__, "The limits in force, with their current usage.")

# Counters that one call of the script reads, so that no tenant keeps Redis busy for long.
_BATCH = 100
# Tenants that are read at once, and rows from which on a page of all tenants ends.
_TENANTS_AT_ONCE = 20
_MAX_ROWS = 1_000
# Keys of a tenant whose usage is shown, those used last.
_MAX_KEYS = 50
# More than the largest limit, and exact in the doubles of Lua.
_UNBOUNDED = MAX_UNITS


def _each_key() -> fields.Boolean:
    description = "Show a limit by API key for each key of the tenant; of many keys, the 50 used last."
    return fields.Boolean(load_default=False, metadata={"description": description})


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
    each_key = _each_key()


class AllUsageQuery(PageQuery):
    """A page of tenants."""

    each_key = _each_key()


class RateLimit(Schema):
    """A limit in force. Its usage is null when its counter depends on values that the query lacks."""

    scope = fields.String(required=True, validate=validate.OneOf(["rule", "gateway"]))
    rule_id = fields.String(**nullable("The rule whose requests it counts; null for all rules."))
    rule_path = fields.String(**nullable("Its path."))
    key_id = fields.String(
        **nullable("With `each_key`: the key whose requests it counts; null for all keys.")
    )
    key_name = fields.String(**nullable("Its name."))
    name = fields.String(required=True)
    unit = fields.String(required=True, validate=validate.OneOf([*UNITS, CONCURRENT]))
    limit = amount()
    window = fields.String(**nullable("null for concurrent requests."))
    used = amount(allow_none=True)
    remaining = amount(allow_none=True)
    reset_after_ms = fields.Integer(
        **nullable("Milliseconds until part of the limit is free. null if unknown.")
    )


class RateLimitList(Schema):
    """The tenant's limits first, then those of each active rule."""

    limits = fields.List(fields.Nested(RateLimit), required=True)


class TenantRateLimit(RateLimit):
    """A limit in force, and its tenant."""

    tenant_id = fields.String(required=True)
    tenant_name = fields.String(required=True)


class AllRateLimits(Schema):
    """The limits of the tenants of a page, the fullest first. Those without known usage come last."""

    limits = fields.List(fields.Nested(TenantRateLimit), required=True)
    tenants = fields.Integer(required=True, metadata={"description": "Tenants that were read."})
    next_cursor = fields.String(**nullable())


@dataclass(frozen=True, slots=True)
class _LimitInForce:
    """A limit of a tenant: the rule that adds it, the key that it counts, and its counter, if it is known."""

    compiled: CompiledLimit
    rule: Rule | None
    key: ApiKey | None
    counter: Limit | None


@blueprint.route("/rate-limits")
class AllTenants(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("listAllRateLimits")
    @blueprint.reads(AllUsageQuery, location="query")
    @blueprint.responses(200, AllRateLimits, example=examples.ALL_RATE_LIMITS)
    def get(self, query: dict[str, Any]) -> Response:
        """Read the limits of all tenants and their usage

        A page has the limits of `limit` tenants in order of creation; of fewer if they have many limits.
        """
        rows: list[dict[str, Any]] = []
        tenants, cursor = 0, query["cursor"]
        while tenants < query["limit"] and len(rows) < _MAX_ROWS:
            at_once = min(_TENANTS_AT_ONCE, query["limit"] - tenants)
            try:
                page = services().store.list(at_once, cursor)
            except ValueError:
                raise invalid_cursor() from None
            rows += _of_all(page.snapshots, each_key=query["each_key"])
            tenants, cursor = tenants + len(page.snapshots), page.next_cursor
            if cursor is None:
                break
        rows.sort(key=_fullness, reverse=True)
        return response({"limits": [*map(with_amounts, rows)], "tenants": tenants, "next_cursor": cursor})


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
        found = list(_in_force(snapshot, query))
        used = _used([found])
        rows = [*_ceiling(snapshot), *(_document(one, used) for one in found)]
        return response({"limits": [*map(with_amounts, rows)]})


def _of_all(snapshots: Sequence[Snapshot], *, each_key: bool) -> Iterator[dict[str, Any]]:
    """The limits of some tenants."""
    query = {**UsageQuery().load({}), "each_key": each_key}
    found = [list(_in_force(snapshot, query)) for snapshot in snapshots]
    used = _used(found)
    for snapshot, shown in zip(snapshots, found, strict=True):
        rows = [*_ceiling(snapshot), *(_document(one, used) for one in shown)]
        tenant = {"tenant_id": snapshot.tenant.id, "tenant_name": snapshot.tenant.name}
        yield from ({**tenant, **row} for row in rows)


def _fullness(row: Mapping[str, Any]) -> float:
    if row["used"] is None:
        return -1.0
    return row["used"] / row["limit"] if row["limit"] else 1.0


def _in_force(snapshot: Snapshot, query: Mapping[str, Any]) -> Iterator[_LimitInForce]:
    """Each limit once: without a rule those of the tenant, then those that each active rule adds."""
    active = [rule for rule in snapshot.rules if rule.active]
    limits = limits_by_rule(snapshot.tenant, active)
    common = [compiled for compiled in limits[None] if compiled.scope == "gateway"]
    keys = _newest_used(snapshot.keys) if query["each_key"] else ()
    for compiled in common:
        yield from _by_key(compiled, None, keys, query)
    for rule in active:
        for compiled in limits[rule.id]:
            if compiled not in common and (rule.ai is not None or not compiled.spec.is_metered):
                yield from _by_key(compiled, rule, keys, query)


def _newest_used(keys: Sequence[ApiKey]) -> Sequence[ApiKey]:
    now = services().clock.now()
    active = (key for key in keys if key.status(now) == "active")
    return sorted(active, key=lambda key: key.last_used_at or 0.0, reverse=True)[:_MAX_KEYS]


def _by_key(
    compiled: CompiledLimit, rule: Rule | None, keys: Sequence[ApiKey], query: Mapping[str, Any]
) -> Iterator[_LimitInForce]:
    """A limit; one that counts by key for each of the keys."""
    if keys and compiled.spec.by == ("key",):
        for key in keys:
            yield _LimitInForce(compiled, rule, key, _counter(compiled, {**query, "key_id": key.id}))
    else:
        yield _LimitInForce(compiled, rule, None, _counter(compiled, query))


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


def _used(tenants: Iterable[Sequence[_LimitInForce]]) -> dict[str, LimitState]:
    """The state of each counter, by its key. Raises `StoreDown`."""
    groups: list[Sequence[Limit]] = []
    for shown in tenants:
        different = {one.counter.key: one.counter for one in shown if one.counter is not None}
        groups += batched(different.values(), _BATCH)
    decisions = services().peek(groups) if groups else ()
    return {state.limit.key: state for decision in decisions for state in decision.states}


def _document(shown: _LimitInForce, states: Mapping[str, LimitState]) -> dict[str, Any]:
    compiled, rule, counter = shown.compiled, shown.rule, shown.counter
    state = None if counter is None else states.get(counter.key)
    number = compiled.spec.quota.limit
    used = None if state is None else _UNBOUNDED - state.remaining
    concurrent = compiled.spec.kind == CONCURRENT
    return {
        "scope": compiled.scope,
        "rule_id": rule.id if rule else None,
        "rule_path": rule.path if rule else None,
        "key_id": shown.key.id if shown.key else None,
        "key_name": shown.key.name if shown.key else None,
        "name": compiled.spec.name,
        "unit": compiled.spec.unit,
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
        unknown = dict.fromkeys(
            (
                *("rule_id", "rule_path", "key_id", "key_name"),
                *("window", "used", "remaining", "reset_after_ms"),
            )
        )
        yield {"scope": "gateway", "name": "tier", "unit": "concurrent", "limit": tier.concurrent, **unknown}
