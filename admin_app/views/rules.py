"""/tenants/{id}/rules: the upstreams of a tenant's requests."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import Response
from flask.views import MethodView

from admin_app.auth.access import Access, requires
from admin_app.changes.check_targets import check_targets
from admin_app.changes.idempotency import idempotent
from admin_app.changes.rules import judge_rule, rule_warnings, with_changed
from admin_app.changes.snapshot import change_tenant, check_maximum, find_rule, find_tenant
from admin_app.changes.whole.budget import check_rule_unused
from admin_app.context import new_id, services
from admin_app.http.openapi import Blueprint
from admin_app.http.paging import PageQuery, page_of, page_response
from admin_app.http.responses import check_match, no_content, response
from shared.documents import examples
from shared.documents.rule import (
    RuleChanged,
    RuleInput,
    RuleList,
    RuleOutput,
    RulePatch,
    RuleReplacement,
    rule_document,
)
from shared.model.config import Rule, Snapshot

blueprint = Blueprint("rules", __name__, "Rules of a tenant: the upstream and the plugins of each path.")


@blueprint.route("/tenants/<tenant_id>/rules")
class Rules(MethodView):
    @requires(Access.READ)
    @blueprint.operation("listRules")
    @blueprint.reads(PageQuery, location="query")
    @blueprint.responses(200, RuleList, example=examples.page("rules", examples.RULE_READ))
    def get(self, query: dict[str, Any], tenant_id: str) -> Response:
        """List a tenant's rules, in order of creation"""
        page, cursor = page_of(find_tenant(tenant_id).rules, query)
        return page_response("rules", [rule_document(rule) for rule in page], cursor)

    @requires(Access.ADMIN)
    @idempotent
    @blueprint.operation("createRule")
    @blueprint.reads(RuleInput, example=examples.RULE, judge=judge_rule)
    @blueprint.responses(201, RuleChanged, example=examples.changed(examples.RULE_READ))
    def post(self, sent: dict[str, Any], tenant_id: str) -> Response:
        """Create a rule"""
        rule_id, now = new_id("rule"), services().clock.now()

        def add(before: Snapshot) -> Snapshot:
            tier = services().settings.tiers.get(before.tenant.tier)
            check_maximum("rules", len(before.rules), tier.max_rules if tier else 0)
            blank = Rule(rule_id, sent["path"], "", created_at=now)
            return with_changed(before, blank, sent, targets, now)

        find_tenant(tenant_id)  # first, so that strangers cannot cause DNS queries
        targets = check_targets(sent)

        def respond(after: Snapshot) -> Response:
            rule, location = find_rule(after, rule_id), f"/api/v1/tenants/{tenant_id}/rules/{rule_id}"
            return response(
                rule_document(rule), 201, {"warnings": rule_warnings(after, rule, targets)}, location
            )

        return respond(change_tenant(tenant_id, add, respond))


@blueprint.route("/tenants/<tenant_id>/rules/<rule_id>")
class OneRule(MethodView):
    @requires(Access.READ)
    @blueprint.operation("getRule")
    @blueprint.responses(200, RuleOutput, example=examples.RULE_READ)
    def get(self, tenant_id: str, rule_id: str) -> Response:
        """Read a rule"""
        return response(rule_document(find_rule(find_tenant(tenant_id), rule_id)))

    @requires(Access.ADMIN)
    @blueprint.operation("replaceRule")
    @blueprint.reads(RuleReplacement, example=examples.RULE, judge=judge_rule)
    @blueprint.responses(200, RuleChanged, example=examples.changed(examples.RULE_READ))
    def put(self, sent: dict[str, Any], tenant_id: str, rule_id: str) -> Response:
        """Replace a rule

        Omitted fields get their defaults. A document that was read can be sent back.
        """
        return _change(tenant_id, rule_id, sent)

    @requires(Access.ADMIN)
    @blueprint.operation("updateRule")
    @blueprint.reads(RulePatch(partial=True), example={"active": True}, judge=judge_rule)
    @blueprint.responses(200, RuleChanged, example=examples.changed(examples.RULE_READ))
    def patch(self, sent: dict[str, Any], tenant_id: str, rule_id: str) -> Response:
        """Change some of a rule's fields"""
        return _change(tenant_id, rule_id, sent)

    @requires(Access.ADMIN)
    @blueprint.operation("deleteRule")
    @blueprint.responses(204, description="The rule is deleted.")
    def delete(self, tenant_id: str, rule_id: str) -> Response:
        """Delete a rule

        The status is 409 while budgets name it.
        """

        def remove(before: Snapshot) -> Snapshot:
            rule = find_rule(before, rule_id)
            check_match(rule_document(rule))
            check_rule_unused(before, rule)
            return replace(before, rules=tuple(one for one in before.rules if one is not rule))

        change_tenant(tenant_id, remove)
        return no_content()


def _change(tenant_id: str, rule_id: str, sent: Mapping[str, Any]) -> Response:
    def change(before: Snapshot) -> Snapshot:
        rule = find_rule(before, rule_id)
        check_match(rule_document(rule))
        return with_changed(before, rule, sent, targets, services().clock.now())

    find_rule(find_tenant(tenant_id), rule_id)  # as in `post`
    targets = check_targets(sent)
    after = change_tenant(tenant_id, change)
    rule = find_rule(after, rule_id)
    return response(rule_document(rule), extra={"warnings": rule_warnings(after, rule, targets)})
