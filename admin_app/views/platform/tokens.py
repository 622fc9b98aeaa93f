"""/platform/tokens: what operators and their programs call the admin API with."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from flask import Response
from flask.views import MethodView

from admin_app.auth.access import Access, requires
from admin_app.auth.lifetimes import begun_again, check_expiry, ended_by
from admin_app.changes.attempts import edit_of, log_change, repeat
from admin_app.changes.idempotency import Respond, claim_of, idempotent
from admin_app.context import new_id, services
from admin_app.http.errors import ApiError, not_found
from admin_app.http.openapi import Blueprint
from admin_app.http.responses import check_match, no_content, response
from shared.config_store.layout import PLATFORM_ID, TOKENS_ID
from shared.core.errors import Problem
from shared.documents import examples
from shared.documents.api_key import RotateInput
from shared.documents.history.differences import Difference
from shared.documents.platform_token import (
    TOKEN,
    TOKEN_CREATED,
    TOKEN_READ,
    PlatformTokenCreated,
    PlatformTokenInput,
    PlatformTokenList,
    PlatformTokenOutput,
    token_document,
)
from shared.model.config import PlatformToken, PlatformTokens
from shared.secrets.api_keys import mint_key

blueprint = Blueprint("platform-tokens", __name__, "Tokens of the platform. The secret is shown once.")

#: The most tokens at a time, expired ones included.
MAX_TOKENS: Final = 100


@blueprint.route("/platform/tokens")
class AllTokens(MethodView):
    @requires(Access.TOKENS)
    @blueprint.operation("listPlatformTokens")
    @blueprint.responses(200, PlatformTokenList, example={"tokens": [TOKEN_READ]})
    def get(self) -> Response:
        """List the tokens of the platform, in order of creation"""
        return response({"tokens": [_document(one) for one in services().store.tokens.all().tokens]})

    @requires(Access.TOKENS)
    @idempotent
    @blueprint.operation("createPlatformToken")
    @blueprint.reads(PlatformTokenInput, example=TOKEN, judge=check_expiry)
    @blueprint.responses(201, PlatformTokenCreated, example=TOKEN_CREATED)
    def post(self, sent: dict[str, Any]) -> Response:
        """Create a token of the platform"""
        check_expiry(sent)
        now = services().clock.now()
        secret, token = _new(PlatformToken("", prefix="", hash="", created_at=now, **sent))

        def create(before: PlatformTokens) -> PlatformTokens:
            if any(one.name == token.name and one.status(now) == "active" for one in before.tokens):
                detail = f"Another token has the name {token.name}. Choose another one, or rotate that token."
                raise ApiError("name_taken", detail, [Problem("/name", detail)])
            return _with_new(before, token)

        respond = _created(secret, token)
        return respond(_change(create, respond))


@blueprint.route("/platform/tokens/<token_id>")
class OneToken(MethodView):
    @requires(Access.TOKENS)
    @blueprint.operation("getPlatformToken")
    @blueprint.responses(200, PlatformTokenOutput, example=TOKEN_READ)
    def get(self, token_id: str) -> Response:
        """Read a token of the platform"""
        return response(_document(_find(services().store.tokens.all(), token_id)))

    @requires(Access.TOKENS)
    @blueprint.operation("deletePlatformToken")
    @blueprint.responses(204, description="The token is revoked, and gone.")
    def delete(self, token_id: str) -> Response:
        """Revoke a token of the platform"""

        def drop(before: PlatformTokens) -> PlatformTokens:
            token = _find(before, token_id)
            check_match(_document(token))
            return replace(before, tokens=tuple(one for one in before.tokens if one.id != token_id))

        _change(drop)
        return no_content()


@blueprint.route("/platform/tokens/<token_id>/rotate")
class TokenRotation(MethodView):
    @requires(Access.TOKENS)
    @idempotent
    @blueprint.operation("rotatePlatformToken")
    @blueprint.reads(RotateInput, example=examples.ROTATE)
    @blueprint.responses(201, PlatformTokenCreated, example=TOKEN_CREATED)
    def post(self, sent: dict[str, Any], token_id: str) -> Response:
        """Rotate a token of the platform

        Creates a token with the same name, scopes and lifetime. The old one stays valid for `overlap`.
        """
        now = services().clock.now()
        old = _find(services().store.tokens.all(), token_id)
        secret, new = _new(begun_again(old, now))

        def rotate(before: PlatformTokens) -> PlatformTokens:
            token = _find(before, token_id)
            if token.status(now) != "active":
                raise ApiError("api_key_not_active", "The token is expired. Create a new one.")
            ends = ended_by(token, now + sent["overlap"])
            kept = tuple(ends if one.id == token_id else one for one in before.tokens)
            return _with_new(replace(before, tokens=kept), new)

        respond = _created(secret, new)
        return respond(_change(rotate, respond))


def _change(
    change: Callable[[PlatformTokens], PlatformTokens], respond: Respond[PlatformTokens] | None = None
) -> PlatformTokens:
    """Write the result of `change`, and return what is stored. Raises as `repeat`."""

    def attempt() -> PlatformTokens:
        store = services().store.tokens
        before = store.all()
        after = change(before)
        differences = _differences(before, after)
        edit = edit_of(
            differences, {f"/tokens/{one.id}": one.name for one in (*before.tokens, *after.tokens)}
        )
        stored = store.write(before, after, edit=edit, claim=claim_of(respond))
        log_change(PLATFORM_ID, stored.revision, [one["path"].rpartition("/")[2] for one in differences])
        return stored

    return repeat(TOKENS_ID, attempt)


def _differences(before: PlatformTokens, after: PlatformTokens) -> list[Difference]:
    """The differences between two states of the tokens, for the audit log."""
    old, new = ({one.id: _settings(one) for one in all.tokens} for all in (before, after))
    found: list[Difference] = []
    for one in dict.fromkeys([*old, *new]):
        path = f"/tokens/{one}"
        if one not in new:
            found.append({"op": "remove", "path": path, "before": old[one]})
        elif one not in old:
            found.append({"op": "add", "path": path, "after": new[one]})
        elif old[one] != new[one]:
            found.append({"op": "change", "path": path, "before": old[one], "after": new[one]})
    return found


def _settings(token: PlatformToken) -> dict[str, Any]:
    """A token without what changes by itself."""
    return {name: value for name, value in _document(token).items() if name not in ("status", "last_used_at")}


def _document(token: PlatformToken) -> dict[str, Any]:
    return token_document(token, services().clock.now())


def _find(tokens: PlatformTokens, token_id: str) -> PlatformToken:
    """A token. Raises 404."""
    for token in tokens.tokens:
        if token.id == token_id:
            return token
    raise not_found("token")


def _new(like: PlatformToken) -> tuple[str, PlatformToken]:
    """A new token with the name, scopes and times of `like`: its secret, and the token to store."""
    minted = mint_key(services().random_bytes)
    token_hash = services().hasher(minted.text)
    return minted.text, replace(like, id=new_id("token"), prefix=minted.prefix, hash=token_hash)


def _with_new(before: PlatformTokens, token: PlatformToken) -> PlatformTokens:
    """The tokens with one more. Raises 422 when there are too many."""
    if len(before.tokens) >= MAX_TOKENS:
        detail = f"The platform has {MAX_TOKENS} tokens, which is the most. Revoke one first."
        raise ApiError("limit_reached", detail)
    return replace(before, tokens=(*before.tokens, token))


def _created(secret: str, token: PlatformToken) -> Respond[PlatformTokens]:
    location = f"/api/v1/platform/tokens/{token.id}"
    return lambda _: response(_document(token), 201, {"token": secret}, location)
