"""The fields of a tenant in a change: checked, complete, and with their warnings."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from admin_app.auth.field_access import TENANT_FIELDS, check_fields
from admin_app.changes.check_targets import CheckedTargets
from admin_app.changes.entries import parsed_once, read_entries
from admin_app.changes.limits import warnings_about_limits
from admin_app.changes.read_only import split_read_only
from admin_app.changes.secrets import seal_entries
from admin_app.context import services
from admin_app.http.errors import ApiError, problem_documents, raise_problems, subdomain_taken
from shared.core.errors import Problem, SubdomainTaken
from shared.documents.tenant import tenant_document
from shared.model.config import Snapshot, Tenant
from shared.pipeline.check import chain_warnings, check_tenant


def tenant_warnings(tenant: Tenant, targets: CheckedTargets) -> list[dict[str, str]]:
    """Warnings about the fields of a tenant."""
    chain = chain_warnings(tenant, None, services().catalogue, parse=parsed_once())
    return problem_documents([*warnings_about_limits(tenant, None), *chain, *targets.warnings])


def changed_tenant(
    before: Snapshot, sent: Mapping[str, Any], targets: CheckedTargets, now: float
) -> Snapshot:
    """The tenant with the changes, complete and sealed. Raises `Invalid` and `ApiError`."""
    stored = before.tenant
    values, problems = split_read_only(sent, lambda: tenant_document(stored))
    chains, found = read_entries(sent, stored)
    values |= chains
    if sent.get("enabled_plugins") is not None:
        values["enabled_plugins"] = tuple(dict.fromkeys(sent["enabled_plugins"]))
    tenant = replace(stored, **values)
    chain = check_tenant(tenant, before.rules, services().catalogue, parse=parsed_once())
    rejections = (check_fields(TENANT_FIELDS, stored, tenant), _taken(stored, tenant))
    raise_problems(problems, _unknown_names(sent), targets.problems, found, chain, rejections=rejections)
    required = seal_entries(tenant.id, tenant.required_plugins.values())
    sealed = replace(
        tenant,
        required_plugins={entry.name: entry for entry in required},
        plugin_chain=seal_entries(tenant.id, tenant.plugin_chain),
        updated_at=now,
    )
    return replace(before, tenant=sealed)


def _taken(before: Tenant, after: Tenant) -> ApiError | None:
    """409 if another tenant has the new subdomain. To write it may still fail, if another call is first."""
    if after.subdomain == before.subdomain:
        return None
    try:
        services().store.check_subdomain(after.id, after.subdomain)
    except SubdomainTaken as error:
        return subdomain_taken(error)
    return None


def _unknown_names(sent: Mapping[str, Any]) -> list[Problem]:
    """A problem for each tier or plugin of the body that does not exist."""
    problems = []
    tiers, plugins = services().settings.tiers, sorted(services().catalogue)
    if "tier" in sent and sent["tier"] not in tiers:
        detail = f"There is no tier {sent['tier']}. Allowed: {', '.join(tiers)}."
        problems.append(Problem("/tier", detail))
    for i, name in enumerate(sent.get("enabled_plugins") or ()):
        if name not in plugins:
            detail = f"There is no plugin {name}. Allowed: {', '.join(plugins)}."
            problems.append(Problem(f"/enabled_plugins/{i}", detail))
    return problems
