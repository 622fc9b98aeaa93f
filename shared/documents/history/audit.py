"""Entries of the audit log as JSON."""

from dataclasses import asdict
from typing import Any, Final

from marshmallow import Schema, fields, validate

from shared.config_store.history.audit import SignedEntry
from shared.config_store.layout import EVENTS_ID, PLATFORM_ID, TOKENS_ID
from shared.core.fields import Pattern, Strict, Timestamp
from shared.documents.fields import nullable
from shared.documents.history.versions import DIFFERENCES, VERSION, DifferenceOutput
from shared.documents.request import ID_BEFORE

MAX_PAGE: Final = 200


class AuditQuery(Strict):
    """The entries that are wanted."""

    tenant = fields.String(
        load_default=None,
        validate=validate.Length(max=100),
        metadata={"description": "The id of a tenant, or `platform`."},
    )
    actor = fields.String(
        load_default=None,
        validate=validate.Length(max=100),
        metadata={
            "description": "`platform`, `token:` with the name of a token, or `key:` with the id of a key."
        },
    )
    operation = fields.String(
        load_default=None,
        validate=validate.Length(max=100),
        metadata={"description": "The name of an operation, such as `updateRule`."},
    )
    since = Timestamp("Only changes at that time or later.", load_default=None)
    until = Timestamp("Only changes before that time.", load_default=None)
    cursor = fields.String(
        load_default=None,
        validate=Pattern(ID_BEFORE, "Must be the `next_cursor` of a page."),
        metadata={"description": "`next_cursor` of the previous page."},
    )
    limit = fields.Integer(
        load_default=50,
        validate=validate.Range(1, MAX_PAGE),
        metadata={"description": "Maximum number of entries."},
    )


class AuditOutput(Schema):
    """One change."""

    id = fields.String(required=True)
    at = Timestamp("The time of the change.", required=True)
    tenant_id = fields.String(**nullable("null for the platform."))
    action = fields.String(required=True, metadata={"description": "create, update, delete or event."})
    operation = fields.String(
        required=True,
        metadata={
            "description": "The operation of the API, or logIn, failLogIn, acceptStore, rotateSecrets or "
            "repairBudgets."
        },
    )
    actor = fields.String(
        required=True, metadata={"description": "platform, token:<name>, key:<id>, operator or unknown."}
    )
    address = fields.String(**nullable("The address of the client."))
    source = fields.String(required=True, metadata={"description": "api, ui, gw, file or rollback."})
    request_id = fields.String(**nullable("X-Request-ID of the call."))
    message = fields.String(**nullable("X-Gateway-Message of the call."))
    summary = fields.String(required=True, metadata={"description": "The change, in one line."})
    version = fields.Integer(**nullable("The version afterwards; null if the tenant was deleted."))
    changes = fields.List(fields.Nested(DifferenceOutput), required=True)
    file = fields.String(**nullable("The name of the file that was applied."))
    cut = fields.Boolean(required=True, metadata={"description": "Whether there were more changes."})


class AuditList(Schema):
    """Changes, the newest first."""

    entries = fields.List(fields.Nested(AuditOutput), required=True)
    next_cursor = fields.String(**nullable("`cursor` of the next page; null on the last."))


_ENTRY = AuditOutput()


def audit_document(signed: SignedEntry) -> dict[str, Any]:
    """The JSON of an entry. Raises ValueError when it cannot be read."""
    entry = signed.entry
    tenant = None if entry.owner in (PLATFORM_ID, TOKENS_ID, EVENTS_ID) else entry.owner
    document: dict[str, Any] = _ENTRY.dump({**asdict(entry), "id": signed.id, "tenant_id": tenant})
    return document


ENTRY = {
    "id": "1780315200000-0",
    "at": "2026-06-01T12:00:00.000Z",
    "tenant_id": "tenant_5f0c1d2e3a4b5c6d7e8f9a0b",
    "action": "update",
    "operation": "updateRule",
    "actor": "platform",
    "address": "203.0.113.7",
    "source": "api",
    "request_id": "3f2a9c0e6b1d4f5a8c7e9d0b1a2f3c4d",
    "message": "Move to the new upstream.",
    "summary": VERSION["summary"],
    "version": 41,
    "changes": DIFFERENCES,
    "file": None,
    "cut": False,
}
ENTRIES = {"entries": [ENTRY], "next_cursor": None}
