"""Tiers: the shipped ones, changed and extended by config.yaml."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from marshmallow import ValidationError

from shared.budgets.settings import TIER_NAME, BudgetSettings, budget_values, check_budget
from shared.limits.settings import LimitsSchema
from shared.model.budgets import PLATFORM, Budget
from shared.model.config import Tier
from shared.settings.declare import check_names
from shared.settings.values import whole

_MAXIMUMS = (
    *("concurrent", "max_rules", "max_keys", "max_providers", "max_models", "max_targets"),
    "max_budgets",
)
# The things of one tenant cannot be named for all tenants of a tier.
_OF_TENANT = ("key", "rule")
_BUDGET = BudgetSettings()
#: As in config.yaml. None, or an omitted key of a new tier, means no limit.
SHIPPED: Mapping[str, Mapping[str, Any]] = {
    "basic": {
        "limits": {"global": {"limit": 600, "window": "1m"}},
        "concurrent": 20,
        "max_rules": 100,
        "max_keys": 50,
        "max_providers": 10,
        "max_models": 100,
        "max_targets": 20,
        "max_budgets": 50,
    },
    "pro": {
        "limits": {},
        "concurrent": 1000,
        "max_rules": 1000,
        "max_keys": 500,
        "max_providers": 100,
        "max_models": 1000,
        "max_targets": 200,
        "max_budgets": 500,
    },
    "enterprise": dict.fromkeys(_MAXIMUMS) | {"limits": {}},
}


def tiers(value: Any) -> Mapping[str, Tier]:
    """All tiers by name. Omitted keys and tiers keep the shipped values."""
    written = _map(value)
    found = {}
    for name in {**SHIPPED, **written}:
        changed = _map(written.get(name) or {}, name)
        found[name] = _within(name, _tier, str(name), {**SHIPPED.get(name, {}), **changed})
    return MappingProxyType(found)


def _tier(name: str, written: Mapping[str, Any]) -> Tier:
    check_names(written, ("limits", "budgets", *_MAXIMUMS))
    limits = _within("limits", _limits, written.get("limits") or {})
    maximums = {key: _within(key, _maximum, written.get(key)) for key in _MAXIMUMS}
    budgets = _within("budgets", _budgets, written.get("budgets") or {})
    return Tier(name=name, limits=limits, budgets=budgets, **maximums)


def _maximum(value: Any) -> int | None:
    return None if value is None else int(whole(0)(value))


def _limits(value: Any) -> Mapping[str, Any]:
    """Limits in the form of rate_limiter's ``limits``; may be empty."""
    written = _map(value)
    if written:
        LimitsSchema().load(written)
    return dict(written)


def _budgets(value: Any) -> tuple[Budget, ...]:
    """The budgets of the platform that each tenant of a tier has, by their names."""
    return tuple(_within(name, _budget, str(name), one) for name, one in _map(value).items())


def _budget(name: str, written: Any) -> Budget:
    loaded = budget_values(_BUDGET.load(_map(written)))
    # The same in each tier: who gets another tier goes on with what was counted.
    budget = Budget(id=f"tier_{TIER_NAME(name)}", name=name, owner=PLATFORM, **loaded)
    problems = {one.pointer.removeprefix("/"): [one.detail] for one in check_budget(budget)}
    for member in _OF_TENANT:
        if getattr(budget.scope, member) is not None:
            problems["scope"] = [
                f"It is for all tenants of the tier, which share no {member}. Remove {member}."
            ]
    if problems:
        raise ValidationError(problems)
    return budget


def _map(value: Any, *place: str) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    problem: Any = ["must be a map"]
    raise ValidationError({place[0]: problem} if place else problem)


def _within(name: str, read: Any, *values: Any) -> Any:
    """The result of `read`; its errors are reported below `name`."""
    try:
        return read(*values)
    except ValidationError as error:
        raise ValidationError({name: error.messages}) from None
    except ValueError as error:
        raise ValidationError({name: [str(error)]}) from None
