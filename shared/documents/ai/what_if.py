"""Limits that are tried on recorded calls, as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, validate

from shared.budgets.what_if import LimitEffect, can_try
from shared.core.fields import Timestamp
from shared.documents.ai.usage import Day
from shared.documents.fields import Input, amount, nullable
from shared.limits.headers import with_amounts
from shared.limits.quotas import UNITS
from shared.limits.settings import LimitsSchema
from shared.limits.values import LimitSpec

#: The limits that are tried at once.
MAX_TRIED: Final = 16


def _can_be_tried(specs: Sequence[LimitSpec]) -> None:
    unknown = [spec.name for spec in specs if not can_try(spec)]
    if unknown:
        raise ValidationError(
            f"{unknown[0]} cannot be tried: recorded calls do not have what it counts by. Use global, "
            "per_key and per_model."
        )
    if len(specs) > MAX_TRIED:
        raise ValidationError(f"Must have at most {MAX_TRIED} quotas.")


class WhatIfInput(Input):
    """Limits, and the recorded calls on which they are tried."""

    first = Day("The first day, in UTC. Default: 6 days before the last.")
    last = Day("The last day, in UTC. Default: today.")
    rule = fields.String(
        load_default=None,
        validate=validate.Length(max=100),
        metadata={"description": "The id of a rule, whose calls alone are tried. null: those of all rules."},
    )
    limits = fields.Nested(
        LimitsSchema,
        required=True,
        validate=_can_be_tried,
        metadata={"description": "As in the rate limiter: global, per_key and per_model."},
    )

    def on_bind_field(self, field_name: str, field_obj: Any) -> None:
        super().on_bind_field(field_name, field_obj)
        # "from" is a word of Python.
        field_obj.data_key = {"first": "from", "last": "to"}.get(field_name)


class TriedKey(Schema):
    """The effect of a limit on the calls of an API key."""

    key = fields.String(required=True, metadata={"description": "Its id; empty for calls without a key."})
    name = fields.String(**nullable("Its name; null if it was deleted."))
    requests = fields.Integer(required=True)
    rejected = fields.Integer(required=True)


class TriedLimit(Schema):
    """The effect of a limit, if it was the only one."""

    name = fields.String(required=True)
    unit = fields.String(required=True, validate=validate.OneOf(UNITS))
    limit = amount()
    window_ms = fields.Integer(required=True)
    requests = fields.Integer(required=True, metadata={"description": "The calls that it counts."})
    rejected = fields.Integer(required=True, metadata={"description": "Those that it would have rejected."})
    unpriced = fields.Integer(
        required=True,
        metadata={"description": "Calls whose price is not known. A limit in usd would have rejected them."},
    )
    first_rejected_at = Timestamp("When the first rejected call began.", required=True, allow_none=True)
    peak = amount()
    peak_at = Timestamp("When a window first held the peak.", required=True, allow_none=True)
    keys = fields.List(fields.Nested(TriedKey), required=True)


class WhatIfReport(Schema):
    """The effect of each limit on the recorded calls."""

    first = fields.String(required=True, data_key="from")
    last = fields.String(required=True, data_key="to")
    calls = fields.Integer(required=True, metadata={"description": "The calls that were tried."})
    is_truncated = fields.Boolean(
        required=True, metadata={"description": "There are more calls: only the newest were tried."}
    )
    oldest_at = Timestamp("When the oldest of the calls ended.", required=True, allow_none=True)
    limits = fields.List(fields.Nested(TriedLimit), required=True)


def effect_document(effect: LimitEffect, names: Mapping[str, str]) -> dict[str, Any]:
    """The JSON of the effect of one limit; `names` are those of API keys by id."""
    spec = effect.spec
    shown = with_amounts({"unit": spec.unit, "limit": spec.quota.limit})
    return {
        "name": spec.name,
        **shown,
        "window_ms": spec.quota.window_ms,
        "requests": effect.requests,
        "rejected": effect.rejected,
        "unpriced": effect.unpriced,
        "first_rejected_at": effect.first_rejected_at,
        "peak": with_amounts({"unit": spec.unit, "limit": effect.peak})["limit"],
        "peak_at": effect.peak_at,
        "keys": [{**one._asdict(), "name": names.get(one.key)} for one in effect.keys],
    }
