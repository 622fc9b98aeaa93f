"""Documents, plans and what came of them, as JSON."""

from typing import Any, Final

from marshmallow import Schema, fields, validate

from shared.config_store.history.edit import MAX_MESSAGE
from shared.core.fields import Flag, Strict, Timestamp, flag, text
from shared.documents.api_key import ApiKeyCreated
from shared.documents.fields import ChangeWarning, nullable
from shared.documents.history.versions import DifferenceOutput


class Names(fields.List[Any]):
    """Names in one text, with commas between them."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        texts = [value] if isinstance(value, str) else value
        names = [name for text in texts for name in text.split(",")]
        return super()._deserialize(names, attr, data, **kwargs)


class DocumentQuery(Strict):
    """The part of the configuration that is wanted."""

    tenants = Names(
        fields.String(validate=validate.Length(min=1, max=63)),
        load_default=None,
        validate=validate.Length(max=1_000),
        metadata={"description": "Subdomains, with commas between them. Default: all tenants."},
    )
    platform = fields.Boolean(
        load_default=True,
        metadata={"description": "Whether it has the platform's providers, models and prices."},
    )


class FileOutput(Schema):
    """The configuration as a file."""

    _format_version = fields.String(required=True)
    platform = fields.Dict(metadata={"description": "The providers, models and prices of the platform."})
    tenants = fields.Dict(required=True, metadata={"description": "Tenants by their subdomains."})


class PlanInput(Strict):
    """A file, and how it is to be applied."""

    document = fields.Dict(
        required=True,
        metadata={"description": "The file. /schemas/gateway-1.json is its JSON Schema."},
    )
    prune = flag(
        False,
        "true: what the file does not name is removed from its tenants and from its platform. API keys are "
        "revoked, if the tenant has the member api_keys; one that was used in the last 24 hours stays.",
    )
    prune_keys = flag(
        False, "true: with prune, API keys are revoked that were used in the last 24 hours, too."
    )
    allow_delete_tenants = flag(False, "true: with prune, tenants that the file does not name are deleted.")
    tenants = fields.List(
        fields.String(validate=validate.Length(min=1, max=63)),
        load_default=None,
        allow_none=True,
        validate=validate.Length(max=1_000),
        metadata={"description": "Only these tenants of the file, by their subdomains. null: all."},
    )
    file_name = text(
        200, "The name of the file, for the versions that it makes.", load_default=None, allow_none=True
    )


class PlanChange(Schema):
    """One thing that a plan creates, changes or removes."""

    op = fields.String(required=True, validate=validate.OneOf(["create", "update", "delete"]))
    path = fields.String(required=True, metadata={"description": "JSON pointer into the file."})
    differences = fields.List(
        fields.Nested(DifferenceOutput),
        required=True,
        metadata={"description": "The differences. `path` begins at the thing; secrets are not shown."},
    )


class PlanSummary(Schema):
    """How many things a plan creates, changes and removes."""

    create = fields.Integer(required=True)
    update = fields.Integer(required=True)
    delete = fields.Integer(required=True)


class PlanOutput(Schema):
    """A plan: what a file would change."""

    plan_id = fields.String(
        **nullable("For `apply`, by the caller who planned it. null: nothing would change.")
    )
    base = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={
            "description": "The revisions that the plan was made for: of the platform, and of tenants by "
            "their subdomains. 0: there was none."
        },
    )
    changes = fields.List(fields.Nested(PlanChange), required=True)
    summary = fields.Nested(PlanSummary, required=True)
    warnings = fields.List(fields.Nested(ChangeWarning), required=True)
    expires_at = Timestamp("The end of the plan.", required=True, allow_none=True)


class ApplyInput(Strict):
    """The reason for a change."""

    message = text(
        *(MAX_MESSAGE, "The reason, in place of X-Gateway-Message."),
        load_default=None,
        allow_none=True,
        min_length=0,
    )


class CreatedKey(ApiKeyCreated):
    """An API key that was created, with its secret."""

    tenant = fields.String(required=True, metadata={"description": "The subdomain of its tenant."})


class ApplyOutput(Schema):
    """The result of a plan."""

    unchanged = Flag(required=True, metadata={"description": "true: there was nothing to change."})
    versions = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "The versions that were made: of platform, and of tenants by subdomains."},
    )
    summary = fields.Nested(PlanSummary, required=True)
    api_keys = fields.List(
        fields.Nested(CreatedKey),
        required=True,
        metadata={"description": "The API keys that were created. The secrets are shown only once."},
    )
    warnings = fields.List(fields.Nested(ChangeWarning), required=True)


#: Examples of bodies and responses.
DOCUMENT: Final[dict[str, Any]] = {
    "_format_version": "1",
    "platform": {
        "providers": {"openai-main": {"kind": "openai", "keys": [{"name": "a", "secret": {"set": True}}]}}
    },
    "tenants": {
        "acme": {
            "name": "Acme",
            "rules": {"chat": {"path": "/v1", "target": "https://api.openai.com"}},
            "api_keys": {"ci": {"models": ["gpt-*"]}},
        }
    },
}
_SUMMARY: Final = {"create": 0, "update": 1, "delete": 0}
PLAN_INPUT: Final[dict[str, Any]] = {
    "document": {
        "_format_version": "1",
        "tenants": {
            "acme": {
                "name": "Acme",
                "rules": {"chat": {"path": "/v1", "target": "https://api.openai.com"}},
            }
        },
    },
    "file_name": "gateway.yaml",
}
PLAN: Final[dict[str, Any]] = {
    "plan_id": "plan_5d7f0c1a2b3e4f506172839401a2b3c4",
    "base": {"platform": 12, "acme": 41},
    "changes": [
        {
            "op": "update",
            "path": "/tenants/acme/rules/chat",
            "differences": [{"op": "change", "path": "/path", "before": "/", "after": "/v1"}],
        }
    ],
    "summary": _SUMMARY,
    "warnings": [],
    "expires_at": "2027-01-15T09:00:00.000Z",
}
APPLIED: Final[dict[str, Any]] = {
    "unchanged": False,
    "versions": {"acme": 42},
    "summary": _SUMMARY,
    "api_keys": [],
    "warnings": [],
}
