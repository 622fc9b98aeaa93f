"""A whole document judged: all parts of a tenant or of the platform, by the checks of single changes.

Pointers go into the document, in which rules, providers, models, webhooks and budgets are by their ids:
``/rules/rule_1/path``.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from admin_app.changes.check_targets import CheckedTargets, check_all_targets
from admin_app.changes.entries import forget_parsed
from admin_app.changes.limits import limits_by_rule
from admin_app.changes.owners import Holding, Owner, check_keeps_shared, holding_of
from admin_app.changes.providers import CheckedProvider, changed_provider, check_base, provider_warnings
from admin_app.changes.rules import rule_warnings, with_changed
from admin_app.changes.snapshot import tier_maximum
from admin_app.changes.whole.budget import changed_budget, lost_references
from admin_app.changes.whole.budget_warnings import BudgetWarnings
from admin_app.changes.whole.model import changed_model, model_warnings
from admin_app.changes.whole.tenant import changed_tenant, tenant_warnings
from admin_app.changes.whole.webhook import (
    changed_webhook,
    check_url,
    too_many_webhooks,
    webhook_warnings,
)
from admin_app.http.errors import ApiError, problem_documents, raise_problems
from shared.core.errors import Invalid, Problem
from shared.core.json_pointer import escape_step
from shared.model.budgets import Budget
from shared.model.config import Rule, Snapshot, Tenant
from shared.model.providers import Model, PlatformDocument, Provider
from shared.model.webhooks import MAX_WEBHOOKS, Webhook
from shared.providers.shipped.presets import CUSTOM

type Prices = Mapping[str, Mapping[str, str]]
type Warnings = list[dict[str, str]]


class Part[Item](NamedTuple):
    """One part: the body of its change, and `basis`, the stored part or a blank one with its id."""

    sent: Mapping[str, Any]
    basis: Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A document as it shall be. Anything that is not in it is removed.

    Attributes:
        tenant: the body of a change of the tenant's fields.
        rules, providers, models, budgets, webhooks: the parts by their ids, in order.
        prices: those of the platform.
    """

    tenant: Mapping[str, Any] = field(default_factory=dict)
    rules: Mapping[str, Part[Rule]] = field(default_factory=dict)
    providers: Mapping[str, Part[Provider]] = field(default_factory=dict)
    models: Mapping[str, Part[Model]] = field(default_factory=dict)
    budgets: Mapping[str, Part[Budget]] = field(default_factory=dict)
    webhooks: Mapping[str, Part[Webhook]] = field(default_factory=dict)
    prices: Prices = field(default_factory=dict)


class Checked(NamedTuple):
    """The URLs of a document, checked: those of the tenant, and of each rule, provider and webhook."""

    tenant: CheckedTargets
    rules: Mapping[str, CheckedTargets]
    providers: Mapping[str, CheckedProvider]
    webhooks: Mapping[str, CheckedTargets]


def check_wanted(wanted: Wanted) -> Checked:
    """Check the URLs. Host names are resolved, so this happens before the change."""
    bodies = {f"/rules/{name}": part.sent for name, part in wanted.rules.items()}
    found = check_all_targets({"": wanted.tenant, **bodies})
    return Checked(
        found[""],
        {name: found[f"/rules/{name}"] for name in wanted.rules},
        {name: check_base(part.basis, part.sent) for name, part in wanted.providers.items()},
        {name: check_url(part.sent) for name, part in wanted.webhooks.items()},
    )


def judged_tenant(
    before: Snapshot, wanted: Wanted, checked: Checked, now: float
) -> tuple[Snapshot, Warnings]:
    """The tenant with the document, complete and sealed, and warnings about what differs.

    Raises `Invalid` with all problems, and `ApiError`.
    """
    forget_parsed()
    problems = Problems()
    tenant = before.tenant
    with problems.below(""):
        tenant = changed_tenant(replace(before, rules=()), wanted.tenant, checked.tenant, now).tenant
    bare = replace(before, tenant=replace(tenant, providers=(), models=()), rules=())
    known = holding_of(before)
    change = _Change(
        owner=Owner(tenant.id), known=known, wanted=wanted, checked=checked, problems=problems, now=now
    )
    holding, lost = _held(change, Holding((), (), bare))
    tenant = replace(tenant, **holding.members)
    after = _with_budgets(change, before, _with_rules(change, before, tenant, lost))
    counts = {
        "rules": len(before.rules),
        "providers": len(known.providers),
        "models": len(known.models),
        "budgets": len(before.tenant.budgets),
    }
    for kind, count in counts.items():
        problems.found += _too_many(after, kind, len(getattr(wanted, kind)), count)
    problems.raise_all()
    check_keeps_shared(before, after)
    return after, _warnings(before, after, checked)


def judged_platform(
    before: PlatformDocument, wanted: Wanted, checked: Checked, now: float
) -> tuple[PlatformDocument, Warnings]:
    """The same for the platform."""
    problems = Problems()
    known = holding_of(before)
    change = _Change(owner=Owner(), known=known, wanted=wanted, checked=checked, problems=problems, now=now)
    holding, _ = _held(change, Holding((), ()))
    problems.raise_all()
    after = replace(before, **holding.members, prices=wanted.prices, updated_at=now)
    return after, list(_warnings_of_held(known, holding, checked))


class Problems:
    """The problems of all parts."""

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self._rejections: list[ApiError] = []

    @contextmanager
    def below(self, pointer: str) -> Iterator[None]:
        """Collect what is raised, with `pointer` before its own ones."""
        try:
            yield
        except Invalid as error:
            self.found += [replace(one, pointer=pointer + one.pointer) for one in error.problems]
        except ApiError as error:
            moved = [replace(one, pointer=pointer + one.pointer) for one in error.problems]
            moved = moved or [Problem(pointer, error.detail)]
            self._rejections.append(ApiError(error.code, error.detail, moved, status=error.status))

    def raise_all(self) -> None:
        """Raise `Invalid` with everything. One error with a status of its own stays as it is."""
        if len(self._rejections) == 1 and not self.found:
            raise self._rejections[0]
        found = [*self.found, *(one for error in self._rejections for one in error.problems)]
        if found:
            raise Invalid(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """The change to one document of an owner.

    Attributes:
        known: the holding of the owner before it.
        wanted: the document.
        checked: the results of the checks that were made before the change.
        problems: those that were found until now.
        now: the time, in seconds since the Unix epoch.
    """

    owner: Owner
    known: Holding
    wanted: Wanted
    checked: Checked
    problems: Problems
    now: float


def _held(change: _Change, holding: Holding) -> tuple[Holding, Set[str]]:
    """The wanted providers, models and webhooks, and the names of providers that are no longer usable."""
    holding = _with_providers(change, holding)
    lost = change.known.usable.keys() - holding.usable.keys()
    return _with_webhooks(change, _with_models(change, holding, lost)), lost


def _with_rules(change: _Change, before: Snapshot, tenant: Tenant, lost: Set[str]) -> Snapshot:
    """The tenant with the wanted rules. A rule is judged only if it, or anything around it, changes."""
    wanted, now = change.wanted, change.now
    stored = {rule.id: rule for rule in before.rules}
    is_same = not lost and replace(tenant, updated_at=before.tenant.updated_at) == before.tenant
    kept = {one for one, (sent, _) in wanted.rules.items() if is_same and not sent and one in stored}
    after = replace(before, tenant=tenant, rules=tuple(stored[one] for one in stored if one in kept))
    for rule_id, (sent, basis) in wanted.rules.items():
        if rule_id in kept:
            continue
        # A name that the rule had stays allowed, unless this change removes it.
        if basis.ai is not None and not lost.isdisjoint(basis.ai.providers):
            sent, basis = {"ai": basis.ai, **sent}, replace(basis, ai=None)
        with change.problems.below(f"/rules/{rule_id}"):
            changed = with_changed(after, basis, sent, change.checked.rules[rule_id], now).rules[-1]
            after = replace(after, rules=(*after.rules, _settled(changed, stored.get(rule_id), now)))
    found = {rule.id: rule for rule in after.rules}
    return replace(after, rules=tuple(found[one] for one in wanted.rules if one in found))


def _with_providers(change: _Change, holding: Holding) -> Holding:
    """The holding of the owner, with the wanted providers."""
    stored = {one.id: one for one in change.known.providers}
    for provider_id, (sent, basis) in change.wanted.providers.items():
        before = holding.with_provider(basis) if provider_id in stored else holding
        # Later checks know the name of one that is wrong.
        name = sent.get("name", basis.name)
        provider = Provider(provider_id, name, CUSTOM, base_url="https://missing.invalid", apis=("any",))
        with change.problems.below(f"/providers/{provider_id}"):
            changed = changed_provider(
                change.owner, before, basis, sent, change.checked.providers[provider_id]
            )
            provider = _settled(changed, stored.get(provider_id), change.now)
        if provider is not stored.get(provider_id):
            provider = replace(provider, version=basis.version + 1)
        holding = holding.with_provider(provider)
    return holding


def _with_models(change: _Change, holding: Holding, lost: Iterable[str]) -> Holding:
    """The holding of the owner, with the wanted models."""
    stored = {one.name: one for one in change.known.models}
    for name, (sent, basis) in change.wanted.models.items():
        # As with the names of rules.
        if {target.provider for target in basis.targets}.intersection(lost):
            sent, basis = {"targets": basis.targets, **sent}, replace(basis, targets=())
        before = holding.with_model(basis) if name in stored else holding
        with change.problems.below(f"/models/{escape_step(name)}"):
            model = _settled(changed_model(before, basis, sent), stored.get(name), change.now)
            holding = holding.with_model(model)
    return holding


def _with_webhooks(change: _Change, holding: Holding) -> Holding:
    """The holding of the owner, with the wanted webhooks."""
    stored = {one.id: one for one in change.known.webhooks}
    if len(change.wanted.webhooks) > max(MAX_WEBHOOKS, len(stored)):
        change.problems.found.append(too_many_webhooks("/webhooks", len(change.wanted.webhooks)))
    for webhook_id, (sent, basis) in change.wanted.webhooks.items():
        before = holding.with_webhook(basis) if webhook_id in stored else holding
        with change.problems.below(f"/webhooks/{webhook_id}"):
            webhook = changed_webhook(change.owner, before, basis, sent, change.checked.webhooks[webhook_id])
            holding = holding.with_webhook(_settled(webhook, stored.get(webhook_id), change.now))
    return holding


def _with_budgets(change: _Change, before: Snapshot, after: Snapshot) -> Snapshot:
    """The tenant `after` the change of all else, with the wanted budgets."""
    stored = {one.id: one for one in before.tenant.budgets}
    # Names are compared with those that stay, and with those that are changed already.
    found = {one: part.basis for one, part in change.wanted.budgets.items() if not part.sent}
    for budget_id, (sent, basis) in change.wanted.budgets.items():
        others = {one: budget for one, budget in found.items() if one != budget_id}
        known = (*others.values(), *([basis] if budget_id in stored else ()))
        with change.problems.below(f"/budgets/{budget_id}"):
            holder = replace(after, tenant=replace(after.tenant, budgets=known))
            budget = changed_budget(holder, basis, sent, change.now)
            raise_problems(lost_references(before, after, budget))
            found[budget_id] = _settled(budget, stored.get(budget_id), change.now)
    budgets = tuple(found[one] for one in change.wanted.budgets if one in found)
    return replace(after, tenant=replace(after.tenant, budgets=budgets))


def _settled[Item: (Rule, Provider, Model, Budget, Webhook)](
    after: Item, stored: Item | None, now: float
) -> Item:
    """The part as it is written: the stored one, if nothing but times differs."""
    if stored is not None:
        same = replace(after, updated_at=stored.updated_at)
        if isinstance(same, Rule) and isinstance(stored, Rule):
            same = replace(same, is_internal=stored.is_internal)
        if same == stored:
            return stored
    return replace(after, updated_at=now)


def _too_many(after: Snapshot, kind: str, count: int, before: int) -> Iterator[Problem]:
    """A problem if there are more parts than the tier allows, and than there were."""
    most = tier_maximum(after.tenant, f"max_{kind}")
    if most is not None and count > max(most, before):
        yield Problem(f"/{kind}", f"The document has {count} {kind}; the tier allows {most}. Remove some.")


def _warnings(before: Snapshot, after: Snapshot, checked: Checked) -> Warnings:
    found = []
    if _bare(before) != _bare(after):
        found += tenant_warnings(after.tenant, checked.tenant)
    found += _warnings_of_held(holding_of(before), holding_of(after), checked)
    stored = {id(rule) for rule in before.rules}
    changed = [rule for rule in after.rules if id(rule) not in stored]
    limits = limits_by_rule(after.tenant, changed) if changed else {}
    for rule in changed:
        of_rule = rule_warnings(after, rule, checked.rules[rule.id], limits)
        found += _moved(f"/rules/{rule.id}", of_rule)
    of_budgets = BudgetWarnings(after)
    for budget in _others({id(one) for one in before.tenant.budgets}, after.tenant.budgets):
        found += _moved(f"/budgets/{budget.id}", of_budgets.of(budget))
    return found


def _bare(snapshot: Snapshot) -> Any:
    return replace(snapshot.tenant, providers=(), models=(), budgets=(), webhooks=(), updated_at=0.0)


def _warnings_of_held(before: Holding, after: Holding, checked: Checked) -> Iterator[dict[str, str]]:
    stored: set[int] = {id(one) for one in (*before.providers, *before.models, *before.webhooks)}
    for webhook in _others(stored, after.webhooks):
        found = problem_documents(webhook_warnings(webhook, checked.webhooks[webhook.id]))
        yield from _moved(f"/webhooks/{webhook.id}", found)
    for provider in _others(stored, after.providers):
        targets = checked.providers[provider.id].targets
        found = problem_documents(provider_warnings(provider, targets))
        yield from _moved(f"/providers/{provider.id}", found)
    for model in _others(stored, after.models):
        yield from _moved(f"/models/{escape_step(model.name)}", model_warnings(after, model))


def _others[Item](stored: set[int], items: Sequence[Item]) -> Iterator[Item]:
    return (one for one in items if id(one) not in stored)


def _moved(pointer: str, warnings: Warnings) -> Warnings:
    return [{**one, "pointer": pointer + one["pointer"]} for one in warnings]
