"""/tenants/{id}/api-keys: the keys that call as a tenant and manage it."""

from dataclasses import replace
from typing import Any

from flask import Response
from flask.views import MethodView

from admin_app.auth.access import Access, requires
from admin_app.auth.lifetimes import begun_again, check_expiry, ended_by
from admin_app.changes.idempotency import Respond, idempotent
from admin_app.changes.snapshot import (
    change_tenant,
    check_maximum,
    find_key,
    find_tenant,
    new_key,
    with_key,
)
from admin_app.changes.whole.budget import budgets_of_key
from admin_app.context import services
from admin_app.http.errors import ApiError, problem_documents
from admin_app.http.openapi import Blueprint
from admin_app.http.paging import PageQuery, page_of, page_response
from admin_app.http.responses import check_match, no_content, response
from shared.core.errors import Problem
from shared.documents import examples
from shared.documents.api_key import (
    ApiKeyCreated,
    ApiKeyInput,
    ApiKeyList,
    ApiKeyOutput,
    ApiKeyRevoked,
    RotateInput,
    api_key_document,
)
from shared.model.config import ApiKey, Scope, Snapshot

blueprint = Blueprint("api-keys", __name__, "API keys of a tenant. The secret is shown on creation only.")

#: Revoked and expired keys that lists still show. The oldest are dropped first.
MAX_INACTIVE_KEYS = 100
_NO_BUDGET = "The budget {} counts nothing any more. Delete it, or give it another key."


@blueprint.route("/tenants/<tenant_id>/api-keys")
class ApiKeys(MethodView):
    @requires(Access.READ)
    @blueprint.operation("listApiKeys")
    @blueprint.reads(PageQuery, location="query")
    @blueprint.responses(200, ApiKeyList, example=examples.page("api_keys", examples.API_KEY_READ))
    def get(self, query: dict[str, Any], tenant_id: str) -> Response:
        """List a tenant's API keys, in order of creation"""
        page, cursor = page_of(find_tenant(tenant_id).keys, query)
        return page_response("api_keys", [_document(key) for key in page], cursor)

    @requires(Access.ADMIN)
    @idempotent
    @blueprint.operation("createApiKey")
    @blueprint.reads(ApiKeyInput, example=examples.API_KEY, judge=check_expiry)
    @blueprint.responses(201, ApiKeyCreated, example=examples.API_KEY_CREATED)
    def post(self, sent: dict[str, Any], tenant_id: str) -> Response:
        """Create an API key"""
        check_expiry(sent)
        like = ApiKey(id="", prefix="", hash="", created_at=services().clock.now(), **sent)
        secret, key = new_key(like)
        respond = _created(tenant_id, secret, key)
        return respond(change_tenant(tenant_id, lambda before: _with_new(before, key), respond))


@blueprint.route("/tenants/<tenant_id>/api-keys/<key_id>")
class OneApiKey(MethodView):
    @requires(Access.READ)
    @blueprint.operation("getApiKey")
    @blueprint.responses(200, ApiKeyOutput, example=examples.API_KEY_READ)
    def get(self, tenant_id: str, key_id: str) -> Response:
        """Read an API key"""
        return response(_document(find_key(find_tenant(tenant_id), key_id)))

    @requires(Access.ADMIN)
    @blueprint.operation("revokeApiKey")
    @blueprint.responses(204, description="The key is revoked. Lists show the 100 newest inactive keys.")
    @blueprint.also_responds(
        200, ApiKeyRevoked, "The key is revoked. See `warnings`.", examples.API_KEY_REVOKED
    )
    def delete(self, tenant_id: str, key_id: str) -> Response:
        """Revoke an API key

        The response has a body only if there is a warning: the key was the last one with scope admin, or
        budgets count nothing any more.
        """

        is_admin = False

        def revoke(before: Snapshot) -> Snapshot:
            key = find_key(before, key_id)
            check_match(_document(key))
            nonlocal is_admin
            is_admin = _is_active_admin(key)
            return with_key(before, replace(key, revoked=True))

        after = change_tenant(tenant_id, revoke)
        key = find_key(after, key_id)
        problems = [Problem("", _NO_BUDGET.format(name)) for name in budgets_of_key(after, key)]
        if is_admin and not any(map(_is_active_admin, after.keys)):
            detail = "No active key with scope admin is left. Only the platform can create one now."
            problems.append(Problem("/scopes", detail))
        if not problems:
            return no_content()
        return response(_document(key), extra={"warnings": problem_documents(problems)})


@blueprint.route("/tenants/<tenant_id>/api-keys/<key_id>/rotate")
class Rotation(MethodView):
    @requires(Access.ADMIN)
    @idempotent
    @blueprint.operation("rotateApiKey")
    @blueprint.reads(RotateInput, example=examples.ROTATE)
    @blueprint.responses(201, ApiKeyCreated, example=examples.API_KEY_CREATED)
    def post(self, sent: dict[str, Any], tenant_id: str, key_id: str) -> Response:
        """Rotate an API key

        Creates a key with the same settings and lifetime. The old key stays valid for `overlap`.
        """
        now = services().clock.now()
        old = find_key(find_tenant(tenant_id), key_id)
        secret, new = new_key(replace(begun_again(old, now), first=old.line))

        def rotate(before: Snapshot) -> Snapshot:
            key = find_key(before, key_id)
            if key.status(now) != "active":
                detail = f"The API key is {key.status(now)}. Create a new one."
                raise ApiError("api_key_not_active", detail)
            ends = ended_by(key, now + sent["overlap"])
            # While old and new keys overlap, a tenant may have twice its maximum.
            return _with_new(with_key(before, ends), new, factor=2)

        respond = _created(tenant_id, secret, new)
        return respond(change_tenant(tenant_id, rotate, respond))


def _document(key: ApiKey) -> dict[str, Any]:
    return api_key_document(key, services().clock.now())


def _created(tenant_id: str, secret: str, key: ApiKey) -> Respond[Snapshot]:
    location = f"/api/v1/tenants/{tenant_id}/api-keys/{key.id}"
    return lambda _: response(_document(key), 201, {"key": secret, "api_key": secret}, location)


def _is_active_admin(key: ApiKey) -> bool:
    return Scope.ADMIN in key.scopes and key.status(services().clock.now()) == "active"


def _with_new(before: Snapshot, key: ApiKey, *, factor: int = 1) -> Snapshot:
    """The tenant with one more key. Raises 422 at `factor` times the tier's maximum of active keys."""
    now = services().clock.now()
    inactive = [one for one in before.keys if one.status(now) != "active"]
    tier = services().settings.tiers.get(before.tenant.tier)
    maximum = tier.max_keys if tier else 0
    active = len(before.keys) - len(inactive)
    check_maximum("API keys", active, None if maximum is None else maximum * factor)
    dropped = {one.id for one in inactive[:-MAX_INACTIVE_KEYS]}
    kept = tuple(one for one in before.keys if one.id not in dropped)
    return with_key(replace(before, keys=kept), key)
