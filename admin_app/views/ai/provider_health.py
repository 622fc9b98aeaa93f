"""…/providers/{id}/health: which targets of a provider are called, and why others are not."""

from collections.abc import Mapping
from typing import Any, Final

from flask import Response
from flask.views import MethodView

from admin_app.auth.access import Access, requires
from admin_app.changes.owners import Owner
from admin_app.context import services
from admin_app.http.errors import not_found
from admin_app.http.openapi import Blueprint
from admin_app.http.responses import response
from shared.documents.ai import examples
from shared.documents.ai.health import (
    CloseTargetInput,
    OpenTargetInput,
    ProviderHealthOutput,
    health_document,
)
from shared.health.report import CLOSED, MAX_SECONDS, OPERATOR, Report
from shared.health.store import HealthStore

blueprint = Blueprint("provider health", __name__, "Which targets of providers are called.")

_MAX_NAME: Final = 256


@blueprint.route("/providers/<provider_id>/health")
class PlatformProviderHealth(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("getPlatformProviderHealth")
    @blueprint.responses(200, ProviderHealthOutput, example=examples.PROVIDER_HEALTH)
    def get(self, provider_id: str) -> Response:
        """Read the health of a provider of the platform

        `state` is that for all tenants. `open_for_tenants` counts those for which it is open besides.
        """
        return _read(Owner(), provider_id)


@blueprint.route("/providers/<provider_id>/health/<path:target>/open")
class OpenPlatformTarget(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("openPlatformTarget")
    @blueprint.reads(OpenTargetInput, example=examples.OPEN_TARGET)
    @blueprint.responses(200, ProviderHealthOutput, example=examples.PROVIDER_HEALTH)
    def post(self, sent: dict[str, Any], provider_id: str, target: str) -> Response:
        """Open a target of a provider of the platform: no tenant's calls go there"""
        return _open(Owner(), provider_id, target, sent)


@blueprint.route("/providers/<provider_id>/health/<path:target>/close")
class ClosePlatformTarget(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("closePlatformTarget")
    @blueprint.reads(CloseTargetInput, example={})
    @blueprint.responses(200, ProviderHealthOutput, example=examples.PROVIDER_HEALTH)
    def post(self, _: dict[str, Any], provider_id: str, target: str) -> Response:
        """Close a target of a provider of the platform: all tenants' calls go there again"""
        return _close(Owner(), provider_id, target)


@blueprint.route("/tenants/<tenant_id>/providers/<provider_id>/health")
class OneProviderHealth(MethodView):
    @requires(Access.READ)
    @blueprint.operation("getProviderHealth")
    @blueprint.responses(200, ProviderHealthOutput, example=examples.PROVIDER_HEALTH)
    def get(self, tenant_id: str, provider_id: str) -> Response:
        """Read the health of a provider of a tenant"""
        return _read(Owner(tenant_id), provider_id)


@blueprint.route("/tenants/<tenant_id>/providers/<provider_id>/health/<path:target>/open")
class OpenTarget(MethodView):
    @requires(Access.ADMIN)
    @blueprint.operation("openTarget")
    @blueprint.reads(OpenTargetInput, example=examples.OPEN_TARGET)
    @blueprint.responses(200, ProviderHealthOutput, example=examples.PROVIDER_HEALTH)
    def post(self, sent: dict[str, Any], tenant_id: str, provider_id: str, target: str) -> Response:
        """Open a target of a provider of a tenant: no calls go there"""
        return _open(Owner(tenant_id), provider_id, target, sent)


@blueprint.route("/tenants/<tenant_id>/providers/<provider_id>/health/<path:target>/close")
class CloseTarget(MethodView):
    @requires(Access.ADMIN)
    @blueprint.operation("closeTarget")
    @blueprint.reads(CloseTargetInput, example={})
    @blueprint.responses(200, ProviderHealthOutput, example=examples.PROVIDER_HEALTH)
    def post(self, _: dict[str, Any], tenant_id: str, provider_id: str, target: str) -> Response:
        """Close a target of a provider of a tenant: calls go there again"""
        return _close(Owner(tenant_id), provider_id, target)


def _read(owner: Owner, provider_id: str) -> Response:
    provider = owner.read().provider(provider_id)
    with services().reading(HealthStore) as store:
        stored = store.read([provider.id])[provider.id]
    return response(health_document(provider, owner.tenant_id or "", stored, services().clock.now()))


def _open(owner: Owner, provider_id: str, target: str, sent: Mapping[str, Any]) -> Response:
    return _tell(owner, provider_id, target, cause=OPERATOR, seconds=sent["duration"], why=sent["reason"])


def _close(owner: Owner, provider_id: str, target: str) -> Response:
    return _tell(owner, provider_id, target, cause=CLOSED, seconds=MAX_SECONDS, why="operator")


def _tell(owner: Owner, provider_id: str, target: str, *, cause: str, seconds: float, why: str) -> Response:
    """Tell all workers. Raises 404 for a target that is not the provider's."""
    provider = owner.read().provider(provider_id)
    model = target.removeprefix(f"{provider.id}/")
    if model in (target, "") or len(model) > _MAX_NAME or not model.isprintable():
        raise not_found("target")
    now = services().clock.now()
    report = Report(
        tenant=owner.tenant_id or "", target=target, until=now + seconds, at=now, cause=cause, why=why
    )
    with services().reading(HealthStore) as store:
        store.tell(report)
    return _read(owner, provider_id)
