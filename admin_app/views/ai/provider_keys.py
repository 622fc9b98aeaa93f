"""…/providers/{id}/keys: one credential of a provider at a time."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import Response
from flask.views import MethodView

from admin_app.auth.access import Access, requires
from admin_app.changes.idempotency import idempotent
from admin_app.changes.owners import Holding, Owner
from admin_app.changes.providers import added_key
from admin_app.context import new_id, services
from admin_app.http.errors import ApiError, not_found
from admin_app.http.openapi import Blueprint
from admin_app.http.responses import no_content, response
from admin_app.views.ai.providers import change_one
from shared.documents.ai import examples
from shared.documents.ai.health import key_health
from shared.documents.ai.provider_key import (
    MAX_KEYS,
    PlatformKeyInput,
    ProviderKeyInput,
    ProviderKeyOutput,
    RotateKeyInput,
    RotatePlatformKeyInput,
)
from shared.health.layout import StoredHealth
from shared.model.providers import Provider, ProviderKey

blueprint = Blueprint("provider keys", __name__, "Credentials of providers. They are never shown.")


@blueprint.route("/providers/<provider_id>/keys")
class PlatformProviderKeys(MethodView):
    @requires(Access.PLATFORM)
    @idempotent
    @blueprint.operation("createPlatformProviderKey")
    @blueprint.reads(PlatformKeyInput, example=examples.PROVIDER_KEY)
    @blueprint.responses(201, ProviderKeyOutput, example=examples.PROVIDER_KEY_READ)
    def post(self, sent: dict[str, Any], provider_id: str) -> Response:
        """Add a key to a provider of the platform"""
        return _add(Owner(), provider_id, sent)


@blueprint.route("/providers/<provider_id>/keys/<provider_key_id>")
class PlatformProviderKey(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("deletePlatformProviderKey")
    @blueprint.responses(204, description="The key is deleted.")
    def delete(self, provider_id: str, provider_key_id: str) -> Response:
        """Delete a key of a provider of the platform"""
        return _remove(Owner(), provider_id, provider_key_id)


@blueprint.route("/providers/<provider_id>/keys/<provider_key_id>/rotate")
class PlatformKeyRotation(MethodView):
    @requires(Access.PLATFORM)
    @idempotent
    @blueprint.operation("rotatePlatformProviderKey")
    @blueprint.reads(RotatePlatformKeyInput, example=examples.ROTATE_KEY)
    @blueprint.responses(201, ProviderKeyOutput, example=examples.PROVIDER_KEY_READ)
    def post(self, sent: dict[str, Any], provider_id: str, provider_key_id: str) -> Response:
        """Rotate a key of a provider of the platform

        Creates a key with the new secret and the same settings. The old one is also used for `overlap`.
        """
        return _rotate(Owner(), provider_id, provider_key_id, sent)


@blueprint.route("/tenants/<tenant_id>/providers/<provider_id>/keys")
class ProviderKeys(MethodView):
    @requires(Access.ADMIN)
    @idempotent
    @blueprint.operation("createProviderKey")
    @blueprint.reads(ProviderKeyInput, example=examples.PROVIDER_KEY)
    @blueprint.responses(201, ProviderKeyOutput, example=examples.PROVIDER_KEY_READ)
    def post(self, sent: dict[str, Any], tenant_id: str, provider_id: str) -> Response:
        """Add a key to a provider of a tenant"""
        return _add(Owner(tenant_id), provider_id, sent)


@blueprint.route("/tenants/<tenant_id>/providers/<provider_id>/keys/<provider_key_id>")
class OneProviderKey(MethodView):
    @requires(Access.ADMIN)
    @blueprint.operation("deleteProviderKey")
    @blueprint.responses(204, description="The key is deleted.")
    def delete(self, tenant_id: str, provider_id: str, provider_key_id: str) -> Response:
        """Delete a key of a provider of a tenant"""
        return _remove(Owner(tenant_id), provider_id, provider_key_id)


@blueprint.route("/tenants/<tenant_id>/providers/<provider_id>/keys/<provider_key_id>/rotate")
class KeyRotation(MethodView):
    @requires(Access.ADMIN)
    @idempotent
    @blueprint.operation("rotateProviderKey")
    @blueprint.reads(RotateKeyInput, example=examples.ROTATE_KEY)
    @blueprint.responses(201, ProviderKeyOutput, example=examples.PROVIDER_KEY_READ)
    def post(self, sent: dict[str, Any], tenant_id: str, provider_id: str, provider_key_id: str) -> Response:
        """Rotate a key of a provider of a tenant

        Creates a key with the new secret and the same settings. The old one is also used for `overlap`.
        """
        return _rotate(Owner(tenant_id), provider_id, provider_key_id, sent)


def _add(owner: Owner, provider_id: str, sent: Mapping[str, Any]) -> Response:
    key_id = new_id("pk")

    def add(provider: Provider, _: Holding) -> Provider:
        return added_key(owner, _without_ended(provider), key_id, sent)

    return _created(owner, provider_id, key_id, add)


def _remove(owner: Owner, provider_id: str, key_id: str) -> Response:
    def remove(provider: Provider, _: Holding) -> Provider:
        key = _find(provider, key_id)
        return replace(provider, keys=tuple(one for one in provider.keys if one is not key))

    change_one(owner, provider_id, remove)
    return no_content()


def _rotate(owner: Owner, provider_id: str, key_id: str, sent: Mapping[str, Any]) -> Response:
    new, end = new_id("pk"), services().clock.now() + sent["overlap"]

    def rotate(provider: Provider, _: Holding) -> Provider:
        old = _find(provider, key_id)
        if old.expires_at is not None:
            detail = "The key was rotated before. Rotate the one that replaced it."
            raise ApiError("api_key_not_active", detail)
        settings = {name: getattr(old, name) for name in ("name", "weight", "models", "enabled")}
        ending = replace(old, expires_at=end)
        kept = tuple(ending if one is old else one for one in provider.keys)
        whole = _without_ended(replace(provider, keys=kept))
        return added_key(owner, whole, new, {**settings, "secret": sent["secret"]})

    return _created(owner, provider_id, new, rotate)


def _created(owner: Owner, provider_id: str, key_id: str, change: Any) -> Response:
    def respond(after: Holding) -> Response:
        key = _find(after.provider(provider_id), key_id)
        location = f"{owner.path}/providers/{provider_id}"
        health = key_health(key, owner.tenant_id or "", StoredHealth(), services().clock.now())
        return response({**ProviderKeyOutput().dump(key), **health}, 201, location=location)

    return respond(change_one(owner, provider_id, change, respond))


def _without_ended(provider: Provider) -> Provider:
    """The provider without keys whose overlap is over. Raises 422 if it already has the most keys."""
    now = services().clock.now()
    kept = tuple(key for key in provider.keys if key.expires_at is None or key.expires_at > now)
    if len(kept) >= MAX_KEYS:
        detail = f"The provider has {len(kept)} keys; at most {MAX_KEYS} are allowed. Delete one first."
        raise ApiError("limit_reached", detail)
    return replace(provider, keys=kept)


def _find(provider: Provider, key_id: str) -> ProviderKey:
    for key in provider.keys:
        if key.id == key_id:
            return key
    raise not_found("key")
