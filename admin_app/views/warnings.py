"""/tenants/{id}/warnings: what may not work as intended in the stored configuration of a tenant."""

from collections.abc import Iterable, Iterator
from typing import Any

from flask import Response
from flask.views import MethodView
from marshmallow import Schema, fields

from admin_app.auth.access import Access, requires
from admin_app.changes.check_targets import CheckedTargets
from admin_app.changes.limits import warnings_about_limits
from admin_app.changes.rules import rule_warnings
from admin_app.changes.snapshot import find_tenant
from admin_app.changes.whole.budget_warnings import BudgetWarnings
from admin_app.context import services
from admin_app.http.errors import problem_documents
from admin_app.http.openapi import Blueprint
from admin_app.http.responses import response
from shared.documents import examples
from shared.documents.fields import ChangeWarning, nullable
from shared.model.config import Rule, Snapshot
from shared.pipeline.check import chain_warnings, check_rule, check_tenant

blueprint = Blueprint("warnings", __name__, "Warnings about a stored configuration.")


class StoredWarning(ChangeWarning):
    """A part of the configuration that does not work, or may not work as intended."""

    rule_id = fields.String(**nullable("The rule into which the pointer leads. null: the tenant."))
    rule_path = fields.String(**nullable())
    rejects = fields.Boolean(
        required=True,
        metadata={"description": "true: requests are rejected. false: it may not work as intended."},
    )


class WarningList(Schema):
    """The warnings of a tenant, its rules and its budgets."""

    warnings = fields.List(fields.Nested(StoredWarning), required=True)
    fault = fields.String(
        **nullable("Why the proxy serves an older state, because it cannot use the newest one. null: it can.")
    )


@blueprint.route("/tenants/<tenant_id>/warnings")
class Warnings(MethodView):
    @requires(Access.READ)
    @blueprint.operation("listWarnings")
    @blueprint.responses(200, WarningList, example=examples.WARNINGS)
    def get(self, tenant_id: str) -> Response:
        """List what does not work in a tenant's rules and chains, or may not work as intended

        No address is resolved.
        """
        snapshot = find_tenant(tenant_id)
        found = [*_of_tenant(snapshot), *_of_budgets(snapshot)]
        found += [one for rule in snapshot.rules for one in _of_rule(snapshot, rule)]
        fault = services().store.faults().get(tenant_id)
        return response({"warnings": found, "fault": fault})


def _of_tenant(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    tenant, catalogue = snapshot.tenant, services().catalogue
    faults = problem_documents(check_tenant(tenant, (), catalogue))
    yield from _of_rule_or_tenant(faults, None, rejects=True)
    warnings = [*warnings_about_limits(tenant, None), *chain_warnings(tenant, None, catalogue)]
    yield from _of_rule_or_tenant(problem_documents(warnings), None, rejects=False)


def _of_budgets(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    warnings = BudgetWarnings(snapshot)
    for budget in snapshot.tenant.budgets:
        found = warnings.of(budget)
        moved = [{**one, "pointer": f"/budgets/{budget.id}{one['pointer']}"} for one in found]
        yield from _of_rule_or_tenant(moved, None, rejects=False)


def _of_rule(snapshot: Snapshot, rule: Rule) -> Iterator[dict[str, Any]]:
    faults = problem_documents(check_rule(snapshot.tenant, rule, services().catalogue))
    yield from _of_rule_or_tenant(faults, rule, rejects=True)
    yield from _of_rule_or_tenant(rule_warnings(snapshot, rule, CheckedTargets()), rule, rejects=False)


def _of_rule_or_tenant(
    found: Iterable[dict[str, str]], rule: Rule | None, *, rejects: bool
) -> Iterator[dict[str, Any]]:
    for one in found:
        yield {"rule_id": rule and rule.id, "rule_path": rule and rule.path, "rejects": rejects, **one}
