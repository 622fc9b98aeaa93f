"""A tenant as it is sent and as it is shown."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from shared.core.fields import Pattern, Strict, Timestamp, choice, text
from shared.documents.plugin_config import PluginConfigOutput, RequiredPlugins, chain_input
from shared.model.config import Tenant

#: Subdomains that a visitor could take for the platform's own, and names with a meaning of their own.
RESERVED = frozenset(
    {
        *("admin", "api", "auth", "dashboard", "docs", "gateway", "health", "internal", "localhost", "login"),
        *("mail", "metrics", "ns1", "ns2", "smtp", "static", "status", "www"),
    }
)
#: RFC 1035's label, in lower case.
_LABEL = Pattern(
    "^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$",
    "Must be 1 to 63 letters, digits and hyphens, without a hyphen at either end.",
)


class Subdomain(fields.String):
    """One label of a host name, lower-cased."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        label = super()._deserialize(value, attr, data, **kwargs)
        return label.lower() if label.isascii() else label


def _not_reserved(label: str) -> None:
    if label in RESERVED:
        raise ValidationError(f"{label} is reserved for the platform. Take another one.")


class TenantInput(Strict):
    """A tenant to create, or its whole new state."""

    name = text(200, "What people call it.", required=True)
    subdomain = Subdomain(
        required=True,
        validate=[_LABEL, _not_reserved],
        # The letters that are lower-cased are taken too.
        metadata={
            "description": "Its host is {subdomain}.{base_domain}. Unique.",
            "pattern": "^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$",
        },
    )
    tier = text(100, "A profile of config.yaml: basic, pro, enterprise, or your own.", load_default="basic")
    status = choice("active", "disabled", default="active", description="disabled refuses all its traffic.")
    enabled_plugins = fields.List(
        fields.String(),
        load_default=None,
        allow_none=True,
        validate=validate.Length(max=200),
        metadata={
            "description": "Plugins that its chains may name. Left out or null: every plugin; []: none."
        },
    )
    required_plugins = RequiredPlugins(load_default=dict)
    plugin_chain = chain_input()


class TenantPatch(TenantInput):
    """The fields of a tenant to change. The others stay as they are."""


class TenantOutput(Schema):
    """A tenant as it is stored."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    subdomain = fields.String(required=True)
    tier = fields.String(required=True)
    status = fields.String(required=True)
    enabled_plugins = fields.List(fields.String(), required=True, allow_none=True)
    required_plugins = fields.Dict(
        keys=fields.String(), values=fields.Nested(PluginConfigOutput), required=True
    )
    plugin_chain = fields.List(fields.Nested(PluginConfigOutput), required=True)
    created_at = Timestamp("When it was created.", required=True)
    updated_at = Timestamp("When it was last changed.", required=True)
    version = fields.Integer(
        required=True, metadata={"description": "Counts the changes of its rules, chains and settings."}
    )


class TenantChanged(TenantOutput):
    """A tenant after a change, and what the writer may not have meant."""

    warnings = fields.List(fields.String(), required=True)


class TenantCreated(TenantChanged):
    """A new tenant with its first API key, which is shown this once."""

    api_key = fields.String(required=True, metadata={"description": "Scopes: admin and proxy."})


class TenantList(Schema):
    """One page of tenants, in order of creation."""

    tenants = fields.List(fields.Nested(TenantOutput), required=True)
    count = fields.Integer(required=True)
    next_cursor = fields.String(required=True, allow_none=True)


def tenant_document(tenant: Tenant) -> dict[str, Any]:
    """The JSON that a reader of `tenant` sees."""
    document: dict[str, Any] = TenantOutput().dump(tenant)
    return document
