"""Versions of a tenant and of the platform as JSON."""

from typing import Any

from marshmallow import Schema, fields, validate

from shared.config_store.history.edit import MAX_MESSAGE
from shared.config_store.history.versions import VersionNote
from shared.config_store.records.contents import Content, Document, PlatformContent
from shared.core.fields import Flag, Strict, Timestamp, text
from shared.documents.ai.budget import budget_document
from shared.documents.ai.model import model_document
from shared.documents.ai.provider import provider_document
from shared.documents.alerts.webhook import webhook_document
from shared.documents.fields import Page, nullable, warnings_field
from shared.documents.rule import rule_document
from shared.documents.tenant import TenantOutput

_SETTINGS = TenantOutput(
    only=("name", "tier", "enabled_plugins", "required_plugins", "plugin_chain", "cors", "tags")
)


class VersionOutput(Schema):
    """One version: a state that never changes."""

    version = fields.Integer(required=True)
    at = Timestamp("The time of the change.", required=True)
    actor = fields.String(required=True, metadata={"description": "platform, or key:<id>."})
    source = fields.String(required=True, metadata={"description": "api, ui, gw, file or rollback."})
    message = fields.String(**nullable("X-Gateway-Message."))
    summary = fields.String(required=True, metadata={"description": "The change, in one line."})
    restored = fields.Integer(**nullable("The version that a rollback restored."))
    file = fields.String(**nullable("The name of the file that was applied."))
    pinned = fields.Boolean(required=True, metadata={"description": "Whether it stays, however old it is."})


class VersionList(Page):
    """One page of versions, the newest first."""

    versions = fields.List(fields.Nested(VersionOutput), required=True)


class VersionDetail(VersionOutput):
    """One version with its document."""

    document = fields.Dict(
        required=True,
        metadata={
            "description": "The names of the version's rules, providers, models, webhooks and budgets by "
            'their ids, and the other fields. Secrets are shown as {"set": true}.'
        },
    )


class DifferenceOutput(Schema):
    """One difference."""

    op = fields.String(required=True, validate=validate.OneOf(["add", "remove", "change"]))
    path = fields.String(
        required=True, metadata={"description": "JSON pointer; things in lists by their ids."}
    )
    before = fields.Raw(metadata={"description": "The older value; missing for `add`.", "nullable": True})
    after = fields.Raw(metadata={"description": "The newer value; missing for `remove`.", "nullable": True})


class VersionDiff(Schema):
    """The differences between two versions."""

    version = fields.Integer(required=True)
    against = fields.Integer(**nullable("The older one; null: an empty one."))
    summary = fields.String(required=True)
    differences = fields.List(fields.Nested(DifferenceOutput), required=True)
    cut = fields.Boolean(
        required=True, metadata={"description": "Whether there are more, beyond 256 KiB of differences."}
    )


class PinInput(Strict):
    """Whether a version is pinned."""

    pinned = Flag(
        load_default=True,
        metadata={"description": "Whether it stays, however old it is."},
    )


class RollbackInput(Strict):
    """The reason for a rollback."""

    message = text(
        *(MAX_MESSAGE, "The reason, in place of X-Gateway-Message."),
        load_default=None,
        allow_none=True,
        min_length=0,
    )


class RollbackOutput(VersionOutput):
    """The version after a rollback."""

    unchanged = fields.Boolean(
        required=True,
        metadata={"description": "true: the content was the same already, so no version was made."},
    )
    warnings = warnings_field(
        "Secrets that came back or were left out, and settings that may not work as intended."
    )


class DiffQuery(Strict):
    """The version to compare with."""

    against = fields.Integer(
        load_default=None,
        validate=validate.Range(1),
        metadata={"description": "A version. Omit it for the one before, as far as it is kept."},
    )


_NOTE = VersionOutput()


def version_document(note: VersionNote) -> dict[str, Any]:
    """The JSON of a version."""
    document: dict[str, Any] = _NOTE.dump(note)
    return document


def whole_document(note: VersionNote, content: Content) -> dict[str, Any]:
    """The JSON of a version with its content."""
    return {**version_document(note), "document": content_document(content)}


def settings_document(content: Document) -> dict[str, Any]:
    """The JSON of the members of a tenant that are no things with names."""
    document: dict[str, Any] = _SETTINGS.dump(content)
    return document


def content_document(content: Content) -> dict[str, Any]:
    """The JSON of the content of a version."""
    is_platforms = isinstance(content, PlatformContent)
    document: dict[str, Any] = {}
    if isinstance(content, Document):
        document = {
            **settings_document(content),
            "rules": {rule.id: rule_document(rule) for rule in content.rules},
        }
    document["providers"] = {
        one.id: provider_document(one, is_platforms=is_platforms) for one in content.providers
    }
    document["models"] = {one.name: model_document(one, is_platforms=is_platforms) for one in content.models}
    document["webhooks"] = {one.id: webhook_document(one) for one in content.webhooks}
    if isinstance(content, PlatformContent):
        document["prices"] = content.prices
    else:
        document["budgets"] = {one.id: budget_document(one) for one in content.budgets}
    return document


VERSION = {
    "version": 41,
    "at": "2026-06-01T12:00:00.000Z",
    "actor": "platform",
    "source": "api",
    "message": "Move to the new upstream.",
    "summary": "rule /v1 changed (target)",
    "restored": None,
    "file": None,
    "pinned": False,
}
ROLLBACK = {
    **VERSION,
    "version": 42,
    "source": "rollback",
    "restored": 40,
    "unchanged": False,
    "warnings": [
        {
            "pointer": "/rules/rule_5f0c1d2e3a4b5c6d7e8f9a0b/headers/Authorization",
            "detail": "This secret comes back from the old version, because no newer one is stored.",
        }
    ],
}
DIFFERENCES = [
    {
        "op": "change",
        "path": "/rules/rule_5f0c1d2e3a4b5c6d7e8f9a0b/target",
        "before": "https://old.example.com",
        "after": "https://api.example.com",
    }
]
DIFF = {"version": 41, "against": 40, "summary": VERSION["summary"], "differences": DIFFERENCES, "cut": False}
DETAIL = {
    **VERSION,
    "document": {
        "name": "Acme",
        "tier": "pro",
        "rules": {},
        "providers": {},
        "models": {},
        "webhooks": {},
        "budgets": {},
    },
}
