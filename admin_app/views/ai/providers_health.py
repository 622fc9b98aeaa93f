"""/providers/health and /tenants/{id}/providers/health: the health of all providers in one response."""

from collections.abc import Sequence

from flask import Response
from flask.views import MethodView

from admin_app.auth.access import Access, requires
from admin_app.changes.owners import Owner, shared_providers
from admin_app.context import services
from admin_app.http.openapi import Blueprint
from admin_app.http.responses import response
from shared.documents.ai import examples
from shared.documents.ai.providers_health import (
    MINUTES,
    Observed,
    ProvidersHealthOutput,
    providers_health_document,
)
from shared.health.store import HealthStore
from shared.model.providers import Provider
from shared.records.figures import total
from shared.records.keys import ALL
from shared.records.reader import RecordReader

blueprint = Blueprint("health of providers", __name__, "The health of all providers, keys and targets.")


@blueprint.route("/providers/health")
class PlatformProvidersHealth(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("getPlatformProvidersHealth")
    @blueprint.responses(200, ProvidersHealthOutput, example=examples.PROVIDERS_HEALTH)
    def get(self) -> Response:
        """Read the health of all providers of the platform

        The figures are of the calls of all tenants.
        """
        return _read(Owner())


@blueprint.route("/tenants/<tenant_id>/providers/health")
class ProvidersHealth(MethodView):
    @requires(Access.READ)
    @blueprint.operation("getProvidersHealth")
    @blueprint.responses(200, ProvidersHealthOutput, example=examples.PROVIDERS_HEALTH)
    def get(self, tenant_id: str) -> Response:
        """Read the health of a tenant's providers, and of those that the platform shares with it

        The figures are of the calls of this tenant. Of a shared provider, `keys` is null, `targets` is empty,
        and `reason` does not tell its errors.
        """
        return _read(Owner(tenant_id))


def _read(owner: Owner) -> Response:
    holding = owner.read()
    shared = shared_providers(holding.snapshot.tenant) if holding.snapshot else ()
    return response(
        providers_health_document(holding.providers, shared, _observed(owner, [*holding.providers, *shared]))
    )


def _observed(owner: Owner, providers: Sequence[Provider]) -> Observed:
    now = services().clock.now()
    minute = int(now // 60)
    minutes = range(minute - MINUTES + 1, minute + 1)
    with services().reading(HealthStore) as store:
        stored = store.read(one.id for one in providers)
    with services().reading(RecordReader) as reader:
        calls = total(reader.calls(owner.tenant_id or ALL, minutes))
    return Observed(
        tenant_id=owner.tenant_id or "",
        stored=stored,
        calls=calls,
        seconds=now - minutes[0] * 60,
        now=now,
    )
