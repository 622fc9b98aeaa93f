"""/tenants/{id}/rules: the upstreams of a tenant's requests."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import Response, g
from flask.views import MethodView

from admin_app.auth.access import Access, requires
from admin_app.auth.field_access import RULE_FIELDS, check_body_limits, check_fields
from admin_app.changes.check_targets import CheckedTargets, check_targets
from admin_app.changes.entries import read_entries
from admin_app.changes.idempotency import idempotent
from admin_app.changes.limits import warnings_about_limits
from admin_app.changes.read_only import split_read_only
from admin_app.changes.rule_upstreams import (
    check_upstreams,
    kept_upstreams,
    seal_upstreams,
    upstream_warnings,
)
from admin_app.changes.secrets import seal_entries
from admin_app.changes.snapshot import change_tenant, check_maximum, find_rule, find_tenant, with_rule
from admin_app.context import new_id, services
from admin_app.http.errors import ApiError, problem_documents, raise_problems
from admin_app.http.openapi import Blueprint
from admin_app.http.paging import PageQuery, page_of, page_response
from admin_app.http.responses import check_match, no_content, response
from shared.core.errors import Problem
from shared.core.json_pointer import escape_step
from shared.documents import examples
from shared.documents.ai.pool import POOL_MEMBERS
from shared.documents.rule import (
    RuleChanged,
    RuleInput,
    RuleList,
    RuleOutput,
    RulePatch,
    RuleReplacement,
    rule_document,
)
from shared.http.forwarding import is_credential
from shared.http.paths import rule_path
from shared.model.config import CLIENT, Rule, Snapshot
from shared.model.rule_timeouts import RuleTimeouts
from shared.pipeline.check import chain_warnings, check_rule
from shared.routing.router import path_warnings
from shared.settings.sections import MITMPROXY

_CLIENTS_OWN = (
    "With credential client, the upstream gets the client's own {}. Remove this header, or set credential to "
    "provider."
)
# The target of a rule whose sent one is malformed, while its other fields are checked.
_UNKNOWN = "https://missing.invalid"
_EVERY_ORIGIN = "'*' would let every web page use the Cookie in headers. Name the origins instead."

blueprint = Blueprint("rules", __name__, "Rules of a tenant: the upstream and the plugins of each path.")


def _judge(sent: dict[str, Any], tenant_id: str, rule_id: str | None = None) -> None:
    """Check the fields of a body of which others are malformed."""
    before = find_tenant(tenant_id)
    is_named = any(g.body.get(name) is not None for name in ("target", "targets", "ai"))
    blank = Rule("", "/", _UNKNOWN if is_named and "target" not in sent else "")
    stored = blank if rule_id is None else find_rule(before, rule_id)
    _with_changed(before, stored, sent, check_targets(sent), 0.0)


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
    @blueprint.reads(RuleInput, example=examples.RULE, judge=_judge)
    @blueprint.responses(201, RuleChanged, example=examples.changed(examples.RULE_READ))
    def post(self, sent: dict[str, Any], tenant_id: str) -> Response:
        """Create a rule"""
        rule_id, now = new_id("rule"), services().clock.now()

        def add(before: Snapshot) -> Snapshot:
            tier = services().settings.tiers.get(before.tenant.tier)
            check_maximum("rules", len(before.rules), tier.max_rules if tier else 0)
            blank = Rule(rule_id, sent["path"], "", created_at=now)
            return _with_changed(before, blank, sent, targets, now)

        find_tenant(tenant_id)  # first, so that strangers cannot cause DNS queries
        targets = check_targets(sent)

        def respond(after: Snapshot) -> Response:
            rule, location = find_rule(after, rule_id), f"/api/v1/tenants/{tenant_id}/rules/{rule_id}"
            return response(rule_document(rule), 201, {"warnings": _warnings(after, rule, targets)}, location)

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
    @blueprint.reads(RuleReplacement, example=examples.RULE, judge=_judge)
    @blueprint.responses(200, RuleChanged, example=examples.changed(examples.RULE_READ))
    def put(self, sent: dict[str, Any], tenant_id: str, rule_id: str) -> Response:
        """Replace a rule

        Omitted fields get their defaults. What was read can be sent back.
        """
        return _change(tenant_id, rule_id, sent)

    @requires(Access.ADMIN)
    @blueprint.operation("updateRule")
    @blueprint.reads(RulePatch(partial=True), example={"active": True}, judge=_judge)
    @blueprint.responses(200, RuleChanged, example=examples.changed(examples.RULE_READ))
    def patch(self, sent: dict[str, Any], tenant_id: str, rule_id: str) -> Response:
        """Change some of a rule's fields"""
        return _change(tenant_id, rule_id, sent)

    @requires(Access.ADMIN)
    @blueprint.operation("deleteRule")
    @blueprint.responses(204, description="The rule is deleted.")
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
        return _with_changed(before, rule, sent, targets, services().clock.now())

    find_rule(find_tenant(tenant_id), rule_id)  # as in `post`
    targets = check_targets(sent)
    after = change_tenant(tenant_id, change)
    rule = find_rule(after, rule_id)
    return response(rule_document(rule), extra={"warnings": _warnings(after, rule, targets)})


def _warnings(after: Snapshot, rule: Rule, targets: CheckedTargets) -> list[dict[str, str]]:
    """Warnings about a rule of the changed tenant."""
    warnings = [
        *path_warnings(rule),
        *upstream_warnings(after, rule),
        *warnings_about_limits(after.tenant, rule),
        *chain_warnings(after.tenant, rule, services().catalogue),
        *_engine_warnings(rule),
        *targets.warnings,
    ]
    return problem_documents(warnings)


def _engine_warnings(rule: Rule) -> list[Problem]:
    settings = services().settings
    if settings.server.engine != MITMPROXY:
        return []
    unused = {"timeouts": rule.timeouts != RuleTimeouts(), "stream_keepalive": rule.stream_keepalive}
    detail = "It is stored but not enforced, because server.engine is mitmproxy."
    warnings = [Problem(f"/{name}", detail) for name, is_set in unused.items() if is_set]
    longest = max(rule.limits.request_body or 0, rule.limits.response_body or 0)
    if longest > max(settings.limits.request_body, settings.limits.response_body):
        detail = "Limits above those of the gateway have no effect, because server.engine is mitmproxy."
        warnings.append(Problem("/limits", detail))
    return warnings


def _with_changed(
    before: Snapshot, stored: Rule, sent: Mapping[str, Any], targets: CheckedTargets, now: float
) -> Snapshot:
    """The tenant with the changed rule, complete and sealed. Raises `Invalid` and `ApiError`."""
    values, problems = split_read_only(sent, rule_document(stored))
    chains, found = read_entries(sent, stored)
    values |= chains
    if "methods" in sent:
        values["methods"] = tuple(dict.fromkeys(sent["methods"]))
    upstreams, unset = kept_upstreams(sent, stored)
    values = {name: value for name, value in values.items() if name not in POOL_MEMBERS} | upstreams
    if sent.get("target") or sent.get("targets"):
        values["is_internal"] = targets.is_internal
    rule = replace(stored, **values)
    above, forbidden = check_body_limits(stored.limits, rule.limits)
    problems += above
    try:
        rule = replace(rule, path=rule_path(rule.path, rule.match))
    except ValueError as error:
        problems.append(Problem("/path", str(error)))
    problems += [*unset, *check_upstreams(before, rule, stored), *_check_itself(rule)]
    judged = check_rule(before.tenant, rule, services().catalogue)
    rejections = (check_fields(RULE_FIELDS, stored, rule), forbidden, _overlap(before, rule))
    raise_problems(problems, targets.problems, found, judged, rejections=rejections)
    chain = seal_entries(before.tenant.id, rule.plugin_chain)
    rule = replace(rule, plugin_chain=chain, updated_at=now)
    return with_rule(before, seal_upstreams(before.tenant.id, rule))


def _check_itself(rule: Rule) -> list[Problem]:
    problems = []
    if "%2F" in rule.path and rule.encoded_slashes == "reject":
        detail = 'The path contains %2F, which this rule rejects. Set encoded_slashes to "allow".'
        problems.append(Problem("/path", detail))
    if rule.credential == CLIENT:
        own = [name for name in rule.headers if is_credential(name.encode())]
        problems += [Problem(f"/headers/{escape_step(name)}", _CLIENTS_OWN.format(name)) for name in own]
    if rule.cors and "*" in rule.cors.origins and "cookie" in map(str.lower, rule.headers):
        problems.append(Problem("/cors/origins", _EVERY_ORIGIN))
    return problems


def _overlap(before: Snapshot, rule: Rule) -> ApiError | None:
    """409 if another active rule matches the same requests, because only one could be used."""
    for other in before.rules:
        if other.path != rule.path or other.match != rule.match or other.id == rule.id:
            continue
        common = not rule.methods or not other.methods or set(rule.methods) & set(other.methods)
        if rule.active and other.active and common:
            return ApiError(
                "rule_exists",
                f"The rule {other.id} matches the same path and method. Change or deactivate that rule.",
                [Problem("/path", f"The rule {other.id} has the same path.")],
            )
    return None
