"""/tenants: the customers of the platform. /tiers: what they may have."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from flask import Response, g
from flask.views import MethodView
from marshmallow import fields, validate

from admin_app.auth.access import Access, requires
from admin_app.changes.check_targets import check_targets
from admin_app.changes.idempotency import idempotent
from admin_app.changes.owners import check_keeps_shared
from admin_app.changes.snapshot import change_tenant, delete_tenant, find_tenant, new_key, write
from admin_app.changes.whole.tenant import changed_tenant, tenant_warnings
from admin_app.context import new_id, services
from admin_app.http.openapi import Blueprint
from admin_app.http.paging import PageQuery, invalid_cursor, page_response
from admin_app.http.responses import check_match, no_content, response
from shared.core.errors import Invalid, Problem
from shared.documents import examples
from shared.documents.tenant import (
    TenantChanged,
    TenantCreated,
    TenantInput,
    TenantList,
    TenantOutput,
    TenantPatch,
    TenantReplacement,
    TierList,
    TierOutput,
    removed_tier,
    tenant_document,
)
from shared.model.config import ApiKey, Scope, Snapshot, Tenant

blueprint = Blueprint("tenants", __name__, "Customers of the platform. Each has its own subdomain.")

# A search reads pages of at least this many tenants, and at most this many tenants in all.
_LEAST_READ: Final = 10
_MOST_READ: Final = 1_000


class TenantQuery(PageQuery):
    """Which tenants are wanted, and the page of them."""

    text = fields.String(
        load_default="",
        validate=validate.Length(max=200),
        metadata={"description": "Part of the name, subdomain or id, in any case."},
    )
    status = fields.String(
        load_default=None,
        validate=validate.OneOf(["active", "disabled"]),
        metadata={"description": "Only tenants with this status."},
    )


def _judge(sent: dict[str, Any], tenant_id: str | None = None) -> None:
    """Check the fields of a body of which others are malformed."""
    before = _blank() if tenant_id is None else find_tenant(tenant_id)
    with _pointers_as_sent(sent):
        changed_tenant(before, sent, check_targets(sent), 0.0)


@blueprint.route("/tenants")
class Tenants(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("listTenants")
    @blueprint.reads(TenantQuery, location="query")
    @blueprint.responses(200, TenantList, example=examples.page("tenants", examples.TENANT_READ))
    def get(self, query: dict[str, Any]) -> Response:
        """List tenants, in order of creation

        A page with `text` or `status` may have fewer tenants than `limit`, or none, though more follow.
        """
        try:
            found, cursor = _page(query)
        except ValueError:
            raise invalid_cursor() from None
        return page_response("tenants", [tenant_document(tenant) for tenant in found], cursor)

    @requires(Access.PLATFORM)
    @idempotent
    @blueprint.operation("createTenant")
    @blueprint.reads(TenantInput, example=examples.TENANT, judge=_judge)
    @blueprint.responses(201, TenantCreated, example=examples.TENANT_CREATED)
    def post(self, sent: dict[str, Any]) -> Response:
        """Create a tenant

        The response has its first API key (scopes admin and proxy), which is shown only once.
        """
        now = services().clock.now()
        with _pointers_as_sent(sent):
            targets = check_targets(sent)
            after = changed_tenant(_blank(now), sent, targets, now)
        secret, key = new_key(
            ApiKey("", "first key", "", "", scopes=(Scope.ADMIN, Scope.PROXY), created_at=now)
        )

        def respond(made: Snapshot) -> Response:
            extra = {"warnings": tenant_warnings(made.tenant, targets), "api_key": secret, "key": secret}
            return response(tenant_document(made.tenant), 201, extra, f"/api/v1/tenants/{made.tenant.id}")

        return respond(write(None, replace(after, keys=(key,)), respond) or after)


@blueprint.route("/tenants/<tenant_id>")
class OneTenant(MethodView):
    @requires(Access.READ)
    @blueprint.operation("getTenant")
    @blueprint.responses(200, TenantOutput, example=examples.TENANT_READ)
    def get(self, tenant_id: str) -> Response:
        """Read a tenant"""
        return response(tenant_document(find_tenant(tenant_id).tenant))

    @requires(Access.ADMIN)
    @blueprint.operation("replaceTenant")
    @blueprint.reads(TenantReplacement, example=examples.TENANT, judge=_judge)
    @blueprint.responses(200, TenantChanged, example=examples.changed(examples.TENANT_READ))
    def put(self, sent: dict[str, Any], tenant_id: str) -> Response:
        """Replace a tenant's settings

        Omitted fields get their defaults. Rules and API keys stay. A document that was read can be sent
        back. Only the platform may change `subdomain`, `tier`, `status`, `enabled_plugins` and
        `required_plugins`.
        """
        return _change(tenant_id, sent)

    @requires(Access.ADMIN)
    @blueprint.operation("updateTenant")
    @blueprint.reads(TenantPatch(partial=True), example={"name": "Acme"}, judge=_judge)
    @blueprint.responses(200, TenantChanged, example=examples.changed(examples.TENANT_READ))
    def patch(self, sent: dict[str, Any], tenant_id: str) -> Response:
        """Change some of a tenant's settings

        A tenant's own key may change `name` and `plugin_chain`.
        """
        return _change(tenant_id, sent)

    @requires(Access.PLATFORM)
    @blueprint.operation("deleteTenant")
    @blueprint.responses(204, description="The tenant, its rules and its API keys are deleted.")
    def delete(self, tenant_id: str) -> Response:
        """Delete a tenant

        Its subdomain stays reserved for `admin.subdomain_quarantine`.
        """
        delete_tenant(tenant_id, lambda before: check_match(tenant_document(before.tenant)))
        return no_content()


@blueprint.route("/tenants/<tenant_id>/tier")
class TenantTier(MethodView):
    @requires(Access.READ)
    @blueprint.operation("getTenantTier")
    @blueprint.responses(200, TierOutput, example=examples.TIER)
    def get(self, tenant_id: str) -> Response:
        """Read the limits of a tenant's tier

        The operator sets them in config.yaml. A tier that is no longer there allows nothing.
        """
        name = find_tenant(tenant_id).tenant.tier
        return response(TierOutput().dump(services().settings.tiers.get(name) or removed_tier(name)))


@blueprint.route("/tiers")
class Tiers(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("listTiers")
    @blueprint.responses(200, TierList, example=examples.TIERS)
    def get(self) -> Response:
        """List the tiers of config.yaml"""
        return response(TierList().dump({"tiers": services().settings.tiers.values()}))


def _page(query: Mapping[str, Any]) -> tuple[list[Tenant], str | None]:
    """The tenants of a page, and the cursor of the next one. Raises ValueError on a wrong cursor."""
    text, status = query["text"].casefold(), query["status"]
    found: list[Tenant] = []
    read, cursor = 0, query["cursor"]
    while True:
        page = services().store.list(query["limit"] - len(found), cursor)
        read, cursor = read + len(page.snapshots), page.next_cursor
        found += [
            tenant
            for tenant in (snapshot.tenant for snapshot in page.snapshots)
            if status in (None, tenant.status)
            and any(text in value.casefold() for value in (tenant.name, tenant.subdomain, tenant.id))
        ]
        if cursor is None or read >= _MOST_READ or len(found) > query["limit"] - _LEAST_READ:
            return found, cursor


def _change(tenant_id: str, sent: Mapping[str, Any]) -> Response:
    def change(before: Snapshot) -> Snapshot:
        check_match(tenant_document(before.tenant))
        after = changed_tenant(before, sent, targets, services().clock.now())
        check_keeps_shared(before, after)
        return after

    find_tenant(tenant_id)  # first, so that strangers cannot cause DNS queries
    with _pointers_as_sent(sent):
        targets = check_targets(sent)
        tenant = change_tenant(tenant_id, change).tenant
    return response(tenant_document(tenant), extra={"warnings": tenant_warnings(tenant, targets)})


def _blank(now: float = 0.0) -> Snapshot:
    """A new tenant before its fields are set."""
    return Snapshot(Tenant(new_id("tenant"), "", "", created_at=now))


@contextmanager
def _pointers_as_sent(sent: Mapping[str, Any]) -> Iterator[None]:
    """Make pointers into required_plugins point into the list, if the body has a list."""
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
