"""/tenants/{id}/api-keys: who may call as a tenant, and manage it."""

from dataclasses import replace
from typing import Any

from flask import Response
from flask.views import MethodView

from admin_app.auth.access import Access, needs
from admin_app.changes.snapshot import change_tenant, check_room, find_key, find_tenant, with_key
from admin_app.http.errors import ApiError
from admin_app.http.openapi import Blueprint
from admin_app.http.paging import PageQuery, page_of
from admin_app.http.responses import check_match, no_content, response
from admin_app.services import current, new_id
from shared.core.errors import Invalid, Problem
from shared.documents import (
    ApiKeyCreated,
    ApiKeyInput,
    ApiKeyList,
    ApiKeyOutput,
    RotateInput,
    api_key_document,
    examples,
)
from shared.model.config import ApiKey, Snapshot
from shared.secrets.api_keys import MintedKey, mint_key

blueprint = Blueprint("api-keys", __name__, "Keys of a tenant. Each is shown once, when it is made.")

#: Revoked and expired keys that are kept to be looked at; the oldest are dropped first.
DEAD_KEYS_KEPT = 100


@blueprint.route("/tenants/<tenant_id>/api-keys")
class ApiKeys(MethodView):
    @needs(Access.READ)
    @blueprint.reads(PageQuery, location="query")
    @blueprint.responses(200, ApiKeyList)
    def get(self, query: dict[str, Any], tenant_id: str) -> Response:
        """List a tenant's API keys, in order of creation"""
        page, cursor = page_of(find_tenant(tenant_id).keys, query)
        documents = [_document(key) for key in page]
        return response({"api_keys": documents, "count": len(documents), "next_cursor": cursor})

    @needs(Access.ADMIN)
    @blueprint.reads(ApiKeyInput, example=examples.API_KEY)
    @blueprint.responses(201, ApiKeyCreated)
    def post(self, sent: dict[str, Any], tenant_id: str) -> Response:
        """Create an API key"""
        now = current().clock.now()
        if sent["expires_at"] is not None and sent["expires_at"] <= now:
            raise Invalid([Problem("/expires_at", "Must be in the future.")])
        scopes = tuple(dict.fromkeys(sent["scopes"]))
        minted, key = _mint(
            ApiKey("", sent["name"], "", "", scopes=scopes, expires_at=sent["expires_at"], created_at=now)
        )
        change_tenant(tenant_id, lambda before: _with_new(before, key, spare=1))
        return _created(tenant_id, minted, key)


@blueprint.route("/tenants/<tenant_id>/api-keys/<key_id>")
class OneApiKey(MethodView):
    @needs(Access.READ)
    @blueprint.responses(200, ApiKeyOutput)
    def get(self, tenant_id: str, key_id: str) -> Response:
        """Read an API key"""
        return response(_document(find_key(find_tenant(tenant_id), key_id)))

    @needs(Access.ADMIN)
    @blueprint.responses(204, description="Revoked. It stays in the list for a while.")
    def delete(self, tenant_id: str, key_id: str) -> Response:
        """Revoke an API key"""

        def revoke(before: Snapshot) -> Snapshot:
            key = find_key(before, key_id)
            check_match(_document(key))
            return with_key(before, replace(key, revoked=True))

        change_tenant(tenant_id, revoke)
        return no_content()


@blueprint.route("/tenants/<tenant_id>/api-keys/<key_id>/rotate")
class Rotation(MethodView):
    @needs(Access.ADMIN)
    @blueprint.reads(RotateInput, example=examples.ROTATE)
    @blueprint.responses(201, ApiKeyCreated)
    def post(self, sent: dict[str, Any], tenant_id: str, key_id: str) -> Response:
        """Replace an API key by a new one

        The new key has the same name, scopes and length of life. The old one still works for `overlap`.
        """
        now = current().clock.now()
        old = find_key(find_tenant(tenant_id), key_id)
        lifetime = old.expires_at - old.created_at if old.expires_at is not None else None
        expires_at = now + lifetime if lifetime is not None else None
        minted, new = _mint(replace(old, expires_at=expires_at, created_at=now, last_used_at=None))

        def rotate(before: Snapshot) -> Snapshot:
            key = find_key(before, key_id)
            if key.status(now) != "active":
                raise ApiError(
                    409, "api_key_not_active", f"The API key is {key.status(now)}. Create a new one."
                )
            end = now + sent["overlap"]
            ends = replace(key, expires_at=end if key.expires_at is None else min(end, key.expires_at))
            # While both work a tenant may hold twice as many.
            return _with_new(with_key(before, ends), new, spare=2)

        change_tenant(tenant_id, rotate)
        return _created(tenant_id, minted, new)


def _document(key: ApiKey) -> dict[str, Any]:
    return api_key_document(key, current().clock.now())


def _mint(like: ApiKey) -> tuple[MintedKey, ApiKey]:
    """A new key with the name, scopes and times of `like`."""
    minted = mint_key(current().random_bytes)
    digest = current().hasher(minted.text)
    return minted, replace(like, id=new_id("key"), prefix=minted.prefix, hash=digest)


def _created(tenant_id: str, minted: MintedKey, key: ApiKey) -> Response:
    location = f"/api/v1/tenants/{tenant_id}/api-keys/{key.id}"
    return response(_document(key), 201, {"key": minted.text}, location)


def _with_new(before: Snapshot, key: ApiKey, *, spare: int) -> Snapshot:
    """The tenant with one more key, as far as its tier allows `spare` times its cap of live ones."""
    now = current().clock.now()
    dead = [one for one in before.keys if one.status(now) != "active"]
    tier = current().settings.tiers.get(before.tenant.tier)
    most = tier.max_keys if tier else 0
    check_room("API keys", len(before.keys) - len(dead), most if most is None else most * spare)
    dropped = {one.id for one in dead[:-DEAD_KEYS_KEPT]}
    kept = tuple(one for one in before.keys if one.id not in dropped)
    return with_key(replace(before, keys=kept), key)
