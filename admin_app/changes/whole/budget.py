"""A budget in a change: checked, complete, and with its warnings."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfo

from admin_app.auth.field_access import check_owner
from admin_app.changes.offered import Offered
from admin_app.changes.owners import holding_of, name_taken
from admin_app.changes.platform import platform
from admin_app.changes.read_only import split_read_only
from admin_app.context import services
from admin_app.http.errors import ApiError, problem_documents, raise_problems
from shared.budgets.settings import budget_values, check_budget, has_start
from shared.core.errors import Problem, Rejection
from shared.core.globs import matches_glob
from shared.documents.ai.budget import budget_document, increase_document
from shared.documents.ai.known_models import Prices
from shared.model.budgets import REJECT, USD, Budget
from shared.model.config import ApiKey, Rule, Snapshot
from shared.model.providers import AiRule
from shared.providers.resolve import Resolution
from shared.providers.shipped.model_table import shipped_models
from shared.usage.row import day_of

_UNIT: Final = "A budget keeps its unit, because it has counted in it. Make another budget."
_NOT_STORED: Final = "There is no such increase. POST …/increase adds one."
# Models whose prices are looked up for a warning, and those that it names.
_LOOKED_UP: Final = 500
_TOLD: Final = 5


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
    found = [*_downgrades(before, budget)]
    if found and all(isinstance(one, Rejection) for _, one in found):
        yield Problem("/downgrade_to", found[0][1].message)  # type: ignore[union-attr]


def _downgrades(before: Snapshot, budget: Budget) -> Iterator[tuple[Rule | None, Resolution | Rejection]]:
    """For each rule that the budget counts, what comes of its other model; without one, of all models."""
    offered = Offered(holding_of(before))
    key = next((one for one in before.keys if budget.scope.key == one.line and not one.revoked), None)
    counted = [rule for rule in before.rules if rule.ai and budget.scope.rule in (None, rule.id)]
    rules: Sequence[Rule | None] = counted or [None]
    for rule in rules:
        yield rule, _resolved(offered, (rule and rule.ai) or AiRule(), budget.downgrade_to or "", key)


def _resolved(offered: Offered, ai: AiRule, name: str, key: ApiKey | None) -> Resolution | Rejection:
    """What the name leads to, by any API."""
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


def budget_warnings(after: Snapshot, budget: Budget) -> list[dict[str, str]]:
    """Warnings about what a budget does not count, or rejects."""
    return problem_documents(
        [*_unmatched(after, budget), *_unpriced(after, budget), *_no_downgrades(after, budget)]
    )


def _unmatched(after: Snapshot, budget: Budget) -> Iterator[Problem]:
    """A warning for each member of a scope that fits nothing now."""
    scope, now = budget.scope, services().clock.now()
    active = [key for key in after.keys if key.status(now) == "active"]
    if scope.key is not None and all(key.line != scope.key for key in active):
        yield Problem("/scope/key", "No active API key is this one, so the budget counts nothing.")
    if scope.user is not None and all(key.user != scope.user for key in active):
        yield Problem("/scope/user", "No active API key has this user, so the budget counts nothing yet.")
    if scope.rule is not None and all(rule.id != scope.rule for rule in after.rules):
        yield Problem("/scope/rule", "There is no such rule, so the budget counts nothing.")
    if scope.tags and all(scope.tags.items() - key.metadata.items() for key in active):
        yield Problem("/scope/tag", "No active API key has this metadata, so the budget counts nothing yet.")


def _unpriced(after: Snapshot, budget: Budget) -> Iterator[Problem]:
    """A warning if the price of some models is not known."""
    if budget.unit != USD:
        return
    names = sorted({*_models_without_price(after, budget)})
    if not names:
        return
    told = ", ".join(names[:_TOLD]) + (f" and {len(names) - _TOLD} more" if len(names) > _TOLD else "")
    what = "are rejected" if budget.unpriced == REJECT else "are not counted"
    yield Problem("/unpriced", f"No price is known of {told}: calls {what}. Set prices of these models.")


def _models_without_price(after: Snapshot, budget: Budget) -> Iterator[str]:
    offered, scope = Offered(holding_of(after)), budget.scope
    prices = Prices(shipped=shipped_models(), platform=platform().prices, day=day_of(services().clock.now()))
    for rule in after.rules:
        if rule.ai is None or scope.rule not in (None, rule.id):
            continue
        resolver = offered.resolver(rule.ai)
        for name in islice(resolver.allowed_names(None), _LOOKED_UP):
            for target in resolver.targets_of(name):
                names = (name, target.model, target.full_name)
                is_meant = scope.provider in (None, target.provider.name) and _is_meant(scope.model, names)
                if is_meant and not prices.of(target.provider, target.model):
                    yield target.full_name


def _is_meant(glob: str | None, names: Iterable[str]) -> bool:
    return glob is None or any(matches_glob(glob.casefold(), name.casefold()) for name in names)


def _no_downgrades(after: Snapshot, budget: Budget) -> Iterator[Problem]:
    """A warning for each rule whose requests cannot go on with the other model."""
    if budget.downgrade_to is None:
        return
    for rule, found in _downgrades(after, budget):
        if rule is not None and isinstance(found, Rejection):
            detail = f"Once it is spent, requests to the rule {rule.name} are rejected: {found.message}"
            yield Problem("/downgrade_to", detail)
