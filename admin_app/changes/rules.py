"""A rule in a change: checked as a whole, complete, and with its warnings."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain, count
from typing import Any

from flask import g

from admin_app.auth.field_access import RULE_FIELDS, check_body_limits, check_fields
from admin_app.changes.check_targets import CheckedTargets, check_targets
from admin_app.changes.entries import parsed_once, read_entries
from admin_app.changes.limits import Limits, warnings_about_limits
from admin_app.changes.owners import name_taken
from admin_app.changes.read_only import split_read_only
from admin_app.changes.rule_upstreams import (
    check_upstreams,
    kept_upstreams,
    seal_upstreams,
    upstream_warnings,
)
from admin_app.changes.secrets import seal_entries
from admin_app.changes.snapshot import find_rule, find_tenant, with_rule
from admin_app.context import services
from admin_app.http.errors import ApiError, problem_documents, raise_problems
from shared.core.errors import Problem
from shared.core.json_pointer import escape_step
from shared.documents.ai.pool import POOL_MEMBERS
from shared.documents.rule import rule_document
from shared.http.forwarding import is_credential
from shared.http.paths import rule_path
from shared.model.config import CLIENT, Rule, Snapshot, name_of_path
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


def judge_rule(sent: dict[str, Any], tenant_id: str, rule_id: str | None = None) -> None:
    """Check the fields of a body of which others are malformed."""
    before = find_tenant(tenant_id)
    check_rest(before, sent, g.body, None if rule_id is None else find_rule(before, rule_id))


def check_rest(
    before: Snapshot, sent: Mapping[str, Any], body: Mapping[str, Any], stored: Rule | None
) -> None:
    """Check `sent`, the well-formed fields of `body`. Raises as `with_changed`."""
    is_named = any(body.get(name) is not None for name in ("target", "targets", "ai"))
    blank = Rule("", "/", _UNKNOWN if is_named and "target" not in sent else "")
    with_changed(before, stored or blank, sent, check_targets(sent), 0.0)


def rule_warnings(
    after: Snapshot,
    rule: Rule,
    targets: CheckedTargets,
    limits: Mapping[str | None, Limits] | None = None,
) -> list[dict[str, str]]:
    """Warnings about a rule of the changed tenant. `limits` are as in `warnings_about_limits`."""
    warnings = [
        *path_warnings(rule),
        *upstream_warnings(after, rule),
        *warnings_about_limits(after.tenant, rule, limits),
        *chain_warnings(after.tenant, rule, services().catalogue, parse=parsed_once()),
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


def with_changed(
    before: Snapshot, stored: Rule, sent: Mapping[str, Any], targets: CheckedTargets, now: float
) -> Snapshot:
    """The tenant with the changed rule, complete and sealed. Raises `Invalid` and `ApiError`."""
    values, problems = split_read_only(sent, lambda: rule_document(stored))
    chains, found = read_entries(sent, stored)
    values |= chains
    if "methods" in sent:
        values["methods"] = tuple(dict.fromkeys(sent["methods"]))
    if "name" in sent and sent["name"] is None:
        values["name"] = _name(before, stored, sent.get("path", stored.path))
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
    judged = check_rule(before.tenant, rule, services().catalogue, parse=parsed_once())
    rejections = (
        check_fields(RULE_FIELDS, stored, rule),
        forbidden,
        _overlap(before, rule),
        name_taken(stored, rule, [one for one in before.rules if one.id != rule.id]),
    )
    raise_problems(problems, targets.problems, found, judged, rejections=rejections)
    entries = seal_entries(before.tenant.id, rule.plugin_chain)
    rule = replace(rule, plugin_chain=entries, updated_at=now)
    return with_rule(before, seal_upstreams(before.tenant.id, rule))


def _name(before: Snapshot, stored: Rule, path: str) -> str:
    """The name of a rule that is sent without one: the stored one, or the first free one of its path."""
    if any(one.id == stored.id for one in before.rules):
        return stored.name
    taken = {one.name for one in before.rules}
    name = name_of_path(path)
    numbered = (f"{name}-{number}" for number in count(2))
    return next(one for one in chain([name], numbered) if one not in taken)


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
    for other in [one for one in before.rules if one.path == rule.path]:
        if other.match != rule.match or other.id == rule.id:
            continue
        common = not rule.methods or not other.methods or set(rule.methods) & set(other.methods)
        if rule.active and other.active and common:
            return ApiError(
                "rule_exists",
                f"The rule {other.id} matches the same path and method. Change or deactivate that rule.",
                [Problem("/path", f"The rule {other.id} has the same path.")],
            )
    return None
