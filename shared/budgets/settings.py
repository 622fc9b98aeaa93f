"""The settings of a budget: the requests that it counts, how much it allows per period, and what follows."""

import re
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, Final

from marshmallow import ValidationError, fields, validate

from shared.budgets.periods import DAYS, NAMED, TOTAL, effective_limit
from shared.core.errors import Problem, did_you_mean
from shared.core.fields import Pattern, Strict, choice, flag, text, validated
from shared.model.amounts import MAX_AMOUNT, UNITS, Amount, amount_text, format_amount, parse_amount
from shared.model.budgets import ALERT, CUT, DOWNGRADE, FINISH, REJECT, USD, Budget, BudgetScope

#: The percentages of a limit that raise an alert, if a budget does not name others.
DEFAULT_AT: Final = (50, 80, 95)
#: The most of them, and the most names of metadata in a scope.
MAX_ALERTS: Final = 10
MAX_TAGS: Final = 16
_DATE: Final = re.compile(r"2\d{3}-\d\d-\d\d")
_PERIODS: Final = f"{', '.join(NAMED)}, or a number of days such as 30d"


@cache
def timezones() -> frozenset[str]:
    """The names of all time zones: those that each machine with this release has."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


def _timezone(name: str) -> None:
    if name not in timezones():
        hint = did_you_mean(name, timezones()) or " Name one as IANA does, such as Europe/Berlin."
        raise ValidationError(f"There is no time zone {name}.{hint}")


def _period(name: str) -> None:
    if name not in NAMED and not DAYS.fullmatch(name):
        raise ValidationError(f"Must be one of {_PERIODS}.")


class AmountField(fields.Field[Amount]):
    """An amount with its unit, such as ``{"usd": "250.00"}``."""

    def __init__(self, description: str, **kwargs: Any) -> None:
        count = {"type": "integer", "minimum": 0, "maximum": MAX_AMOUNT}
        units = {one: count if one != USD else {"type": "string", "example": "250.00"} for one in UNITS}
        kind = {"type": "object", "properties": units, "additionalProperties": False}
        bounds = {"minProperties": 1, "maxProperties": 1}
        super().__init__(metadata={**kind, **bounds, "description": description}, **kwargs)

    def _serialize(
        self, value: Amount | None, attr: str | None, obj: Any, **kwargs: Any
    ) -> Mapping[str, str | int]:
        return {value.unit: format_amount(*value)} if value else {}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Amount:
        return validated(parse_amount, value if isinstance(value, Mapping) else {})


class ScopeSchema(Strict):
    """The requests that a budget counts."""

    key = text(64, "The id of an API key. Those that replace it count, too.", load_default=None)
    user = text(128, "The `user` of API keys.", load_default=None)
    model = text(
        256, "A model or a glob (gpt-*), matched with the name asked for and the one used.", load_default=None
    )
    provider = text(63, "The name of a provider.", load_default=None)
    rule = text(64, "The id of a rule.", load_default=None)
    tag = fields.Dict(
        keys=text(64, "A name."),
        values=text(256, "A value.", min_length=0),
        load_default=None,
        validate=validate.Length(max=MAX_TAGS),
        metadata={"description": "Names and values of the `metadata` of API keys."},
    )


class ScopeField(fields.Field[BudgetScope]):
    """The requests that have all of some members; without any, all requests."""

    def __init__(self, **kwargs: Any) -> None:
        self._schema = ScopeSchema()
        texts: Mapping[str, Any] = {
            name: {"type": ["string", "null"]} for name in self._schema.fields if name != "tag"
        }
        tag = {"type": ["object", "null"], "additionalProperties": {"type": "string"}}
        described = {
            name: {**kind, "description": self._schema.fields[name].metadata["description"]}
            for name, kind in {**texts, "tag": tag}.items()
        }
        description = (
            "The requests that it counts: those that have all of the members. {}: all of the tenant."
        )
        kind = {"type": "object", "properties": described, "additionalProperties": False}
        super().__init__(metadata={**kind, "description": description}, **kwargs)

    def _serialize(
        self, value: BudgetScope | None, attr: str | None, obj: Any, **kwargs: Any
    ) -> Mapping[str, Any]:
        value = value or BudgetScope()
        members = {name: getattr(value, name) for name in self._schema.fields if name != "tag"}
        found = {name: one for name, one in members.items() if one is not None}
        return {**found, "tag": dict(value.tags)} if value.tags else found

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> BudgetScope:
        members = self._schema.load(value)
        return BudgetScope(tags=members.pop("tag") or {}, **members)


class Day(fields.String):
    """A day as text, such as ``2026-12-01``."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        # YAML has days of its own.
        day = super()._deserialize(str(value) if type(value) is date else value, attr, data, **kwargs)
        try:
            date.fromisoformat(day if _DATE.fullmatch(day) else "")
        except ValueError:
            raise ValidationError("Must be a day of this calendar, such as 2026-12-01.") from None
        return day


class BudgetSettings(Strict):
    """A budget without its name."""

    scope = ScopeField(load_default=BudgetScope)
    limit = AmountField(
        'How much may be used per period: {"usd": "250.00"}, {"tokens": 5000000} or {"requests": 10000}.',
        required=True,
    )
    period = fields.String(
        required=True, validate=_period, metadata={"description": f"When counting begins anew: {_PERIODS}."}
    )
    timezone = fields.String(
        load_default="UTC",
        validate=[validate.Length(max=64), _timezone],
        metadata={"description": "The IANA time zone in which a period begins at midnight."},
    )
    starts = Day(
        load_default=None,
        allow_none=True,
        metadata={
            "format": "date",
            "description": "The first day of a period, for total and numbers of days. null: the stored one, "
            "or the day of the change.",
        },
    )
    on_spent = choice(
        REJECT,
        ALERT,
        DOWNGRADE,
        default=REJECT,
        description="When nothing is left: reject the request, only count on, or use downgrade_to.",
    )
    downgrade_to = text(256, "The model to go on with.", load_default=None, allow_none=True)
    at = fields.List(
        fields.Integer(strict=True, validate=validate.Range(1, 100)),
        load_default=lambda: list(DEFAULT_AT),
        validate=validate.Length(max=MAX_ALERTS),
        metadata={"description": "The percentages of the limit that raise an alert, in rising order."},
    )
    overrun = choice(
        CUT, FINISH, default=CUT, description="Whether a stream ends when nothing is left, or is finished."
    )
    on_error = choice(
        "local",
        "closed",
        "open",
        default="local",
        description="While Redis does not respond: a share of what was left, no request, or all of them.",
    )
    reserve = choice(
        "p95",
        "max",
        default="p95",
        description="The output that a request reserves: what is usual for its key and model, or the most.",
    )
    cap_output = flag(False, "true: the maximum output of a request is lowered to what is left.")
    unpriced = choice(
        REJECT, "allow", default=REJECT, description="Calls without a known price, for a limit in USD."
    )


def budget_values(loaded: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a `Budget` in loaded settings, which may be some of them only."""
    values = dict(loaded)
    if "limit" in values:
        values["unit"], values["limit"] = values["limit"]
    if "at" in values:
        values["at"] = tuple(values["at"])
    return values


def check_budget(budget: Budget, now: float = 0.0) -> list[Problem]:
    """The problems of a budget as a whole, with the increases that last at the time `now`."""
    problems = []
    if budget.starts is not None and not has_start(budget.period):
        detail = f"A {budget.period} begins with the calendar. Remove it."
        problems.append(Problem("/starts", detail))
    if budget.on_spent == DOWNGRADE and budget.downgrade_to is None:
        problems.append(Problem("/downgrade_to", "It is missing, because on_spent is downgrade. Add it."))
    if budget.on_spent != DOWNGRADE and budget.downgrade_to is not None:
        detail = "It is for on_spent downgrade only. Remove it, or set on_spent to downgrade."
        problems.append(Problem("/downgrade_to", detail))
    if list(budget.at) != sorted({*budget.at}):
        problems.append(Problem("/at", "Must be in rising order, and each percentage once."))
    if effective_limit(budget, now) > MAX_AMOUNT:
        most = amount_text(budget.unit, MAX_AMOUNT)
        problems.append(Problem("/limit", f"With its increases it must be at most {most}."))
    return problems


def has_start(period: str) -> bool:
    """Whether the periods depend on a day on which the first one begins."""
    return period == TOTAL or DAYS.fullmatch(period) is not None


#: Accepts the name of a budget of a tier: it is a part of its id.
TIER_NAME: Final = Pattern(
    r"[a-z0-9][a-z0-9._-]{0,62}",
    "Must be 1 to 63 of a-z, 0-9, '.', '_' and '-', and begin with a letter or digit.",
)
