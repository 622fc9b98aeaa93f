"""Budgets as JSON: how much the calls of a tenant may use per period, and what they have used."""

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, post_load, validate

from shared.budgets.periods import Period
from shared.budgets.settings import AmountField, BudgetSettings, ScopeField
from shared.core.fields import Timestamp, text, validated
from shared.documents.fields import Input, Page, Tags, Whole, nullable, read_only, tags_output, warnings_field
from shared.model.amounts import UNITS, Amount, format_amount, parse_amount
from shared.model.budgets import PLATFORM, TENANT, Budget, Increase

#: The most increases of one budget; those that have ended make room.
MAX_INCREASES: Final = 50


class BudgetInput(BudgetSettings, Input):
    """A budget to create."""

    name = text(200, "Unique in the tenant.", required=True)
    owner = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.OneOf([TENANT, PLATFORM]),
        metadata={
            "description": "The side that may change it. null: the stored one, or the caller. Only the "
            "platform may set it to platform."
        },
    )
    tags = Tags()


class AmountMembers(Input):
    """An amount as a member of a body: one of usd, tokens and requests."""

    usd = fields.Raw(metadata={"type": "string", "description": "Decimal text, such as 50.00."})
    tokens = fields.Raw(metadata={"type": "integer"})
    requests = fields.Raw(metadata={"type": "integer"})

    @post_load
    def _amount(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        written = {unit: data.pop(unit) for unit in UNITS if unit in data}
        try:
            amount = validated(parse_amount, written)
        except ValidationError as error:
            if len(written) != 1:
                raise
            raise ValidationError(error.messages, field_name=next(iter(written))) from None
        return {**data, "amount": amount}


class IncreaseInput(AmountMembers):
    """An amount to add to the limit of a budget, in its unit."""

    until = Timestamp(
        "When it ends. null: with the present period.",
        load_default=None,
        allow_none=True,
    )


class KeptIncrease(AmountMembers):
    """A stored increase, as it was read."""

    until = Timestamp("", required=True, allow_none=True)
    by = fields.String(required=True)
    at = Timestamp("", required=True)

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        amount: Amount = data.pop("amount")
        return increase_document(amount.unit, Increase(amount=amount.value, **data))


class ResetInput(Input):
    """An empty object."""


class BudgetReplacement(BudgetInput):
    """A budget to replace."""

    id = read_only()
    created_at = read_only(format="date-time")
    updated_at = read_only(format="date-time")
    increases = fields.List(
        Whole(KeptIncrease),
        validate=validate.Length(max=MAX_INCREASES),
        metadata={"description": "The stored ones to keep; others end. null or omitted: all of them."},
    )
    state = fields.Dict(metadata={"readOnly": True, "description": "It is not read."})


class BudgetPatch(BudgetReplacement):
    """The fields of a budget to change."""


def _amount_output(description: str) -> fields.Raw:
    return fields.Raw(required=True, metadata={"type": ["string", "integer"], "description": description})


class IncreaseOutput(Schema):
    """An amount that is added to the limit: one of usd, tokens and requests."""

    usd = fields.String()
    tokens = fields.Integer()
    requests = fields.Integer()
    until = Timestamp("When it ends. null: never.", required=True, allow_none=True)
    by = fields.String(required=True, metadata={"description": "The author, as in the audit log."})
    at = Timestamp("When it was made.", required=True)


class BudgetStateOutput(Schema):
    """The state of a budget in the present period. Amounts are as in the limit: USD as decimal text."""

    limit = _amount_output("The limit with its increases.")
    used = _amount_output("The amount that calls have used that are over.")
    held = _amount_output("The amount that is reserved for running calls.")
    remaining = _amount_output("The amount that is left.")
    over = _amount_output("The amount used above the limit, by calls that used more than they had reserved.")
    lost = fields.Integer(
        required=True,
        metadata={"description": "Reservations that counted in full, because their worker ended."},
    )
    period_start = Timestamp("The begin of the present period.", required=True)
    resets_at = Timestamp("Its end. null: it has none.", required=True, allow_none=True)


class BudgetOutput(Schema):
    """A stored budget."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    owner = fields.String(required=True, validate=validate.OneOf([TENANT, PLATFORM]))
    scope = ScopeField(required=True)
    limit = AmountField("How much may be used per period.", required=True)
    period = fields.String(required=True)
    timezone = fields.String(required=True)
    starts = fields.String(**nullable())
    on_spent = fields.String(required=True)
    downgrade_to = fields.String(**nullable())
    at = fields.List(fields.Integer(), required=True)
    overrun = fields.String(required=True)
    on_error = fields.String(required=True)
    reserve = fields.String(required=True)
    cap_output = fields.Boolean(required=True)
    unpriced = fields.String(required=True)
    increases = fields.List(fields.Nested(IncreaseOutput), required=True)
    tags = tags_output()
    created_at = Timestamp("Time of creation.", required=True)
    updated_at = Timestamp("Time of the last change.", required=True)


class BudgetRead(BudgetOutput):
    """A budget with what it has counted."""

    state = fields.Nested(BudgetStateOutput, required=True)


class BudgetChanged(BudgetRead):
    """A changed budget, and warnings about it."""

    warnings = warnings_field()


class BudgetList(Page):
    """One page of a tenant's budgets, in order of creation."""

    budgets = fields.List(fields.Nested(BudgetRead), required=True)
    of_tier = fields.List(
        fields.Nested(BudgetRead),
        required=True,
        metadata={"description": "The budgets that each tenant of the tier has, by config.yaml."},
    )


_INCREASE = IncreaseOutput()
_STATE = BudgetStateOutput()
#: Made once: to make it takes longer than to use it.
_OUTPUT = BudgetOutput()


def increase_document(unit: str, increase: Increase) -> dict[str, Any]:
    """The JSON of an increase."""
    times = {"until": increase.until, "by": increase.by, "at": increase.at}
    document: dict[str, Any] = _INCREASE.dump({unit: format_amount(unit, increase.amount), **times})
    return document


def budget_document(budget: Budget) -> dict[str, Any]:
    """The JSON of a budget."""
    members = {name: getattr(budget, name) for name in _OUTPUT.fields}
    limit = Amount(budget.unit, budget.limit)
    document: dict[str, Any] = _OUTPUT.dump({**members, "limit": limit, "increases": []})
    document["increases"] = [increase_document(budget.unit, one) for one in budget.increases]
    return document


def state_document(budget: Budget, period: Period, counted: Mapping[str, int], limit: int) -> dict[str, Any]:
    """The JSON of what a budget has counted in a period, of its limit with increases.

    `counted` has `used`, `held`, `lost` and `over`.
    """
    amounts = {
        "limit": limit,
        "used": counted["used"],
        "held": counted["held"],
        "remaining": limit - counted["used"] - counted["held"],
        "over": counted["over"],
    }
    shown = {name: format_amount(budget.unit, max(value, 0)) for name, value in amounts.items()}
    times = {"period_start": period.start, "resets_at": period.end}
    document: dict[str, Any] = _STATE.dump({**shown, "lost": counted["lost"], **times})
    return document
