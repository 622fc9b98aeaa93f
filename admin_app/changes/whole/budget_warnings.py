"""Warnings about budgets: requests that they do not count, or reject."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain, islice
from typing import Final, NamedTuple

from admin_app.changes.offered import Offered
from admin_app.changes.owners import holding_of
from admin_app.changes.platform import platform
from admin_app.changes.whole.budget import downgrades, rules_by_ai
from admin_app.context import services
from admin_app.http.errors import problem_documents
from shared.core.errors import Problem, Rejection
from shared.core.globs import matches_glob
from shared.documents.ai.known_models import Prices
from shared.model.budgets import REJECT, USD, Budget
from shared.model.config import Snapshot
from shared.providers.resolve import ResolvedTarget
from shared.providers.shipped.model_table import shipped_models
from shared.usage.row import day_of

# Models of which the prices are looked up, and those that a warning names.
_LOOKED_UP: Final = 2_000
_MAX_NAMED: Final = 5


class _Unpriced(NamedTuple):
    """A model of a provider without a known price, with its names and the ids of the rules that serve it."""

    provider: str
    names: Sequence[str]
    rules: frozenset[str]


class BudgetWarnings:
    """The warnings of the budgets of one tenant. Values that they share are looked up once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def of(self, budget: Budget) -> list[dict[str, str]]:
        """The warnings of one budget."""
        found = (self._unmatched(budget), self._unpriced(budget), self._rejected(budget))
        return problem_documents(chain.from_iterable(found))

    def _unmatched(self, budget: Budget) -> Iterator[Problem]:
        """A warning for each member of a scope that fits nothing now."""
        scope, now = budget.scope, services().clock.now()
        active = [key for key in self._snapshot.keys if key.status(now) == "active"]
        if scope.key is not None and all(key.line != scope.key for key in active):
            yield Problem("/scope/key", "No active API key is this one, so the budget counts nothing.")
        if scope.user is not None and all(key.user != scope.user for key in active):
            yield Problem("/scope/user", "No active API key has this user, so the budget counts nothing yet.")
        yield from self._without_rules(scope.rule)
        if scope.tags and all(scope.tags.items() - key.metadata.items() for key in active):
            detail = "No active API key has this metadata, so the budget counts nothing yet."
            yield Problem("/scope/tag", detail)

    def _without_rules(self, id: str | None) -> Iterator[Problem]:
        """A warning if no rule has requests that the budget counts: only those to models are counted."""
        rules = [rule for rule in self._snapshot.rules if id in (None, rule.id)]
        if id is not None and not rules:
            yield Problem("/scope/rule", "There is no such rule, so the budget counts nothing.")
        elif rules and all(rule.ai is None for rule in rules):
            subject = "This rule has" if id else "The rules have"
            detail = f"{subject} no `ai`, so the budget counts nothing yet. Budgets count calls of models."
            yield Problem("/scope/rule" if id else "/scope", detail)

    def _unpriced(self, budget: Budget) -> Iterator[Problem]:
        """A warning if the price of some models is not known."""
        scope = budget.scope
        names = {
            one.names[-1]
            for one in (self._without_price if budget.unit == USD else ())
            if scope.provider in (None, one.provider)
            and (scope.rule is None or scope.rule in one.rules)
            and _is_meant(scope.model, one.names)
        }
        if names:
            more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
            named = ", ".join(sorted(names)[:_MAX_NAMED]) + more
            outcome = "are rejected" if budget.unpriced == REJECT else "are not counted"
            yield Problem(
                "/unpriced", f"No price is known of {named}: calls {outcome}. Set prices of these models."
            )

    def _rejected(self, budget: Budget) -> Iterator[Problem]:
        """A warning for each rule whose requests cannot go on with the other model."""
        if budget.downgrade_to is None:
            return
        for rules, found in downgrades(self._offered, self._snapshot, budget):
            if isinstance(found, Rejection) and rules:
                names = ", ".join(rule.name for rule in rules[:_MAX_NAMED])
                detail = f"Once it is spent, requests to {names} are rejected: {found.message}"
                yield Problem("/downgrade_to", detail)

    @cached_property
    def _offered(self) -> Offered:
        return Offered(holding_of(self._snapshot))

    @cached_property
    def _without_price(self) -> Sequence[_Unpriced]:
        """The models without a known price, of the first ones that rules serve."""
        day = day_of(services().clock.now())
        prices = Prices(shipped=shipped_models(), platform=platform().prices, day=day)
        return [
            _Unpriced(target.provider.name, (name, target.model, target.full_name), rules)
            for name, target, rules in islice(self._served(), _LOOKED_UP)
            if not prices.of(target.provider, target.model)
        ]

    def _served(self) -> Iterator[tuple[str, ResolvedTarget, frozenset[str]]]:
        """The names that rules serve, with their targets and the rules."""
        for ai, rules in rules_by_ai(self._snapshot.rules).items():
            resolver, ids = self._offered.resolver(ai), frozenset(rule.id for rule in rules)
            for name in resolver.allowed_names(None):
                yield from ((name, target, ids) for target in resolver.targets_of(name))


def _is_meant(glob: str | None, names: Iterable[str]) -> bool:
    return glob is None or any(matches_glob(glob.casefold(), name.casefold()) for name in names)
