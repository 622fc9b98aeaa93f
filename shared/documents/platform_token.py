"""Tokens of the platform as JSON. The secret of a token is shown on creation only."""

from dataclasses import asdict
from typing import Any, Final

from marshmallow import Schema, fields, post_load, validate

from shared.core.fields import Timestamp
from shared.documents.examples import API_KEY_CREATED, Document
from shared.documents.fields import Input, slug
from shared.model.config import PlatformScope, PlatformToken


class PlatformTokenInput(Input):
    """A token to create."""

    name = slug(
        required=True,
        metadata={"description": "Its holder or purpose. The audit log has it as the author: token:<name>."},
    )
    scopes = fields.List(
        fields.Enum(PlatformScope, by_value=True),
        required=True,
        validate=validate.Length(min=1, max=len(PlatformScope)),
        metadata={
            "description": "admin: everything. write: everything but tokens of the platform. read: read all, "
            "and change nothing."
        },
    )
    expires_at = Timestamp(
        "The token expires at this time. null: it does not expire.", load_default=None, allow_none=True
    )

    @post_load
    def _tuple(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {**data, "scopes": tuple(dict.fromkeys(data["scopes"]))}


class PlatformTokenOutput(Schema):
    """A token without its secret."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    prefix = fields.String(required=True, metadata={"description": "The public start of the token."})
    scopes = fields.List(fields.Enum(PlatformScope, by_value=True), required=True)
    status = fields.String(required=True, validate=validate.OneOf(["active", "expired"]))
    expires_at = Timestamp("null: it does not expire.", required=True, allow_none=True)
    last_used_at = Timestamp("Time of the last use, to a minute.", required=True, allow_none=True)
    created_at = Timestamp("Time of creation.", required=True)


class PlatformTokenCreated(PlatformTokenOutput):
    """A new token with its secret."""

    token = fields.String(required=True, metadata={"description": "The secret. It is shown only once."})


class PlatformTokenList(Schema):
    """All tokens, in order of creation."""

    tokens = fields.List(fields.Nested(PlatformTokenOutput), required=True)


_OUTPUT: Final = PlatformTokenOutput()


def token_document(token: PlatformToken, now: float) -> dict[str, Any]:
    """The JSON of `token` at the time `now`."""
    document: dict[str, Any] = _OUTPUT.dump({**asdict(token), "status": token.status(now)})
    return document


TOKEN: Final[Document] = {"name": "ci", "scopes": ["write"], "expires_at": "2027-06-01T00:00:00Z"}
TOKEN_READ: Final[Document] = {
    "id": "token_2f1e0d9c8b7a6f5e4d3c2b1a",
    "name": "ci",
    "prefix": "gwk_Ab12Cd34",
    "scopes": ["write"],
    "status": "active",
    "expires_at": "2027-06-01T00:00:00.000Z",
    "last_used_at": None,
    "created_at": "2027-01-15T08:00:00.000Z",
}
TOKEN_CREATED: Final[Document] = {**TOKEN_READ, "token": API_KEY_CREATED["key"]}
