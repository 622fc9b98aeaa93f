"""Figures of requests as JSON: of a span of time, by minute, and by tenant."""

from typing import Any, Final

from marshmallow import Schema, fields, validate

from shared.core.fields import Strict, Timestamp
from shared.documents.fields import amount, nullable
from shared.model.amounts import UNITS

#: The spans of time, in minutes, each with the length of its steps.
WINDOWS: Final = {"15m": (15, 1), "30m": (30, 1), "1h": (60, 1), "6h": (360, 5), "24h": (1440, 15)}
#: The names of tenants are listed for up to so many.
MAX_NAMED: Final = 50
#: The share of a limit from which on a budget needs attention.
NEARLY_SPENT: Final = 0.95
#: The most budgets that are listed.
MAX_BUDGETS: Final = 20


class OverviewQuery(Strict):
    """The span of time that is wanted."""

    window = fields.String(
        load_default="1h",
        validate=validate.OneOf(WINDOWS),
        metadata={"description": "The time up to now, in whole steps."},
    )


class PlatformOverviewQuery(OverviewQuery):
    """The span of time, and how many tenants are listed."""

    tenants = fields.Integer(
        load_default=20,
        validate=validate.Range(1, 1000),
        metadata={"description": "The tenants with the most requests are listed, at most this many."},
    )


def _quantile() -> fields.Float:
    return fields.Float(**nullable())


class Quantiles(Schema):
    """Milliseconds within which this part of all was done. null if there was none."""

    p50 = _quantile()
    p95 = _quantile()
    p99 = _quantile()


class SpanFigures(Schema):
    """Figures of a span of time."""

    requests = fields.Integer(required=True)
    classes = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "Requests by class of status; none: the client got no status."},
    )
    failed = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "Responses with a status from 500 on, by their source."},
    )
    rejected = fields.Integer(
        required=True, metadata={"description": "Responses of the gateway or a plugin with a status of 4xx."}
    )
    input = fields.Integer(required=True, metadata={"description": "Tokens, those from a cache included."})
    cached = fields.Integer(required=True)
    output = fields.Integer(required=True)
    cost_usd = fields.String(required=True, metadata={"description": "Decimal text."})
    added_ms = fields.Nested(
        Quantiles, required=True, metadata={"description": "The time that was not the upstream's."}
    )
    ttft_ms = fields.Nested(Quantiles, required=True, metadata={"description": "Until the first byte."})


class StepFigures(SpanFigures):
    """Figures of one step."""

    time = Timestamp("Its beginning.", required=True)


class TenantFigures(Schema):
    """Figures of one tenant."""

    tenant_id = fields.String(required=True)
    name = fields.String(**nullable(f"null: it was deleted, or over {MAX_NAMED} tenants are asked for."))
    subdomain = fields.String(**nullable())
    requests = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    rejected = fields.Integer(required=True)
    cost_usd = fields.String(required=True)


class Overview(Schema):
    """Figures of the window, of the one before it, and of each step. They are up to six seconds old."""

    window = fields.String(required=True)
    first = Timestamp("The beginning.", required=True, data_key="from")
    last = Timestamp("The end.", required=True, data_key="to")
    now = fields.Nested(SpanFigures, required=True)
    before = fields.Nested(
        SpanFigures, **nullable("Of the window before. null for 24h: figures are kept for 25 hours.")
    )
    step_seconds = fields.Integer(
        required=True,
        metadata={"description": "A minute, for 6h five minutes, for 24h a quarter of an hour."},
    )
    minutes = fields.List(
        fields.Nested(StepFigures), required=True, metadata={"description": "The steps of the window."}
    )


class BudgetToWatch(Schema):
    """A budget of which 95 % or more is used or held."""

    tenant_id = fields.String(required=True)
    tenant_name = fields.String(required=True)
    id = fields.String(required=True)
    name = fields.String(required=True)
    unit = fields.String(required=True, validate=validate.OneOf(UNITS))
    on_spent = fields.String(required=True)
    limit = amount()
    used = amount()
    held = amount()
    resets_at = Timestamp("The end of the present period. null: it has none.", required=True, allow_none=True)


class PlatformOverview(Overview):
    """The same of all tenants."""

    tenants = fields.List(
        fields.Nested(TenantFigures),
        required=True,
        metadata={"description": "Those with the most requests within the window, at most the last hour."},
    )
    budgets = fields.List(
        fields.Nested(BudgetToWatch),
        required=True,
        metadata={
            "description": "The budgets of which 95 % or more is used or held, the fullest first; at most "
            f"{MAX_BUDGETS}: of these tenants, and of {MAX_BUDGETS} others that have spent one. "
            f"None if over {MAX_NAMED} tenants are asked for."
        },
    )


_QUANTILES: Final = {"p50": 1.1, "p95": 3.1, "p99": 8.0}
_SPAN: Final[dict[str, Any]] = {
    "requests": 412,
    "classes": {"1xx": 0, "2xx": 400, "3xx": 0, "4xx": 10, "5xx": 2, "none": 0},
    "failed": {"gateway": 1, "plugin": 0, "upstream": 1},
    "rejected": 8,
    "input": 40_017,
    "cached": 2_500,
    "output": 7_760,
    "cost_usd": "0.84",
    "added_ms": _QUANTILES,
    "ttft_ms": {"p50": 310.0, "p95": 900.0, "p99": 1_800.0},
}
#: Examples of responses.
OVERVIEW: Final[dict[str, Any]] = {
    "window": "1h",
    "from": "2026-12-01T00:00:00.000Z",
    "to": "2026-12-01T01:00:00.000Z",
    "now": _SPAN,
    "before": _SPAN,
    "step_seconds": 60,
    "minutes": [{"time": "2026-12-01T00:00:00.000Z", **_SPAN}],
}
PLATFORM_OVERVIEW: Final[dict[str, Any]] = {
    **OVERVIEW,
    "tenants": [
        {
            "tenant_id": "tenant_1f2e3d4c5b6a798897a6b5c4",
            "name": "Acme",
            "subdomain": "acme",
            "requests": 201,
            "failed": 1,
            "rejected": 4,
            "cost_usd": "0.41",
        }
    ],
    "budgets": [
        {
            "tenant_id": "tenant_1f2e3d4c5b6a798897a6b5c4",
            "tenant_name": "Acme",
            "id": "bud_0f1e2d3c4b5a69788796a5b4",
            "name": "team-a monthly",
            "unit": "usd",
            "on_spent": "reject",
            "limit": "250",
            "used": "241.5",
            "held": "0.2",
            "resets_at": "2027-01-31T23:00:00.000Z",
        }
    ],
}
