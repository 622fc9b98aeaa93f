"""An API key as it is asked for and as it is shown: never the key itself, but once."""

from dataclasses import asdict
from typing import Any

from marshmallow import Schema, fields, validate

from shared.core.fields import Duration, Strict, Timestamp, text
from shared.model.config import ApiKey, Scope

DAY = 86_400.0


class ApiKeyInput(Strict):
    """A key to create."""

    name = text(200, "What it is for.", load_default="", min_length=0)
    scopes = fields.List(
        fields.Enum(Scope, by_value=True),
        load_default=lambda: [Scope.PROXY],
        validate=validate.Length(min=1, max=len(Scope)),
        metadata={"description": "admin manages the tenant, read reads it, proxy calls through the gateway."},
    )
    expires_at = Timestamp(
        "From when on it is refused. Left out or null: never.", load_default=None, allow_none=True
    )


class RotateInput(Strict):
    """How to rotate a key."""

    overlap = Duration(
        minimum=0,
        maximum=365 * DAY,
        load_default=DAY,
        description='How long the old key still works: seconds, or a text such as "1h".',
    )


class ApiKeyOutput(Schema):
    """An API key. Only its public prefix is shown."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    prefix = fields.String(required=True)
    scopes = fields.List(fields.Enum(Scope, by_value=True), required=True)
    status = fields.String(required=True, validate=validate.OneOf(["active", "revoked", "expired"]))
    expires_at = Timestamp("From when on it is refused.", required=True, allow_none=True)
    last_used_at = Timestamp("When it was last used, roughly.", required=True, allow_none=True)
    created_at = Timestamp("When it was created.", required=True)


class ApiKeyCreated(ApiKeyOutput):
    """A new API key. `key` is shown this once."""

    key = fields.String(required=True)


class ApiKeyList(Schema):
    """One page of API keys, in order of creation."""

    api_keys = fields.List(fields.Nested(ApiKeyOutput), required=True)
    count = fields.Integer(required=True)
    next_cursor = fields.String(required=True, allow_none=True)


def api_key_document(key: ApiKey, now: float) -> dict[str, Any]:
    """The JSON that a reader of `key` sees at the time `now`."""
    document: dict[str, Any] = ApiKeyOutput().dump({**asdict(key), "status": key.status(now)})
    return document
