"""/provider-models and /tenants/{id}/provider-models: the models of providers, with prices and uses."""

from collections.abc import Mapping
from typing import Any

from flask import Response
from flask.views import MethodView

from admin_app.auth.access import Access, requires
from admin_app.changes.offered import Offered
from admin_app.changes.owners import Holding, Owner, providers_of_rule
from admin_app.changes.platform import platform
from admin_app.context import services
from admin_app.http.openapi import Blueprint
from admin_app.http.responses import response
from shared.documents.ai import examples
from shared.documents.ai.known_models import (
    KnownModelsOutput,
    KnownModelsQuery,
    Prices,
    Uses,
    known_models_document,
    provider_models,
)
from shared.model.uses import provider_use
from shared.providers.shipped.model_table import shipped_models
from shared.usage.row import day_of

blueprint = Blueprint("models of providers", __name__, "The models of providers, and their prices.")


@blueprint.route("/provider-models")
class PlatformProviderModels(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("listPlatformProviderModels")
    @blueprint.reads(KnownModelsQuery, location="query")
    @blueprint.responses(200, KnownModelsOutput, example=examples.KNOWN_MODELS)
    def get(self, query: dict[str, Any]) -> Response:
        """List the models of the platform's providers, with their prices"""
        return _read(Owner(), query)


@blueprint.route("/tenants/<tenant_id>/provider-models")
class ProviderModels(MethodView):
    @requires(Access.READ)
    @blueprint.operation("listProviderModels")
    @blueprint.reads(KnownModelsQuery, location="query")
    @blueprint.responses(200, KnownModelsOutput, example=examples.KNOWN_MODELS)
    def get(self, query: dict[str, Any], tenant_id: str) -> Response:
        """List the models of the providers that a tenant may use, with their prices"""
        return _read(Owner(tenant_id), query)


def _read(owner: Owner, query: Mapping[str, Any]) -> Response:
    holding = owner.read()
    offered, uses = Offered(holding), _uses(holding)
    table, own = shipped_models(), {one.name for one in holding.providers}
    prices = Prices(shipped=table, platform=platform().prices, day=day_of(services().clock.now()))
    found = [
        provider_models(
            known,
            offered.discovered.get(known.provider.id),
            prices,
            uses[name],
            shared=name not in own,
            text=query["text"],
        )
        for name, known in offered.providers.items()
    ]
    return response(known_models_document(found, table))


def _uses(holding: Holding) -> Mapping[str, Uses]:
    """The models, rules and tenants that name each of the usable providers."""
    rules = [
        ({one.name for one in providers_of_rule(rule.ai, holding)}, {"id": rule.id, "path": rule.path})
        for rule in (holding.snapshot.rules if holding.snapshot else ())
        if rule.ai is not None
    ]
    names = list(holding.usable)
    tenants = {} if holding.snapshot else services().store.users_of(map(provider_use, names))
    return {
        name: Uses(
            models=[one.name for one in holding.models if any(name == it.provider for it in one.targets)],
            rules=[rule for named, rule in rules if name in named],
            tenants=sorted(tenants.get(provider_use(name), ())),
        )
        for name in names
    }
