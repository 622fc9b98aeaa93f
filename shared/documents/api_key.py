"""API keys as JSON. The secret of a key is shown on creation only."""

from dataclasses import asdict
from typing import Any

from marshmallow import Schema, fields, post_load, validate

from shared.core.durations import DAY_SECONDS
from shared.core.fields import Duration, Timestamp, text
from shared.documents.ai.names import globs, provider_names
from shared.documents.fields import Input, Page, Tags, nullable, tags_output, warnings_field
from shared.model.config import ApiKey, Scope


class ApiKeyInput(Input):
    """A key to create."""

    name = text(200, "Its purpose, in your words.", load_default="", min_length=0)
    scopes = fields.List(
        fields.Enum(Scope, by_value=True),
        load_default=lambda: [Scope.PROXY],
        validate=validate.Length(min=1, max=len(Scope)),
        metadata={
            "description": "admin: manage the tenant. read: read it. proxy: call its rules through the proxy."
        },
    )
    expires_at = Timestamp(
        "The key expires at this time. null: it does not expire.", load_default=None, allow_none=True
    )
    models = globs(
        "The models that it may ask for. Case matters. null: all.", load_default=None, allow_none=True
    )
    deny_models = globs(
        "The models that it may not use, whatever name it asks for, in any case.", load_default=list
    )
    providers = provider_names(
        "The providers that it may use. null: all.", load_default=None, allow_none=True
    )
    user = text(128, "The person or program that uses it, for reports.", load_default=None, allow_none=True)
    metadata = fields.Dict(
        keys=text(64, "A name."),
        values=text(256, "A value.", min_length=0),
        load_default=dict,
        validate=validate.Length(max=16),
        metadata={"description": "Names and values for reports, such as a project."},
    )
    tags = Tags()

    @post_load
    def _lists(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        for name in ("scopes", "models", "deny_models", "providers"):
            data[name] = None if data[name] is None else tuple(dict.fromkeys(data[name]))
        return data


class RotateInput(Input):
    """The options of a rotation."""

    overlap = Duration(
        minimum=0,
        maximum=365.0 * DAY_SECONDS,
        load_default=float(DAY_SECONDS),
        description='How long the old key stays valid: seconds, or text such as "1h".',
    )


class ApiKeyOutput(Schema):
    """An API key without its secret."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    prefix = fields.String(required=True, metadata={"description": "The public start of the key."})
    scopes = fields.List(fields.Enum(Scope, by_value=True), required=True)
    status = fields.String(required=True, validate=validate.OneOf(["active", "revoked", "expired"]))
    expires_at = Timestamp("null: it does not expire.", required=True, allow_none=True)
    last_used_at = Timestamp("Approximate time of the last use.", required=True, allow_none=True)
    created_at = Timestamp("Time of creation.", required=True)
    models = fields.List(fields.String(), **nullable())
    deny_models = fields.List(fields.String(), required=True)
    providers = fields.List(fields.String(), **nullable())
    user = fields.String(**nullable())
    metadata = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    first = fields.String(
        **nullable("The id by which budgets name it: that of the first key that it replaced. null: its own.")
    )
    tags = tags_output()


class ApiKeyCreated(ApiKeyOutput):
    """A new API key with its secret."""

    key = fields.String(required=True, metadata={"description": "The secret. It is shown only once."})
    api_key = fields.String(required=True, metadata={"description": "The same, as in other responses."})


class ApiKeyRevoked(ApiKeyOutput):
    """A revoked API key, and warnings about it."""

    warnings = warnings_field()


class ApiKeyList(Page):
    """One page of API keys, in order of creation."""

    api_keys = fields.List(fields.Nested(ApiKeyOutput), required=True)


#: Made once: to make it takes longer than to use it.
_OUTPUT = ApiKeyOutput()


def api_key_document(key: ApiKey, now: float) -> dict[str, Any]:
    """The JSON of `key` at the time `now`."""
    document: dict[str, Any] = _OUTPUT.dump({**asdict(key), "status": key.status(now)})
    return document
