"""/tenants/{id}/rules/{id}/health: which targets of a rule are called, and why others are not."""

from collections.abc import Iterator, Mapping
from typing import Any

from flask import Response
from flask.views import MethodView

from admin_app.auth.access import Access, caller, requires
from admin_app.changes.owners import holding_of, providers_of_rule
from admin_app.changes.snapshot import find_rule, find_tenant
from admin_app.context import services
from admin_app.http.openapi import Blueprint
from admin_app.http.responses import response
from shared.documents.ai import examples
from shared.documents.ai.health import (
    RuleHealthOutput,
    known_health,
    rule_health_document,
    target_documents,
    target_states,
)
from shared.health.layout import StoredHealth
from shared.health.store import HealthStore
from shared.model.config import Rule
from shared.model.providers import Provider
from shared.routing.target_pool import target_id

# The fields that tenants do not see of providers that they share: errors, and the calls of others.
_HIDDEN: Mapping[str, Any] = {
    **dict.fromkeys(("reason", "by", "ewma", "in_flight")),
    "open_for_tenants": 0,
    "last_errors": [],
}

blueprint = Blueprint("rule health", __name__, "Which targets of rules are called.")


@blueprint.route("/tenants/<tenant_id>/rules/<rule_id>/health")
class RuleHealth(MethodView):
    @requires(Access.READ)
    @blueprint.operation("getRuleHealth")
    @blueprint.responses(200, RuleHealthOutput, example=examples.RULE_HEALTH)
    def get(self, tenant_id: str, rule_id: str) -> Response:
        """Read the health of a rule's targets

        On a rule for AI these are the targets of its providers, as the tenant's calls see them. Of a provider
        that the platform shares, a tenant sees only whether its targets are called.
        """
        snapshot = find_tenant(tenant_id)
        rule = find_rule(snapshot, rule_id)
        providers = providers_of_rule(rule.ai, holding_of(snapshot)) if rule.ai else ()
        owners = [one.id for one in providers] if rule.ai else [tenant_id]
        with services().reading(HealthStore) as store:
            stored = store.read(owners)
        now = services().clock.now()
        targets = [
            *(
                state
                if provider in snapshot.tenant.providers or caller().is_platform
                else {**state, **_HIDDEN}
                for provider in providers
                for state in _of_provider(provider, tenant_id, stored, now)
            ),
            *_of_pool(rule, tenant_id, stored, now),
        ]
        return response(rule_health_document(targets))


def _of_provider(
    provider: Provider, tenant_id: str, stored: Mapping[str, StoredHealth], now: float
) -> Iterator[Mapping[str, Any]]:
    its = stored[provider.id]
    for state in target_documents(provider, tenant_id, known_health(its, now), its, now):
        model = state["target"].removeprefix(f"{provider.id}/")
        yield {**state, "name": f"{provider.name}/{model}"}


def _of_pool(
    rule: Rule, tenant_id: str, stored: Mapping[str, StoredHealth], now: float
) -> Iterator[Mapping[str, Any]]:
    if not rule.targets:
        return
    names = [target_id(tenant_id, one.url) for one in rule.targets]
    states = target_states(names, tenant_id, stored[tenant_id], now)
    for one, state in zip(rule.targets, states, strict=True):
        yield {**state, "name": one.url}
