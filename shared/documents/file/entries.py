"""The schemas of what a file has: those of the API, without names, which are keys, and without what is never
in a file: ids, times, and the `status` of a tenant.
"""

from marshmallow import Schema, fields, validate

from shared.documents.ai.budget import BudgetInput
from shared.documents.ai.model import ModelInput, PlatformModelInput
from shared.documents.ai.provider import PlatformProviderInput, ProviderInput
from shared.documents.ai.provider_key import MAX_KEYS, PlatformKeyInput, ProviderKeyInput
from shared.documents.alerts.webhook import PlatformWebhookInput, WebhookInput
from shared.documents.api_key import ApiKeyInput
from shared.documents.fields import Input, Whole
from shared.documents.rule import RuleInput
from shared.documents.tenant import TenantInput

_KEY_STATE = ("id", "expires_at", "created_at", "status", "cooling_until", "last_error")


def _keys(kind: type[Schema]) -> fields.List[fields.Nested]:
    return fields.List(
        Whole(kind),
        load_default=list,
        validate=validate.Length(max=MAX_KEYS),
        metadata={"description": "Its credentials. A name identifies one; without names, the place does."},
    )


class RuleEntry(RuleInput):
    """A rule in a file."""

    class Meta(Input.Meta):
        exclude = ("name",)


class KeyEntry(ProviderKeyInput):
    """A key of a tenant's provider in a file."""

    class Meta(Input.Meta):
        exclude = _KEY_STATE


class PlatformKeyEntry(PlatformKeyInput):
    """A key of a provider of the platform in a file."""

    class Meta(Input.Meta):
        exclude = _KEY_STATE


class ProviderEntry(ProviderInput):
    """A provider of a tenant in a file."""

    class Meta(Input.Meta):
        exclude = ("name",)

    keys = _keys(KeyEntry)


class PlatformProviderEntry(PlatformProviderInput):
    """A provider of the platform in a file. `shared` names tenants by their subdomains."""

    class Meta(Input.Meta):
        exclude = ("name",)

    keys = _keys(PlatformKeyEntry)


class ModelEntry(ModelInput):
    """A model of a tenant in a file."""

    class Meta(Input.Meta):
        exclude = ("name",)


class PlatformModelEntry(PlatformModelInput):
    """A model of the platform in a file. `shared` names tenants by their subdomains."""

    class Meta(Input.Meta):
        exclude = ("name",)


class BudgetEntry(BudgetInput):
    """A budget in a file. Its scope names API keys and rules by their names."""

    class Meta(Input.Meta):
        exclude = ("name",)


class ApiKeyEntry(ApiKeyInput):
    """An API key in a file. Its secret is never in a file."""

    class Meta(Input.Meta):
        exclude = ("name",)


class WebhookEntry(WebhookInput):
    """A webhook of a tenant in a file."""

    class Meta(Input.Meta):
        exclude = ("name",)


class PlatformWebhookEntry(PlatformWebhookInput):
    """A webhook of the platform in a file."""

    class Meta(Input.Meta):
        exclude = ("name",)


class TenantEntry(TenantInput):
    """The fields of a tenant in a file."""

    class Meta(Input.Meta):
        exclude = ("subdomain", "status")
