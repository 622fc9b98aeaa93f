"""/tenants: the platform's customers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from flask import Response, g
from flask.views import MethodView

from admin_app.auth.access import Access, caller, needs
from admin_app.auth.field_access import TENANT_FIELDS, check_fields
from admin_app.changes.check_targets import check_targets
from admin_app.changes.entries import read_chain, read_required
from admin_app.changes.limit_warnings import warnings_of_tenant
from admin_app.changes.secrets import seal_settings
from admin_app.changes.snapshot import change_tenant, delete_tenant, find_tenant
from admin_app.http.openapi import Blueprint
from admin_app.http.paging import PageQuery, bad_cursor
from admin_app.http.responses import check_match, no_content, response
from admin_app.services import current, new_id
from shared.core.errors import Invalid, Problem
from shared.documents import (
    TenantChanged,
    TenantCreated,
    TenantInput,
    TenantList,
    TenantOutput,
    TenantPatch,
    examples,
    tenant_document,
)
from shared.model.config import ApiKey, Scope, Snapshot, Tenant
from shared.pipeline import check_tenant
from shared.secrets.api_keys import mint_key

blueprint = Blueprint("tenants", __name__, "Customers of the platform, each with its subdomain.")


@blueprint.route("/tenants")
class Tenants(MethodView):
    @needs(Access.PLATFORM)
    @blueprint.reads(PageQuery, location="query")
    @blueprint.responses(200, TenantList)
    def get(self, query: dict[str, Any]) -> Response:
        """List tenants, in order of creation"""
        try:
            page = current().store.list(query["limit"], query["cursor"])
        except ValueError:
            raise bad_cursor() from None
        documents = [tenant_document(snapshot.tenant) for snapshot in page.snapshots]
        return response({"tenants": documents, "count": len(documents), "next_cursor": page.next_cursor})

    @needs(Access.PLATFORM)
    @blueprint.reads(TenantInput, example=examples.TENANT)
    @blueprint.responses(201, TenantCreated)
    def post(self, sent: dict[str, Any]) -> Response:
        """Create a tenant

        Answers with its first API key (scopes admin and proxy), which is shown this once.
        """
        services = current()
        with _pointers_as_sent(sent):
            warnings = check_targets(sent)
            now = services.clock.now()
            blank = Tenant(new_id("tenant"), sent["name"], sent["subdomain"], created_at=now)
            after = _changed(Snapshot(blank), sent, now)
        minted = mint_key(services.random_bytes)
        key = ApiKey(
            new_id("key"),
            "first key",
            minted.prefix,
            services.hasher(minted.text),
            scopes=(Scope.ADMIN, Scope.PROXY),
            created_at=now,
        )
        stored = services.store.write(None, replace(after, keys=(key,)), actor=caller().actor)
        tenant = (stored or after).tenant
        extra = {"warnings": [*warnings_of_tenant(tenant), *warnings], "api_key": minted.text}
        return response(tenant_document(tenant), 201, extra, f"/api/v1/tenants/{tenant.id}")


@blueprint.route("/tenants/<tenant_id>")
class OneTenant(MethodView):
    @needs(Access.READ)
    @blueprint.responses(200, TenantOutput)
    def get(self, tenant_id: str) -> Response:
        """Read a tenant"""
        return response(tenant_document(find_tenant(tenant_id).tenant))

    @needs(Access.ADMIN)
    @blueprint.reads(TenantInput, example=examples.TENANT)
    @blueprint.responses(200, TenantChanged)
    def put(self, sent: dict[str, Any], tenant_id: str) -> Response:
        """Replace a tenant's settings

        What is left out gets its default. Rules and API keys stay.
        """
        return _change(tenant_id, sent)

    @needs(Access.ADMIN)
    @blueprint.reads(TenantPatch(partial=True), example={"name": "Acme Corporation"})
    @blueprint.responses(200, TenantChanged)
    def patch(self, sent: dict[str, Any], tenant_id: str) -> Response:
        """Change some of a tenant's settings"""
        return _change(tenant_id, sent)

    @needs(Access.PLATFORM)
    @blueprint.responses(204, description="Gone, with its rules. Its API keys are refused from now on.")
    def delete(self, tenant_id: str) -> Response:
        """Delete a tenant

        Its subdomain can be taken again after a quarantine.
        """
        delete_tenant(tenant_id, lambda before: check_match(tenant_document(before.tenant)))
        return no_content()


def _change(tenant_id: str, sent: Mapping[str, Any]) -> Response:
    def change(before: Snapshot) -> Snapshot:
        check_match(tenant_document(before.tenant))
        return _changed(before, sent, current().clock.now())

    find_tenant(tenant_id)  # no address is resolved for a stranger
    with _pointers_as_sent(sent):
        warnings = check_targets(sent)
        tenant = change_tenant(tenant_id, change).tenant
    return response(tenant_document(tenant), extra={"warnings": [*warnings_of_tenant(tenant), *warnings]})


def _changed(before: Snapshot, sent: Mapping[str, Any], now: float) -> Snapshot:
    """The tenant with what was sent, complete and sealed. Raises `Invalid` and `ApiError`."""
    _check_names(sent)
    values = dict(sent)
    stored = before.tenant
    if sent.get("enabled_plugins") is not None:
        values["enabled_plugins"] = tuple(dict.fromkeys(sent["enabled_plugins"]))
    if "required_plugins" in sent:
        values["required_plugins"] = read_required(sent["required_plugins"], stored.required_plugins)
    if "plugin_chain" in sent:
        values["plugin_chain"] = read_chain(sent["plugin_chain"], stored.plugin_chain)
    tenant = replace(stored, **values)
    check_fields(TENANT_FIELDS, sent, stored, tenant)
    problems = check_tenant(tenant, before.rules, current().catalogue)
    if problems:
        raise Invalid(problems)
    return replace(before, tenant=_sealed(replace(tenant, updated_at=now)))


def _sealed(tenant: Tenant) -> Tenant:
    required = tenant.required_plugins.items()
    return replace(
        tenant,
        required_plugins={name: seal_settings(tenant.id, entry) for name, entry in required},
        plugin_chain=tuple(seal_settings(tenant.id, entry) for entry in tenant.plugin_chain),
    )


def _check_names(sent: Mapping[str, Any]) -> None:
    """Tiers and plugins that were named must exist."""
    services = current()
    problems = []
    tiers = services.settings.tiers
    if "tier" in sent and sent["tier"] not in tiers:
        allowed = ", ".join(tiers)
        problems.append(Problem("/tier", f"There is no tier {sent['tier']}. Allowed: {allowed}."))
    for i, name in enumerate(sent.get("enabled_plugins") or ()):
        if name not in services.catalogue:
            known = ", ".join(sorted(services.catalogue))
            problems.append(Problem(f"/enabled_plugins/{i}", f"There is no plugin {name}. Allowed: {known}."))
    if problems:
        raise Invalid(problems)


@contextmanager
def _pointers_as_sent(sent: Mapping[str, Any]) -> Iterator[None]:
    """Let problems of required_plugins point into the list, when a list was sent."""
    try:
        yield
    except Invalid as error:
        if not isinstance(g.body.get("required_plugins"), list):
            raise
        names = list(sent["required_plugins"])
        raise Invalid([_repointed(problem, names) for problem in error.problems]) from None


def _repointed(problem: Problem, names: list[str]) -> Problem:
    parts = problem.pointer.split("/")
    if len(parts) > 2 and parts[1] == "required_plugins" and parts[2] in names:
        parts[2] = str(names.index(parts[2]))
    return replace(problem, pointer="/".join(parts))
