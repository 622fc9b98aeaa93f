"""A budget in a change: checked and complete."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from admin_app.auth.field_access import check_owner
from admin_app.changes.offered import Offered
from admin_app.changes.owners import holding_of, name_taken
from admin_app.changes.read_only import split_read_only
from admin_app.context import services
from admin_app.http.errors import ApiError, raise_problems
from shared.budgets.settings import budget_values, check_budget, has_start
from shared.core.errors import Problem, Rejection
from shared.documents.ai.budget import budget_document, increase_document
from shared.model.budgets import Budget
from shared.model.config import ApiKey, Rule, Snapshot
from shared.model.providers import AiRule
from shared.providers.resolve import Resolution

_UNIT: Final = "A budget keeps its unit, because it has counted in it. Make another budget."
_NOT_STORED: Final = "There is no such increase. POST …/increase adds one."


def changed_budget(before: Snapshot, stored: Budget, sent: Mapping[str, Any], now: float) -> Budget:
    """The budget with the changes of a body. Raises `Invalid` and `ApiError`."""
    values, problems = split_read_only(sent, lambda: budget_document(stored))
    values.pop("state", None)
    values, found = _with_increases(budget_values(values), stored)
    is_new = all(one.id != stored.id for one in before.tenant.budgets)
    if values.get("owner", "") is None:
        del values["owner"]
    budget = _with_start(replace(stored, **values), stored, values.get("starts"), now)
    problems += [*found, *check_budget(budget, now)]
    if budget.unit != stored.unit and not is_new:
        problems.append(Problem("/limit", _UNIT))
    budget, unknown = _with_references(before, budget, stored)
    rejections = [check_owner(stored, budget), name_taken(stored, budget, before.tenant.budgets)]
    raise_problems(problems, unknown, rejections=rejections)
    return budget


def _with_increases(values: dict[str, Any], stored: Budget) -> tuple[dict[str, Any], list[Problem]]:
    """The members with the stored increases in place of those that were sent, which they are equal to."""
    sent = values.pop("increases", None)
    if sent is None:
        return values, []
    known = [(increase_document(stored.unit, one), one) for one in stored.increases]
    kept = [one for shown, one in known if shown in sent]
    shown = [one for one, _ in known]
    problems = [Problem(f"/increases/{i}", _NOT_STORED) for i, one in enumerate(sent) if one not in shown]
    return {**values, "increases": tuple(kept)}, problems


def _with_start(budget: Budget, stored: Budget, sent: str | None, now: float) -> Budget:
    """The budget with the first day of its first period, if it depends on one."""
    if not has_start(budget.period):
        return replace(budget, starts=sent)
    today = datetime.fromtimestamp(now, ZoneInfo(budget.timezone)).date().isoformat()
    return replace(budget, starts=sent or stored.starts or today)


def _with_references(before: Snapshot, budget: Budget, stored: Budget) -> tuple[Budget, list[Problem]]:
    """The budget with the line of its API key, and a problem for each name that is not there.

    Stored names stay allowed, so that a budget can be changed whose key is gone.
    """
    scope, problems = budget.scope, []
    if scope.key != stored.scope.key and scope.key is not None:
        keys = [key for key in before.keys if scope.key in (key.id, key.line)]
        if keys:
            scope = replace(scope, key=keys[0].line)
        else:
            hint = "GET …/api-keys lists them."
            problems.append(Problem("/scope/key", f"There is no API key {scope.key}. {hint}"))
    if scope.rule not in (None, stored.scope.rule, *(rule.id for rule in before.rules)):
        problems.append(Problem("/scope/rule", f"There is no rule {scope.rule}. GET …/rules lists them."))
    if scope.provider not in (None, stored.scope.provider):
        problems += holding_of(before).unknown_providers({"/scope/provider": scope.provider})
    budget = replace(budget, scope=scope)
    is_same = (budget.downgrade_to, scope) == (stored.downgrade_to, stored.scope)
    if budget.downgrade_to is not None and not is_same:
        problems += _unusable(before, budget)
    return budget, problems


def _unusable(before: Snapshot, budget: Budget) -> Iterator[Problem]:
    """A problem if no request that the budget counts could go on with another model."""
    found = [one for _, one in downgrades(Offered(holding_of(before)), before, budget)]
    rejections = [one for one in found if isinstance(one, Rejection)]
    if len(rejections) == len(found):
        yield Problem("/downgrade_to", rejections[0].message)


def downgrades(
    offered: Offered, snapshot: Snapshot, budget: Budget
) -> Iterator[tuple[Sequence[Rule], Resolution | Rejection]]:
    """The result of the other model of a budget, for rules that serve the same; without rules, for all."""
    key = next((one for one in snapshot.keys if budget.scope.key == one.line and not one.revoked), None)
    rules = [rule for rule in snapshot.rules if budget.scope.rule in (None, rule.id)]
    for ai, same in (rules_by_ai(rules) or {AiRule(): []}).items():
        yield same, _resolved(offered, ai, budget.downgrade_to or "", key)


def rules_by_ai(rules: Iterable[Rule]) -> dict[AiRule, list[Rule]]:
    """The rules for AI, by what they serve: most serve the same."""
    found: dict[AiRule, list[Rule]] = {}
    for rule in rules:
        if rule.ai is not None:
            found.setdefault(rule.ai, []).append(rule)
    return found


def _resolved(offered: Offered, ai: AiRule, name: str, key: ApiKey | None) -> Resolution | Rejection:
    """The targets of the name, by any API, or the rejection."""
    resolver = offered.resolver(ai)
    found = resolver.resolve(name, "", key)
    for api in sorted(offered.apis(ai)):
        if isinstance(found := resolver.resolve(name, api, key), Resolution):
            break
    return found


def lost_references(before: Snapshot, after: Snapshot, budget: Budget) -> Iterator[Problem]:
    """A problem for each name of a budget that a change removes."""
    scope, gone = budget.scope, "The change removes the {} {}, which the budget names."
    rules = [{rule.id for rule in one.rules} for one in (before, after)]
    if scope.rule in rules[0] - rules[1]:
        yield Problem("/scope/rule", gone.format("rule", scope.rule))
    usable = [holding_of(one).usable.keys() for one in (before, after)]
    if scope.provider in usable[0] - usable[1]:
        yield Problem("/scope/provider", gone.format("provider", scope.provider))
    models = [{model.name for model in one.tenant.models} for one in (before, after)]
    if budget.downgrade_to in models[0] - models[1]:
        yield Problem("/downgrade_to", gone.format("model", budget.downgrade_to))


def check_rule_unused(before: Snapshot, rule: Rule) -> None:
    """Raise 409 if budgets name a rule."""
    named = [one.name for one in before.tenant.budgets if one.scope.rule == rule.id]
    if named:
        detail = f"The rule {rule.id} ({rule.path}) is used by {_budgets(named)}. Change these first."
        raise ApiError("in_use", detail)


def _budgets(names: Sequence[str]) -> str:
    return ", ".join(f"the budget {name}" for name in names)


def budgets_of_key(snapshot: Snapshot, key: ApiKey) -> list[str]:
    """The names of the budgets that count nothing any more without this API key."""
    now = services().clock.now()
    others = [one for one in snapshot.keys if one.line == key.line and one.status(now) == "active"]
    return [] if others else [one.name for one in snapshot.tenant.budgets if one.scope.key == key.line]
