"""/overview, /tenants/{id}/overview and /tenants/{id}/metrics: figures of requests."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from flask import Response
from flask.views import MethodView

from admin_app.auth.access import Access, requires
from admin_app.changes.snapshot import find_tenant
from admin_app.context import services
from admin_app.http.openapi import Blueprint
from admin_app.http.responses import response
from admin_app.views.ai.budgets import nearly_spent
from shared.alerts.deliveries import Deliveries
from shared.documents.overview import (
    MAX_BUDGETS,
    MAX_NAMED,
    OVERVIEW,
    PLATFORM_OVERVIEW,
    WINDOWS,
    Overview,
    OverviewQuery,
    PlatformOverview,
    PlatformOverviewQuery,
)
from shared.model.config import Snapshot
from shared.records.figures import document, exposition, total
from shared.records.keys import ALL
from shared.records.minutes import COST, FAILED, KEPT_SECONDS, REJECTED, REQUESTS
from shared.records.reader import RecordReader

blueprint = Blueprint("overview", __name__, "Figures of requests: of the platform and of tenants.")

# The figures of tenants are added up over so many minutes at most: a minute may have those of very many.
_TENANT_MINUTES: Final = 60
_SERIES: Final = 'gateway_requests_total{tenant="acme",status="2xx",source="upstream"} 412\n'
_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"


@blueprint.route("/overview")
class PlatformFigures(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("getOverview")
    @blueprint.reads(PlatformOverviewQuery, location="query")
    @blueprint.responses(200, PlatformOverview, example=PLATFORM_OVERVIEW)
    def get(self, query: dict[str, Any]) -> Response:
        """Read the figures of all requests"""
        with services().reading(RecordReader) as reader:
            figures = _overview(reader, ALL, query["window"])
            busiest = _busiest(reader, _minutes(query["window"])[-_TENANT_MINUTES:], query["tenants"])
        is_named = query["tenants"] <= MAX_NAMED
        known = _known([one["tenant_id"] for one in busiest] if is_named else [])
        tenants = [{**one, **_names(known.get(one["tenant_id"]))} for one in busiest]
        budgets = _budgets(known) if is_named else []
        return _dumped(PlatformOverview(), {**figures, "tenants": tenants, "budgets": budgets})


@blueprint.route("/tenants/<tenant_id>/overview")
class TenantFigures(MethodView):
    @requires(Access.READ)
    @blueprint.operation("getTenantOverview")
    @blueprint.reads(OverviewQuery, location="query")
    @blueprint.responses(200, Overview, example=OVERVIEW)
    def get(self, query: dict[str, Any], tenant_id: str) -> Response:
        """Read the figures of a tenant's requests"""
        find_tenant(tenant_id)
        with services().reading(RecordReader) as reader:
            figures = _overview(reader, tenant_id, query["window"])
        return _dumped(Overview(), figures)


@blueprint.route("/tenants/<tenant_id>/metrics")
class TenantMetrics(MethodView):
    @requires(Access.READ)
    @blueprint.operation("getTenantMetrics")
    @blueprint.responds_text(_PROMETHEUS, "The text format of Prometheus.", _SERIES)
    def get(self, tenant_id: str) -> Response:
        """Read a tenant's figures as Prometheus reads them

        For a Prometheus of the tenant: requests, tokens, cost and times. They begin anew after a day without
        requests.
        """
        tenant = find_tenant(tenant_id).tenant
        with services().reading(RecordReader) as reader:
            text = exposition(reader.total(tenant_id), tenant.subdomain)
        return Response(text, content_type=_PROMETHEUS)


def _minutes(window: str) -> range:
    """The minutes of a window, in whole steps. The step that has begun is the last one."""
    length, step = WINDOWS[window]
    end = (int(services().clock.now() // 60) // step + 1) * step
    return range(end - length, end)


def _overview(reader: RecordReader, owner: str, window: str) -> dict[str, Any]:
    minutes, step = _minutes(window), WINDOWS[window][1]
    count = len(minutes)
    has_before = 2 * count * 60 <= KEPT_SECONDS
    found = reader.minutes(owner, range(minutes.start - (count if has_before else 0), minutes.stop))
    current = found[-count:]
    return {
        "window": window,
        "first": minutes.start * 60.0,
        "last": services().clock.now(),
        "now": document(total(current)),
        "before": document(total(found[:-count])) if has_before else None,
        "step_seconds": step * 60,
        "minutes": [
            {"time": minutes[begin] * 60.0, **document(total(current[begin : begin + step]))}
            for begin in range(0, count, step)
        ],
    }


def _busiest(reader: RecordReader, minutes: Sequence[int], most: int) -> list[dict[str, Any]]:
    """The figures of the tenants with the most requests."""
    found = total(reader.tenants(minutes))
    ids = {name.partition(":")[2] for name in found if name.startswith(f"{REQUESTS}:")}
    busiest = sorted(ids, key=lambda one: (-found[f"{REQUESTS}:{one}"], one))[:most]
    return [
        {
            "tenant_id": one,
            "requests": found[f"{REQUESTS}:{one}"],
            "failed": found.get(f"{FAILED}:{one}", 0),
            "rejected": found.get(f"{REJECTED}:{one}", 0),
            "cost_usd": document({"cost": found.get(f"{COST}:{one}", 0)})["cost_usd"],
        }
        for one in busiest
    ]


def _known(ids: Iterable[str]) -> dict[str, Snapshot]:
    """The tenants that are there."""
    return {one: found for one in ids if (found := services().store.read(one)) is not None}


def _names(snapshot: Snapshot | None) -> dict[str, str | None]:
    if snapshot is None:
        return {"name": None, "subdomain": None}
    return {"name": snapshot.tenant.name, "subdomain": snapshot.tenant.subdomain}


def _budgets(known: Mapping[str, Snapshot]) -> list[dict[str, Any]]:
    """The budgets of which the least is left: of the listed tenants, and of those that have spent one."""
    with services().reading(Deliveries) as deliveries:
        reached = deliveries.reached(services().clock.now(), MAX_BUDGETS)
    tenants = {**known, **_known(one for one in reached if one not in known)}
    found = [one for snapshot in tenants.values() for one in nearly_spent(snapshot)]
    return [document for _, document in sorted(found, key=lambda one: -one[0])[:MAX_BUDGETS]]


def _dumped(schema: Overview, members: dict[str, Any]) -> Response:
    return response(schema.dump(members))
