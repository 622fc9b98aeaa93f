"""Tenants as JSON."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from shared.core.fields import Pattern, Timestamp, choice, text
from shared.core.http_tokens import LABEL
from shared.documents.cors import CorsOutput, cors_input
from shared.documents.fields import Input, Page, Tags, nullable, read_only, tags_output, warnings_field
from shared.documents.plugin_config import PluginConfigOutput, RequiredPlugins, chain_input
from shared.model.config import Tenant, Tier

#: Subdomains that users could mistake for the platform's own, and names with a special meaning.
RESERVED = frozenset(
    {
        *("admin", "api", "auth", "dashboard", "docs", "gateway", "health", "internal", "localhost", "login"),
        *("mail", "metrics", "ns1", "ns2", "smtp", "static", "status", "www"),
    }
)
_LABEL = Pattern(
    f"^{LABEL}$",
    "Must be 1 to 63 letters, digits and hyphens, with no hyphen at either end.",
)


class Subdomain(fields.String):
    """One label of a host name, lower-cased."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        label = super()._deserialize(value, attr, data, **kwargs)
        return label.lower() if label.isascii() else label


def _not_reserved(label: str) -> None:
    if label in RESERVED:
        raise ValidationError(f"{label} is reserved for the platform. Choose another one.")


class TenantInput(Input):
    """A tenant to create."""

    name = text(200, "Its display name.", required=True)
    subdomain = Subdomain(
        required=True,
        validate=[_LABEL, _not_reserved],
        # Upper case is accepted and converted.
        metadata={
            "description": "Unique. The proxy serves the tenant at {subdomain}.{base_domain}.",
            "pattern": f"^{LABEL.replace('a-z', 'A-Za-z')}$",
        },
    )
    tier = text(100, "A tier of config.yaml: basic, pro, enterprise, or your own.", load_default="basic")
    status = choice(
        "active", "disabled", default="active", description="disabled: all its requests are rejected."
    )
    enabled_plugins = fields.List(
        fields.String(),
        load_default=None,
        allow_none=True,
        validate=validate.Length(max=200),
        metadata={"description": "Plugins that plugin_chain and rules may use. null: all plugins. []: none."},
    )
    required_plugins = RequiredPlugins(load_default=dict)
    cors = cors_input("The web pages that may call rules without cors of their own. null: none.")
    tags = Tags()
    plugin_chain = chain_input()


class TenantReplacement(TenantInput):
    """A tenant to replace."""

    id = read_only()
    created_at = read_only(format="date-time")
    updated_at = read_only(format="date-time")
    version = read_only("integer")


class TenantPatch(TenantReplacement):
    """The fields of a tenant to change."""


class TenantOutput(Schema):
    """A stored tenant."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    subdomain = fields.String(required=True)
    tier = fields.String(required=True)
    status = fields.String(required=True)
    enabled_plugins = fields.List(fields.String(), **nullable())
    required_plugins = fields.Dict(
        keys=fields.String(), values=fields.Nested(PluginConfigOutput), required=True
    )
    cors = fields.Nested(CorsOutput, **nullable())
    tags = tags_output()
    plugin_chain = fields.List(fields.Nested(PluginConfigOutput), required=True)
    created_at = Timestamp("Time of creation.", required=True)
    updated_at = Timestamp("Time of the last change.", required=True)
    version = fields.Integer(
        required=True, metadata={"description": "Number of changes of its rules, chains and settings."}
    )


class TenantChanged(TenantOutput):
    """A changed tenant, and warnings about it."""

    warnings = warnings_field()


class TenantCreated(TenantChanged):
    """A new tenant with its first API key."""

    api_key = fields.String(
        required=True, metadata={"description": "Key with scopes admin and proxy. It is shown only once."}
    )
    key = fields.String(required=True, metadata={"description": "The same, as in other responses."})


class TenantList(Page):
    """One page of tenants, in order of creation."""

    tenants = fields.List(fields.Nested(TenantOutput), required=True)


def _maximum(description: str) -> fields.Integer:
    return fields.Integer(required=True, allow_none=True, metadata={"description": description})


class TierOutput(Schema):
    """The maximums of the tier of a tenant. null: no maximum."""

    name = fields.String(required=True)
    limits = fields.Dict(
        required=True,
        metadata={"description": "As the `limits` of a rate_limiter, which runs before all other plugins."},
    )
    concurrent = _maximum("Concurrent requests of each worker.")
    max_rules = _maximum("Rules.")
    max_keys = _maximum("API keys.")
    max_providers = _maximum("Providers.")
    max_models = _maximum("Models.")
    max_targets = _maximum("Targets of one rule or model.")
    max_budgets = _maximum("Budgets, without those of the tier.")


def removed_tier(name: str) -> Tier:
    """The tier of a tenant whose tier the operator removed."""
    return Tier(
        name,
        concurrent=0,
        max_rules=0,
        max_keys=0,
        max_providers=0,
        max_models=0,
        max_targets=0,
        max_budgets=0,
    )


class TierList(Schema):
    """The tiers of config.yaml. Their limits of requests are among the limits of each tenant."""

    tiers = fields.List(fields.Nested(TierOutput), required=True)


#: Made once: to make it takes longer than to use it.
_OUTPUT = TenantOutput()


def tenant_document(tenant: Tenant) -> dict[str, Any]:
    """The JSON of `tenant`."""
    document: dict[str, Any] = _OUTPUT.dump(tenant)
    return document
