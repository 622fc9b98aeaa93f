"""/tenants/{id}/budgets: how much the calls of a tenant may use per period, and what they have used."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, TypedDict

from flask import Response
from flask.views import MethodView

from admin_app.auth.access import Access, caller, requires
from admin_app.auth.field_access import check_owner, own_kind
from admin_app.changes.idempotency import idempotent, keep_response, same_id
from admin_app.changes.snapshot import change_tenant, check_maximum, find_tenant, note_event, tier_maximum
from admin_app.changes.whole.budget import changed_budget
from admin_app.changes.whole.budget_warnings import BudgetWarnings
from admin_app.context import new_id, services
from admin_app.http.errors import ApiError, not_found
from admin_app.http.openapi import Blueprint
from admin_app.http.paging import PageQuery, page_of
from admin_app.http.responses import check_match, no_content, response
from shared.budgets.periods import effective_limit, period_of
from shared.budgets.settings import check_budget
from shared.core.errors import Invalid, Problem, StoreDown
from shared.documents.ai import examples
from shared.documents.ai.budget import (
    MAX_INCREASES,
    BudgetChanged,
    BudgetInput,
    BudgetList,
    BudgetPatch,
    BudgetRead,
    BudgetReplacement,
    IncreaseInput,
    ResetInput,
    budget_document,
    state_document,
)
from shared.documents.examples import changed
from shared.documents.overview import NEARLY_SPENT
from shared.limits.values import budget_name
from shared.model.amounts import format_amount
from shared.model.budgets import USD, Budget, Increase
from shared.model.config import Snapshot
from shared.usage.budget_store import BudgetState, BudgetStore

blueprint = Blueprint("budgets", __name__, "How much the calls of a tenant may use per period.")


def _judge(sent: dict[str, Any], tenant_id: str, budget_id: str | None = None) -> None:
    """Check the fields of a body of which others are malformed."""
    before = find_tenant(tenant_id)
    stored = _blank("", sent, 0.0) if budget_id is None else _find(before, budget_id)
    changed_budget(before, stored, sent, services().clock.now())


@blueprint.route("/tenants/<tenant_id>/budgets")
class Budgets(MethodView):
    @requires(Access.READ)
    @blueprint.operation("listBudgets")
    @blueprint.reads(PageQuery, location="query")
    @blueprint.responses(200, BudgetList, example=examples.BUDGET_LIST)
    def get(self, query: dict[str, Any], tenant_id: str) -> Response:
        """List a tenant's budgets, and those of its tier, with what they have counted"""
        snapshot = find_tenant(tenant_id)
        items, cursor = page_of(snapshot.tenant.budgets, query)
        members = {"budgets": _with_states(tenant_id, items), "count": len(items), "next_cursor": cursor}
        return response({**members, "of_tier": _with_states(tenant_id, _of_tier(snapshot))})

    @requires(Access.ADMIN)
    @idempotent
    @blueprint.operation("createBudget")
    @blueprint.reads(BudgetInput, example=examples.BUDGET, judge=_judge)
    @blueprint.responses(201, BudgetChanged, example=changed(examples.BUDGET_READ))
    def post(self, sent: dict[str, Any], tenant_id: str) -> Response:
        """Create a budget

        One that the platform creates is the platform's: the tenant reads it, and cannot change it.
        """
        budget_id, now = new_id("bud"), services().clock.now()

        def add(before: Snapshot) -> Snapshot:
            most = tier_maximum(before.tenant, "max_budgets")
            check_maximum("budgets", len(before.tenant.budgets), most)
            budget = changed_budget(before, _blank(budget_id, sent, now), sent, now)
            return _with(before, (*before.tenant.budgets, replace(budget, updated_at=now)))

        def respond(after: Snapshot) -> Response:
            location = f"/api/v1/tenants/{tenant_id}/budgets/{budget_id}"
            return _changed(after, budget_id, 201, location)

        return respond(change_tenant(tenant_id, add, respond))


@blueprint.route("/tenants/<tenant_id>/budgets/<budget_id>")
class OneBudget(MethodView):
    @requires(Access.READ)
    @blueprint.operation("getBudget")
    @blueprint.responses(200, BudgetRead, example=examples.BUDGET_READ)
    def get(self, tenant_id: str, budget_id: str) -> Response:
        """Read a budget with what it has counted; also one of the tenant's tier"""
        budget = _find(find_tenant(tenant_id), budget_id, of_tier=True)
        return response(budget_document(budget), extra=_states(tenant_id, [budget])[0])

    @requires(Access.ADMIN)
    @blueprint.operation("replaceBudget")
    @blueprint.reads(BudgetReplacement, example=examples.BUDGET, judge=_judge)
    @blueprint.responses(200, BudgetChanged, example=changed(examples.BUDGET_READ))
    def put(self, sent: dict[str, Any], tenant_id: str, budget_id: str) -> Response:
        """Replace a budget

        Omitted fields get their defaults; increases, the owner and the counted amount stay.
        """
        return _change(tenant_id, budget_id, sent)

    @requires(Access.ADMIN)
    @blueprint.operation("updateBudget")
    @blueprint.reads(BudgetPatch(partial=True), example={"cap_output": True}, judge=_judge)
    @blueprint.responses(200, BudgetChanged, example=changed(examples.BUDGET_READ))
    def patch(self, sent: dict[str, Any], tenant_id: str, budget_id: str) -> Response:
        """Change some fields of a budget"""
        return _change(tenant_id, budget_id, sent)

    @requires(Access.ADMIN)
    @blueprint.operation("deleteBudget")
    @blueprint.responses(204, description="The budget is deleted. Calls are no longer counted in it.")
    def delete(self, tenant_id: str, budget_id: str) -> Response:
        """Delete a budget"""

        def remove(before: Snapshot) -> Snapshot:
            budget = _find(before, budget_id)
            _check_owner(budget)
            check_match(budget_document(budget))
            return _with(before, tuple(one for one in before.tenant.budgets if one is not budget))

        change_tenant(tenant_id, remove)
        return no_content()


@blueprint.route("/tenants/<tenant_id>/budgets/<budget_id>/increase")
class BudgetIncrease(MethodView):
    @requires(Access.ADMIN)
    @idempotent
    @blueprint.operation("increaseBudget")
    @blueprint.reads(IncreaseInput, example=examples.INCREASE)
    @blueprint.responses(200, BudgetChanged, example=changed(examples.BUDGET_READ))
    def post(self, sent: dict[str, Any], tenant_id: str, budget_id: str) -> Response:
        """Add to the limit of a budget for a time: without `until`, for the rest of the period

        `If-Match` takes the `ETag` of the budget.
        """
        now = services().clock.now()

        def respond(after: Snapshot) -> Response:
            return _changed(after, budget_id)

        def increase(_: Snapshot, budget: Budget) -> Budget:
            return _increased(budget, sent, now)

        after = _change_one(tenant_id, budget_id, increase, respond)
        budget, amount = _find(after, budget_id), sent["amount"].value
        # The increase is stored. Its row is for readers of the ledger only.
        with suppress(StoreDown), services().reading(BudgetStore) as store:
            store.note_increase(tenant_id, _name(budget, now), amount=amount, **_author(now, new_id("row")))
        return respond(after)


@blueprint.route("/tenants/<tenant_id>/budgets/<budget_id>/reset")
class BudgetReset(MethodView):
    @requires(Access.ADMIN)
    @idempotent
    @blueprint.operation("resetBudget")
    @blueprint.reads(ResetInput, example={})
    @blueprint.responses(200, BudgetRead, example=examples.BUDGET_READ)
    def post(self, sent: dict[str, Any], tenant_id: str, budget_id: str) -> Response:
        """Let a budget begin again: nothing is used of its present period

        What is reserved for running calls stays. A row of the ledger says what was used. The platform may
        also reset a budget of the tier. `If-Match` takes the `ETag` of the budget.
        """
        now = services().clock.now()

        def summary(before: Snapshot) -> str:
            budget = _find(before, budget_id, of_tier=True)
            _check_owner(budget)
            check_match(budget_document(budget))
            return f"budget {budget.name} reset"

        budget = _find(note_event(tenant_id, summary), budget_id, of_tier=True)
        with services().reading(BudgetStore) as store:
            store.reset(tenant_id, _name(budget, now), **_author(now, same_id("row")))
        return keep_response(response(budget_document(budget), extra=_states(tenant_id, [budget])[0]))


def _check_owner(budget: Budget) -> None:
    """Raise 403 if the caller may not change a budget, whatever the change is."""
    if error := check_owner(budget, None):
        raise error


def _increased(budget: Budget, sent: Mapping[str, Any], now: float) -> Budget:
    """The budget with one more increase, and without those that have ended."""
    unit, amount = sent["amount"]
    until = sent["until"]
    problems = []
    if unit != budget.unit:
        detail = f"The budget counts {budget.unit}. Send {budget.unit} instead."
        problems.append(Problem(f"/{unit}", detail))
    if amount == 0:
        problems.append(Problem(f"/{unit}", "Must be more than 0."))
    if until is not None and until <= now:
        problems.append(Problem("/until", "Must be in the future."))
    live = tuple(one for one in budget.increases if one.until is None or one.until > now)
    if len(live) >= MAX_INCREASES:
        detail = f"The budget has {len(live)} increases, the most that are allowed. Raise its limit instead."
        raise ApiError("limit_reached", detail)
    if until is None:
        until = period_of(budget, now).end
    added = Increase(amount=amount, until=until, by=caller().actor, at=now)
    after = replace(budget, increases=(*live, added))
    # Only the new amount can be what is too much.
    problems += [
        replace(one, pointer=f"/{unit}") for one in check_budget(after, now) if one.pointer == "/limit"
    ]
    if problems:
        raise Invalid(problems)
    return after


def _blank(budget_id: str, sent: Mapping[str, Any], now: float) -> Budget:
    """A budget that is about to be created. A malformed member has any value."""
    unit, limit = sent.get("limit", (USD, 0))
    return Budget(
        id=budget_id,
        name=sent.get("name", ""),
        owner=own_kind(),
        unit=unit,
        limit=limit,
        period=sent.get("period", "total"),
        created_at=now,
    )


def _change(tenant_id: str, budget_id: str, sent: Mapping[str, Any]) -> Response:
    def change(before: Snapshot, budget: Budget) -> Budget:
        return changed_budget(before, budget, sent, services().clock.now())

    return _changed(_change_one(tenant_id, budget_id, change), budget_id)


def _change_one(
    tenant_id: str,
    budget_id: str,
    change: Callable[[Snapshot, Budget], Budget],
    respond: Callable[[Snapshot], Response] | None = None,
) -> Snapshot:
    """Write the result of `change` in place of a budget, unless If-Match prevents it."""

    def changed_tenant(before: Snapshot) -> Snapshot:
        budget = _find(before, budget_id)
        _check_owner(budget)
        check_match(budget_document(budget))
        after = replace(change(before, budget), updated_at=services().clock.now())
        return _with(before, tuple(after if one is budget else one for one in before.tenant.budgets))

    return change_tenant(tenant_id, changed_tenant, respond)


def _with(before: Snapshot, budgets: tuple[Budget, ...]) -> Snapshot:
    tenant = replace(before.tenant, budgets=budgets, updated_at=services().clock.now())
    return replace(before, tenant=tenant)


def _changed(after: Snapshot, budget_id: str, status: int = 200, location: str | None = None) -> Response:
    budget = _find(after, budget_id)
    extra = {**_states(after.tenant.id, [budget])[0], "warnings": BudgetWarnings(after).of(budget)}
    return response(budget_document(budget), status, extra, location)


def _find(snapshot: Snapshot, budget_id: str, *, of_tier: bool = False) -> Budget:
    """A budget of the tenant. Raises 404, and 403 for one of its tier that is to be changed."""
    for budget in snapshot.tenant.budgets:
        if budget.id == budget_id:
            return budget
    for budget in _of_tier(snapshot):
        if budget.id == budget_id:
            if of_tier:
                return budget
            detail = f"The budget {budget.name} is that of the tier. Change tiers in config.yaml instead."
            raise ApiError("forbidden", detail)
    raise not_found("budget")


def _of_tier(snapshot: Snapshot) -> tuple[Budget, ...]:
    tier = services().settings.tiers.get(snapshot.tenant.tier)
    return tier.budgets if tier else ()


def _with_states(tenant_id: str, budgets: Sequence[Budget]) -> list[dict[str, Any]]:
    states = _states(tenant_id, budgets)
    return [{**budget_document(one), **state} for one, state in zip(budgets, states, strict=True)]


def _states(tenant_id: str, budgets: Sequence[Budget]) -> Sequence[Mapping[str, Any]]:
    """For each budget, the member `state`, which ETags do not cover."""
    now = services().clock.now()
    return [
        {"state": state_document(budget, period_of(budget, now), asdict(state), limit)}
        for budget, limit, state in _counted(tenant_id, budgets, now)
    ]


def nearly_spent(snapshot: Snapshot) -> Iterator[tuple[float, dict[str, Any]]]:
    """The budgets of a tenant and its tier of which little is left, each with the share that is not."""
    now, tenant = services().clock.now(), snapshot.tenant
    for budget, limit, state in _counted(tenant.id, (*tenant.budgets, *_of_tier(snapshot)), now):
        share = (state.used + state.held) / limit if limit else 1.0
        if share >= NEARLY_SPENT:
            counted = {"limit": limit, "used": state.used, "held": state.held}
            amounts = {name: format_amount(budget.unit, value) for name, value in counted.items()}
            names = {name: getattr(budget, name) for name in ("id", "name", "unit", "on_spent")}
            of = {"tenant_id": tenant.id, "tenant_name": tenant.name, "resets_at": period_of(budget, now).end}
            yield share, {**of, **names, **amounts}


def _counted(tenant_id: str, budgets: Sequence[Budget], now: float) -> list[tuple[Budget, int, BudgetState]]:
    """Each budget with its limit and what it has counted."""
    limits = {_name(budget, now): effective_limit(budget, now) for budget in budgets}
    if not limits:
        return []
    with services().reading(BudgetStore) as store:
        states = store.states(tenant_id, limits)
    return [
        (budget, limit, states[name]) for budget, (name, limit) in zip(budgets, limits.items(), strict=True)
    ]


class _Author(TypedDict):
    actor: str
    row_id: str
    now: float


def _author(now: float, row_id: str) -> _Author:
    """The author, the id and the time of a change, as a row of the ledger has them."""
    return {"actor": caller().actor, "row_id": row_id, "now": now}


def _name(budget: Budget, now: float) -> str:
    """The budget in its present period, as Redis and the ledger name it."""
    return budget_name(budget.id, period_of(budget, now).start)
