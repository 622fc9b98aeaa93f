"""/tenants/{id}/rules: where a tenant's requests go."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from cryptography import x509
from flask import Response
from flask.views import MethodView

from admin_app.auth.access import Access, needs
from admin_app.auth.field_access import RULE_FIELDS, check_fields
from admin_app.changes.check_targets import check_targets
from admin_app.changes.entries import read_chain
from admin_app.changes.limit_warnings import warnings_of_rule
from admin_app.changes.secrets import keep_headers, seal_headers, seal_settings
from admin_app.changes.snapshot import change_tenant, check_room, find_rule, find_tenant, with_rule
from admin_app.http.errors import ApiError
from admin_app.http.openapi import Blueprint
from admin_app.http.paging import PageQuery, page_of
from admin_app.http.responses import check_match, no_content, response
from admin_app.services import current, new_id
from shared.core.errors import Invalid, Problem
from shared.documents import (
    KEEP,
    RuleChanged,
    RuleInput,
    RuleList,
    RuleOutput,
    RulePatch,
    examples,
    rule_document,
)
from shared.http.paths import has_encoded_slash, rule_path
from shared.model.config import Rule, RuleTimeouts, Snapshot
from shared.pipeline import check_rule
from shared.routing.router import path_warnings
from shared.settings import MITMPROXY

blueprint = Blueprint(
    "rules", __name__, "Which requests of a tenant go where, and what they pass on the way."
)


@blueprint.route("/tenants/<tenant_id>/rules")
class Rules(MethodView):
    @needs(Access.READ)
    @blueprint.reads(PageQuery, location="query")
    @blueprint.responses(200, RuleList)
    def get(self, query: dict[str, Any], tenant_id: str) -> Response:
        """List a tenant's rules, in order of creation"""
        page, cursor = page_of(find_tenant(tenant_id).rules, query)
        documents = [rule_document(rule) for rule in page]
        return response({"rules": documents, "count": len(documents), "next_cursor": cursor})

    @needs(Access.ADMIN)
    @blueprint.reads(RuleInput, example=examples.RULE)
    @blueprint.responses(201, RuleChanged)
    def post(self, sent: dict[str, Any], tenant_id: str) -> Response:
        """Create a rule"""
        rule_id, now = new_id("rule"), current().clock.now()

        def add(before: Snapshot) -> Snapshot:
            tier = current().settings.tiers.get(before.tenant.tier)
            check_room("rules", len(before.rules), tier.max_rules if tier else 0)
            blank = Rule(rule_id, sent["path"], sent["target"], created_at=now)
            return with_rule(before, _changed(before, blank, sent, now))

        find_tenant(tenant_id)  # no address is resolved for a stranger
        rule, warnings = _write(tenant_id, rule_id, sent, add)
        location = f"/api/v1/tenants/{tenant_id}/rules/{rule_id}"
        return response(rule_document(rule), 201, {"warnings": warnings}, location)


@blueprint.route("/tenants/<tenant_id>/rules/<rule_id>")
class OneRule(MethodView):
    @needs(Access.READ)
    @blueprint.responses(200, RuleOutput)
    def get(self, tenant_id: str, rule_id: str) -> Response:
        """Read a rule"""
        return response(rule_document(find_rule(find_tenant(tenant_id), rule_id)))

    @needs(Access.ADMIN)
    @blueprint.reads(RuleInput, example=examples.RULE)
    @blueprint.responses(200, RuleChanged)
    def put(self, sent: dict[str, Any], tenant_id: str, rule_id: str) -> Response:
        """Replace a rule

        What is left out gets its default.
        """
        return _change(tenant_id, rule_id, sent)

    @needs(Access.ADMIN)
    @blueprint.reads(RulePatch(partial=True), example={"active": False})
    @blueprint.responses(200, RuleChanged)
    def patch(self, sent: dict[str, Any], tenant_id: str, rule_id: str) -> Response:
        """Change some of a rule's fields"""
        return _change(tenant_id, rule_id, sent)

    @needs(Access.ADMIN)
    @blueprint.responses(204, description="Gone.")
    def delete(self, tenant_id: str, rule_id: str) -> Response:
        """Delete a rule"""

        def remove(before: Snapshot) -> Snapshot:
            rule = find_rule(before, rule_id)
            check_match(rule_document(rule))
            return replace(before, rules=tuple(one for one in before.rules if one is not rule))

        change_tenant(tenant_id, remove)
        return no_content()


def _change(tenant_id: str, rule_id: str, sent: Mapping[str, Any]) -> Response:
    def change(before: Snapshot) -> Snapshot:
        rule = find_rule(before, rule_id)
        check_match(rule_document(rule))
        return with_rule(before, _changed(before, rule, sent, current().clock.now()))

    find_rule(find_tenant(tenant_id), rule_id)  # no address is resolved for what is not there
    rule, warnings = _write(tenant_id, rule_id, sent, change)
    return response(rule_document(rule), extra={"warnings": warnings})


def _write(
    tenant_id: str, rule_id: str, sent: Mapping[str, Any], change: Callable[[Snapshot], Snapshot]
) -> tuple[Rule, list[str]]:
    """Make the change. Returns the rule as it is stored, and what the writer may not have meant."""
    warnings = check_targets(sent)
    stored = change_tenant(tenant_id, change)
    rule = find_rule(stored, rule_id)
    limits = warnings_of_rule(stored.tenant, rule)
    return rule, [*path_warnings(rule), *limits, *_engine_warnings(rule), *warnings]


def _engine_warnings(rule: Rule) -> list[str]:
    if current().settings.server.engine != MITMPROXY or rule.timeouts == RuleTimeouts():
        return []
    return ["The timeouts are stored and not enforced: server.engine is mitmproxy, whose core has none."]


def _changed(before: Snapshot, stored: Rule, sent: Mapping[str, Any], now: float) -> Rule:
    """The rule with what was sent, complete and sealed. Raises `Invalid` and `ApiError`."""
    values = dict(sent)
    if "methods" in sent:
        values["methods"] = tuple(dict.fromkeys(sent["methods"]))
    # Even headers that were not named must be sent again when the target moves.
    headers = sent.get("headers", dict.fromkeys(stored.headers, KEEP))
    values["headers"], problems = keep_headers(headers, stored, sent.get("target", stored.target))
    if "plugin_chain" in sent:
        values["plugin_chain"] = read_chain(sent["plugin_chain"], stored.plugin_chain)
    rule = replace(stored, **values)
    check_fields(RULE_FIELDS, sent, stored, rule)
    try:
        rule = replace(rule, path=rule_path(rule.path, rule.match))
    except ValueError as error:
        problems.append(Problem("/path", str(error)))
    problems += [*_check_itself(rule), *check_rule(before.tenant, rule, current().catalogue)]
    if problems:
        raise Invalid(problems)
    _check_clash(before, rule)
    return _sealed(before.tenant.id, replace(rule, updated_at=now))


def _sealed(tenant_id: str, rule: Rule) -> Rule:
    chain = tuple(seal_settings(tenant_id, entry) for entry in rule.plugin_chain)
    return seal_headers(tenant_id, replace(rule, plugin_chain=chain))


def _check_itself(rule: Rule) -> list[Problem]:
    problems = []
    if has_encoded_slash(rule.path) and rule.encoded_slashes == "reject":
        problems.append(
            Problem("/path", 'The path holds %2F, which the rule rejects. Set encoded_slashes to "allow".')
        )
    if rule.ca is not None:
        try:
            x509.load_pem_x509_certificates(rule.ca.encode())
        except ValueError:
            problems.append(Problem("/ca", "Must be one or more certificates in PEM form."))
    return problems


def _check_clash(before: Snapshot, rule: Rule) -> None:
    """Raise 409 when another active rule would take the same requests: then neither is meant for sure."""
    for other in before.rules:
        same = (other.path, other.match) == (rule.path, rule.match) and other.id != rule.id
        common = not rule.methods or not other.methods or set(rule.methods) & set(other.methods)
        if rule.active and other.active and same and common:
            raise ApiError(
                409,
                "rule_exists",
                f"The rule {other.id} takes the same path and method. Change that one, or set it inactive.",
                [Problem("/path", f"Also the path of {other.id}.")],
            )
