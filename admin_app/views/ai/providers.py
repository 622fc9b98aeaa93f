"""/providers and /tenants/{id}/providers: where models run, and the credentials for it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from flask import Response
from flask.views import MethodView

from admin_app.auth.access import Access, requires
from admin_app.changes.idempotency import idempotent
from admin_app.changes.owners import Holding, Owner, check_unused, shared_providers
from admin_app.changes.providers import changed_provider, check_base, provider_warnings
from admin_app.changes.snapshot import check_maximum, tier_maximum
from admin_app.context import new_id, services
from admin_app.http.errors import problem_documents
from admin_app.http.openapi import Blueprint
from admin_app.http.paging import PageQuery, page_of
from admin_app.http.responses import check_match, no_content, response
from shared.documents.ai import examples
from shared.documents.ai.health import key_health
from shared.documents.ai.provider import (
    KindList,
    PlatformProviderChanged,
    PlatformProviderInput,
    PlatformProviderList,
    PlatformProviderOutput,
    PlatformProviderPatch,
    PlatformProviderReplacement,
    ProviderChanged,
    ProviderInput,
    ProviderList,
    ProviderOutput,
    ProviderPatch,
    ProviderReplacement,
    SharedProvider,
    kind_document,
    provider_document,
    shared_documents,
)
from shared.documents.examples import changed, page
from shared.health.store import HealthStore
from shared.model.providers import Provider
from shared.providers.shipped.presets import presets

blueprint = Blueprint("providers", __name__, "Providers of models, and the credentials for them.")


def _judge(sent: dict[str, Any], tenant_id: str | None = None, provider_id: str | None = None) -> None:
    """Check the fields of a body of which others are malformed."""
    owner = Owner(tenant_id)
    before = owner.read()
    stored = None if provider_id is None else before.provider(provider_id)
    whole = sent if stored or {"kind", "base_url"} <= set(sent) else {"kind": "openai", **sent}
    blank = stored or Provider("", "", whole["kind"])
    changed_provider(owner, before, blank, whole, check_base(stored, whole))


@blueprint.route("/providers/kinds")
class Kinds(MethodView):
    @requires(Access.READ)
    @blueprint.operation("listProviderKinds")
    @blueprint.responses(200, KindList, example=examples.KINDS)
    def get(self) -> Response:
        """List the kinds of providers, with their parameters"""
        return response({"kinds": [kind_document(preset) for preset in presets().values()]})


@blueprint.route("/providers")
class PlatformProviders(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("listPlatformProviders")
    @blueprint.reads(PageQuery, location="query")
    @blueprint.responses(
        200, PlatformProviderList, example=page("providers", examples.PLATFORM_PROVIDER_READ)
    )
    def get(self, query: dict[str, Any]) -> Response:
        """List the platform's providers, in order of creation"""
        return _list(Owner(), query)

    @requires(Access.PLATFORM)
    @idempotent
    @blueprint.operation("createPlatformProvider")
    @blueprint.reads(PlatformProviderInput, example=examples.PLATFORM_PROVIDER, judge=_judge)
    @blueprint.responses(201, PlatformProviderChanged, example=changed(examples.PLATFORM_PROVIDER_READ))
    def post(self, sent: dict[str, Any]) -> Response:
        """Create a provider of the platform

        `shared` says which tenants may use it. They see its name, kind, APIs and models.
        """
        return _create(Owner(), sent)


@blueprint.route("/providers/<provider_id>")
class PlatformProvider(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("getPlatformProvider")
    @blueprint.responses(200, PlatformProviderOutput, example=examples.PLATFORM_PROVIDER_READ)
    def get(self, provider_id: str) -> Response:
        """Read a provider of the platform"""
        return _read(Owner(), provider_id)

    @requires(Access.PLATFORM)
    @blueprint.operation("replacePlatformProvider")
    @blueprint.reads(PlatformProviderReplacement, example=examples.PLATFORM_PROVIDER, judge=_judge)
    @blueprint.responses(200, PlatformProviderChanged, example=changed(examples.PLATFORM_PROVIDER_READ))
    def put(self, sent: dict[str, Any], provider_id: str) -> Response:
        """Replace a provider of the platform

        Omitted fields get their defaults, and omitted keys are removed. A document can be sent back as read.
        """
        return _change(Owner(), provider_id, sent)

    @requires(Access.PLATFORM)
    @blueprint.operation("updatePlatformProvider")
    @blueprint.reads(PlatformProviderPatch(partial=True), example={"enabled": True}, judge=_judge)
    @blueprint.responses(200, PlatformProviderChanged, example=changed(examples.PLATFORM_PROVIDER_READ))
    def patch(self, sent: dict[str, Any], provider_id: str) -> Response:
        """Change some fields of a provider of the platform"""
        return _change(Owner(), provider_id, sent)

    @requires(Access.PLATFORM)
    @blueprint.operation("deletePlatformProvider")
    @blueprint.responses(204, description="The provider and its keys are deleted.")
    def delete(self, provider_id: str) -> Response:
        """Delete a provider of the platform

        The status is 409 while models of the platform, or tenants, name it.
        """
        return _delete(Owner(), provider_id)


@blueprint.route("/tenants/<tenant_id>/providers")
class Providers(MethodView):
    @requires(Access.READ)
    @blueprint.operation("listProviders")
    @blueprint.reads(PageQuery, location="query")
    @blueprint.responses(200, ProviderList, example=examples.PROVIDER_LIST)
    def get(self, query: dict[str, Any], tenant_id: str) -> Response:
        """List a tenant's providers, and those that the platform shares with it"""
        return _list(Owner(tenant_id), query)

    @requires(Access.ADMIN)
    @idempotent
    @blueprint.operation("createProvider")
    @blueprint.reads(ProviderInput, example=examples.PROVIDER, judge=_judge)
    @blueprint.responses(201, ProviderChanged, example=changed(examples.PROVIDER_READ))
    def post(self, sent: dict[str, Any], tenant_id: str) -> Response:
        """Create a provider of a tenant

        In the tenant's rules it takes the place of a shared one of the same name.
        """
        return _create(Owner(tenant_id), sent)


@blueprint.route("/tenants/<tenant_id>/providers/<provider_id>")
class OneProvider(MethodView):
    @requires(Access.READ)
    @blueprint.operation("getProvider")
    @blueprint.responses(200, {"anyOf": [ProviderOutput, SharedProvider]}, example=examples.PROVIDER_READ)
    def get(self, tenant_id: str, provider_id: str) -> Response:
        """Read a provider of a tenant, or one that the platform shares with it

        Of a shared one, which is also read by its name, it gets what the list shows.
        """
        owner = Owner(tenant_id)
        holding = owner.read()
        if holding.snapshot is not None and all(one.id != provider_id for one in holding.providers):
            for shared in shared_providers(holding.snapshot.tenant):
                if provider_id in (shared.id, shared.name):
                    return response(shared_documents([shared])[0])
        return _read(owner, provider_id)

    @requires(Access.ADMIN)
    @blueprint.operation("replaceProvider")
    @blueprint.reads(ProviderReplacement, example=examples.PROVIDER, judge=_judge)
    @blueprint.responses(200, ProviderChanged, example=changed(examples.PROVIDER_READ))
    def put(self, sent: dict[str, Any], tenant_id: str, provider_id: str) -> Response:
        """Replace a provider of a tenant

        Omitted fields get their defaults, and omitted keys are removed. A document can be sent back as read.
        """
        return _change(Owner(tenant_id), provider_id, sent)

    @requires(Access.ADMIN)
    @blueprint.operation("updateProvider")
    @blueprint.reads(ProviderPatch(partial=True), example={"enabled": True}, judge=_judge)
    @blueprint.responses(200, ProviderChanged, example=changed(examples.PROVIDER_READ))
    def patch(self, sent: dict[str, Any], tenant_id: str, provider_id: str) -> Response:
        """Change some fields of a provider of a tenant"""
        return _change(Owner(tenant_id), provider_id, sent)

    @requires(Access.ADMIN)
    @blueprint.operation("deleteProvider")
    @blueprint.responses(204, description="The provider and its keys are deleted.")
    def delete(self, tenant_id: str, provider_id: str) -> Response:
        """Delete a provider of a tenant

        The status is 409 while rules or models of the tenant name it.
        """
        return _delete(Owner(tenant_id), provider_id)


def _document(owner: Owner, provider: Provider) -> dict[str, Any]:
    return provider_document(provider, is_platforms=owner.is_platform)


def _health_of(owner: Owner, *providers: Provider) -> Sequence[Mapping[str, Any]]:
    """For each provider, the members that tell the health of its keys, which ETags do not cover."""
    with services().reading(HealthStore) as store:
        stored = store.read(provider.id for provider in providers)
    now, tenant_id = services().clock.now(), owner.tenant_id or ""
    return [
        {
            "keys": [
                {**shown, **key_health(key, tenant_id, stored[provider.id], now)}
                for key, shown in zip(provider.keys, _document(owner, provider)["keys"], strict=True)
            ]
        }
        for provider in providers
    ]


def _list(owner: Owner, query: Mapping[str, Any]) -> Response:
    holding = owner.read()
    items, cursor = page_of(holding.providers, query)
    found = zip(items, _health_of(owner, *items), strict=True)
    documents = [{**_document(owner, provider), **health} for provider, health in found]
    members = {"providers": documents, "count": len(items), "next_cursor": cursor}
    if holding.snapshot is not None:
        members["shared"] = shared_documents(shared_providers(holding.snapshot.tenant))
    return response(members)


def _read(owner: Owner, provider_id: str) -> Response:
    provider = owner.read().provider(provider_id)
    [health] = _health_of(owner, provider)
    return response(_document(owner, provider), extra=health)


def _create(owner: Owner, sent: Mapping[str, Any]) -> Response:
    provider_id, now = new_id("prv"), services().clock.now()
    owner.read()  # first, so that strangers cannot cause DNS queries
    checked = check_base(None, sent)

    def add(before: Holding) -> Holding:
        if before.snapshot is not None:
            most = tier_maximum(before.snapshot.tenant, "max_providers")
            check_maximum("providers", len(before.providers), most)
        blank = Provider(provider_id, sent["name"], sent["kind"], created_at=now, updated_at=now)
        return before.with_provider(changed_provider(owner, before, blank, sent, checked))

    def respond(after: Holding) -> Response:
        provider = after.provider(provider_id)
        warnings = problem_documents(provider_warnings(provider, checked.targets))
        location = f"{owner.path}/providers/{provider_id}"
        [health] = _health_of(owner, provider)
        return response(_document(owner, provider), 201, {**health, "warnings": warnings}, location)

    return respond(owner.change(add, respond))


def _change(owner: Owner, provider_id: str, sent: Mapping[str, Any]) -> Response:
    checked = check_base(owner.read().provider(provider_id), sent)

    def change(provider: Provider, before: Holding) -> Provider:
        return changed_provider(owner, before, provider, sent, checked)

    after = change_one(owner, provider_id, change)
    provider = after.provider(provider_id)
    warnings = problem_documents(provider_warnings(provider, checked.targets))
    [health] = _health_of(owner, provider)
    return response(_document(owner, provider), extra={**health, "warnings": warnings})


def change_one(
    owner: Owner,
    provider_id: str,
    change: Callable[[Provider, Holding], Provider],
    respond: Callable[[Holding], Response] | None = None,
) -> Holding:
    """Write the result of `change` in place of a provider, unless If-Match prevents it."""

    def changed_holding(before: Holding) -> Holding:
        provider = before.provider(provider_id)
        check_match(_document(owner, provider))
        after = change(provider, before)
        if after.name != provider.name:
            check_unused(before, provider=provider.name)
        now = services().clock.now()
        return before.with_provider(replace(after, version=provider.version + 1, updated_at=now))

    return owner.change(changed_holding, respond)


def _delete(owner: Owner, provider_id: str) -> Response:
    def remove(before: Holding) -> Holding:
        provider = before.provider(provider_id)
        check_match(_document(owner, provider))
        check_unused(before, provider=provider.name)
        return replace(before, providers=tuple(one for one in before.providers if one is not provider))

    owner.change(remove)
    return no_content()
