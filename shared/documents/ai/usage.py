"""Usage as JSON: sums by day, model and others, and rows of the ledger."""

from collections.abc import Container
from datetime import date
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, validate

from shared.core.fields import Strict, Timestamp
from shared.documents.fields import nullable
from shared.model.amounts import usd
from shared.usage.aggregates import DIMENSIONS, Totals
from shared.usage.row import UNITS, AbandonedCall, LedgerRow

DAY: Final = "day"
TAG: Final = "tag"
TENANT: Final = "tenant"
#: The fields by which a report of a tenant may be grouped.
GROUPS: Final = (DAY, *DIMENSIONS, TAG)
PLATFORM_GROUPS: Final = (TENANT, DAY, *DIMENSIONS)
FORMATS: Final = ("json", "csv")
# No gateway has older usage, and reports count back from a day.
_FIRST_YEAR: Final = 2000


class Day(fields.Field[date]):
    """A day in UTC, such as ``2026-12-01``."""

    def __init__(self, description: str) -> None:
        kind = {"type": "string", "format": "date", "description": description}
        super().__init__(load_default=None, metadata=kind)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> date:
        try:
            if not isinstance(value, str) or len(value) != len("2026-12-01"):
                raise ValueError
            day = date.fromisoformat(value)
        except ValueError:
            raise ValidationError("Must be a day such as 2026-12-01.") from None
        if day.year < _FIRST_YEAR:
            raise ValidationError(f"Must be a day from the year {_FIRST_YEAR} on.")
        return day


class Groups(fields.String):
    """Names with commas between them."""

    def __init__(self, allowed: tuple[str, ...], default: str) -> None:
        self.allowed = allowed
        text = f"Some of {', '.join(allowed)}, with commas between them. Default: {default}."
        super().__init__(load_default=[default], metadata={"description": text})

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        names = super()._deserialize(value, attr, data, **kwargs).split(",")
        unknown = [name for name in names if name not in self.allowed]
        if unknown:
            raise ValidationError(f"Must be some of: {', '.join(self.allowed)}. Not {unknown[0]}.")
        return list(dict.fromkeys(names))


class UsageQuery(Strict):
    """The days of a report, and how it is grouped."""

    first = Day("The first day, in UTC. Default: 30 days before the last.")
    last = Day("The last day, in UTC. Default: today.")
    group_by = Groups(GROUPS, DAY)
    format = fields.String(
        load_default="json",
        validate=validate.OneOf(FORMATS),
        metadata={"description": "json, or csv with one line per group."},
    )

    def on_bind_field(self, field_name: str, field_obj: Any) -> None:
        # "from" is a word of Python.
        field_obj.data_key = {"first": "from", "last": "to"}.get(field_name)


class PlatformUsageQuery(UsageQuery):
    """The days of a report about all tenants, and how it is grouped."""

    group_by = Groups(PLATFORM_GROUPS, TENANT)


class UsageSum(Schema):
    """The usage of one group. It has a member for each name in group_by."""

    tenant = fields.String(metadata={"description": "The id of the tenant."})
    day = fields.String(metadata={"description": "The day in UTC."})
    key = fields.String(metadata={"description": "The id of the API key; empty without one."})
    user = fields.String(metadata={"description": "The user of the API key."})
    rule = fields.String(metadata={"description": "The id of the rule."})
    provider = fields.String(metadata={"description": "The name of the provider."})
    model = fields.String(metadata={"description": "The name that the provider knows."})
    tag = fields.String(
        metadata={"description": "One pair of the metadata of API keys, as name=value; empty without any."}
    )
    calls = fields.Integer(required=True)
    input = fields.Integer(required=True, metadata={"description": "Tokens, those from a cache included."})
    output = fields.Integer(required=True, metadata={"description": "Tokens."})
    cached = fields.Integer(
        required=True, metadata={"description": "Tokens of input from the provider's cache."}
    )
    cost = fields.String(
        required=True, metadata={"description": "USD of the calls whose price is known, as decimal text."}
    )
    unpriced = fields.Integer(
        required=True, metadata={"description": "Calls whose price is not known; cost does not have them."}
    )


class UsageReport(Schema):
    """The usage of some days, in groups."""

    first = fields.String(required=True, data_key="from")
    last = fields.String(required=True, data_key="to")
    group_by = fields.List(fields.String(), required=True)
    usage = fields.List(fields.Nested(UsageSum), required=True)


class UsageOfCall(Schema):
    """The usage and the cost of one call."""

    provider = fields.String(required=True)
    model = fields.String(required=True)
    usage = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "Tokens and pieces by unit."},
    )
    source = fields.String(required=True, metadata={"description": "reported, estimated or mixed."})
    cost = fields.String(**nullable("USD as decimal text. null: the price is not known."))


class AdjustmentOfBudget(Schema):
    """A change of a budget that an operator made."""

    action = fields.String(
        required=True,
        metadata={
            "description": "reset: nothing is used any more. increase: the limit grows for a time. "
            "repair: what is used was computed from the rows again."
        },
    )
    amount = fields.Integer(
        required=True,
        metadata={
            "description": "The amount that a reset (below 0) or a repair added to the used one; "
            "what an increase added to the limit."
        },
    )
    actor = fields.String(required=True, metadata={"description": "The author, as in the audit log."})


class UsageRow(UsageOfCall):
    """One call in the ledger, or an adjustment of a budget, which has no usage."""

    id = fields.String(required=True)
    time = Timestamp("The end of the request.", required=True)
    request_id = fields.String(required=True)
    key = fields.String(required=True)
    rule = fields.String(required=True)
    user = fields.String(required=True)
    tags = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    provider_key = fields.String(
        required=True,
        metadata={
            "description": "The id of the provider's key. Empty for the client's own credential, and for "
            "a key that the providers of the tenant that reads it do not have."
        },
    )
    model_asked = fields.String(required=True)
    api = fields.String(required=True)
    status = fields.Integer(
        required=True,
        metadata={"description": "The status that the client got. 0: none, because it had left."},
    )
    stream = fields.Boolean(required=True)
    attempts = fields.Integer(required=True)
    abandoned = fields.List(
        fields.Nested(UsageOfCall),
        required=True,
        metadata={
            "description": "Calls that had reported usage when they failed, so that another one followed. "
            "`usage` and `cost` have them, too."
        },
    )
    duration_ms = fields.Integer(required=True)
    first_ms = fields.Integer(**nullable())
    budgets = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={
            "description": "Its amount in each budget, by `<id>:<begin of the period in seconds>`: "
            "nano-USD (0.000000001 USD), tokens or requests."
        },
    )
    adjustment = fields.Nested(AdjustmentOfBudget, **nullable("The change. null: the row is that of a call."))


class UsageRows(Schema):
    """Rows of the ledger, the newest first."""

    rows = fields.List(fields.Nested(UsageRow), required=True)
    count = fields.Integer(required=True)
    next_cursor = fields.String(**nullable())


def sum_document(group: dict[str, str], totals: Totals) -> dict[str, Any]:
    """The JSON of one group."""
    return {**group, **totals.as_json()}


def row_document(row: LedgerRow, provider_keys: Container[str] | None = None) -> dict[str, Any]:
    """The JSON of a row, which names one of `provider_keys` only; None: it names any."""
    members = {name: getattr(row, name) for name in UsageRow().fields if hasattr(row, name)}
    if provider_keys is not None and row.provider_key not in provider_keys:
        members["provider_key"] = ""
    abandoned = [{"provider": one.provider, "model": one.model, **_used(one)} for one in row.abandoned]
    document: dict[str, Any] = UsageRow().dump({**members, **_used(row), "abandoned": abandoned})
    return document


def _used(one: LedgerRow | AbandonedCall) -> dict[str, Any]:
    units = {name: amount for name in UNITS if (amount := getattr(one.usage, name))}
    cost = None if one.cost_nano is None else usd(one.cost_nano)
    return {"usage": units, "source": one.usage.source, "cost": cost}
