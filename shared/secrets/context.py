"""Contexts of stored secrets. A secret that was sealed with one context opens with no other.

The context contains the origin, so a credential is only sent to the origin that it was saved for.
"""

from collections.abc import Mapping
from typing import Any

from shared.model.targets import parse_target

#: The owner of the platform's own providers.
PLATFORM = "platform"


def header_context(tenant_id: str, name: str, target: str) -> str:
    """The context of the header `name` of a rule with `target`. Raises ValueError on a bad target."""
    return f"{tenant_id}|rule.headers|{name.lower()}|{parse_target(target).origin}"


def provider_key_context(owner: str, provider_id: str, key_id: str, origin: str) -> str:
    """The context of a key of a provider. `owner` is a tenant's id or ``platform``.

    `origin` is that of the finished URL: the base with the values of its parameters.
    """
    return f"{owner}|provider.{provider_id}.keys.{key_id}|{origin}"


def provider_header_context(owner: str, provider_id: str, name: str, origin: str) -> str:
    """The context of the header `name` of a provider; the arguments are as in `provider_key_context`."""
    return f"{owner}|provider.{provider_id}.headers.{name.lower()}|{origin}"


def provider_query_context(owner: str, provider_id: str, name: str, origin: str) -> str:
    """The context of the parameter `name` of a provider's query; names are case-sensitive."""
    return f"{owner}|provider.{provider_id}.query.{name}|{origin}"


def webhook_context(owner: str, webhook_id: str, url: str) -> str:
    """The context of the secret of a webhook; `owner` is as in `provider_key_context`.

    Raises ValueError on a bad URL.
    """
    return f"{owner}|webhook.{webhook_id}|{parse_target(url, allow_query=True).origin}"


def setting_context(tenant_id: str, plugin: str, setting: str, name: str, settings: Mapping[str, Any]) -> str:
    """The context of the secret `name` in a plugin's `setting`. Raises ValueError on a bad endpoint."""
    return f"{tenant_id}|{plugin}.{setting}.{name.lower()}|{endpoint_origin(settings)}"


def endpoint_origin(settings: Mapping[str, Any]) -> str:
    """The origin that gets a plugin's secrets; empty for a plugin without an endpoint.

    Raises ValueError when the endpoint is not a URL.
    """
    endpoint = settings.get("endpoint")
    if endpoint is None:
        return ""
    if not isinstance(endpoint, str):
        raise ValueError("The endpoint must be an absolute http or https URL.")
    return parse_target(endpoint, allow_query=True).origin
