"""The page of keys and scopes: who may call which operation, and write which field."""

from collections.abc import Iterable

from admin_app.auth.access import Access, Caller
from admin_app.auth.field_access import PROVIDER_FIELDS, RULE_FIELDS, TENANT_FIELDS
from scripts.reference.admin_api import operations, required_access
from scripts.reference.page import code, page, table
from shared.documents.api_key import ApiKeyInput
from shared.model.config import PlatformScope, Scope


def scopes_page() -> str:
    """The keys, and the operations and fields that each of them may use."""
    default = _scopes(ApiKeyInput().load({})["scopes"])
    return page(
        "Keys, scopes and roles",
        "## Keys\n",
        _keys(),
        "Without a platform key, calls from this machine count as the platform's: with a local Host header, "
        "and not through a proxy.",
        "## Scopes\n",
        _scopes_of_tenants(),
        f"A key that is created without `scopes` has {default}. The first key of a tenant has "
        f"{_scopes((Scope.ADMIN, Scope.PROXY))}. An application needs {_scopes((Scope.PROXY,))} only.",
        "Tokens of the platform have scopes of their own:\n",
        _scopes_of_the_platform(),
        "## Operations\n",
        _operations_by_caller(),
        "`call_outside` of a dry run needs `admin`. The header `X-Gateway-Trace` needs `admin` and `proxy`.",
        "## Fields\n",
        "Only the platform may write these fields. A tenant may send their stored values back.",
        _fields_of_the_platform(),
        "A tenant can neither remove, weaken nor reorder the entries of its tier and of `required_plugins`.",
    )


def _keys() -> str:
    return table(
        ("role", "key", "reaches"),
        [
            ("platform", "`admin.token`, or `GATEWAY_ADMIN_TOKEN`", "all tenants"),
            ("operator", "a token of the platform with a scope", "all tenants"),
            ("tenant", "an API key with one or more scopes", "its own tenant; objects of others are 404"),
            ("nobody", "no key", "public rules, probes, the version, and Swagger UI"),
        ],
    )


def _scopes_of_tenants() -> str:
    reads = "reads of the tenant, its rules, keys, providers, models, limits and usage; dry runs"
    return table(
        ("scope", "allows"),
        [
            (code(Scope.PROXY), "calls through the proxy"),
            (code(Scope.READ), reads),
            (code(Scope.ADMIN), "the same, and changes of the tenant and of all that it has"),
        ],
    )


def _scopes_of_the_platform() -> str:
    return table(
        ("scope", "allows"),
        [
            (code(PlatformScope.READ), "reads of all tenants and of the platform; dry runs"),
            (code(PlatformScope.WRITE), "the same, and all changes but those of tokens of the platform"),
            (code(PlatformScope.ADMIN), "everything, as the platform key"),
        ],
    )


def _fields_of_the_platform() -> str:
    return table(
        ("object", "fields"),
        [
            ("tenant", ", ".join(map(code, TENANT_FIELDS))),
            ("budget", "all of a budget with the owner `platform`; the owner `platform` of another one"),
            ("rule", ", ".join(map(code, RULE_FIELDS))),
            ("provider", ", ".join(map(code, PROVIDER_FIELDS))),
            ("rule", "`limits.request_body` and `limits.response_body` above the gateway's own"),
        ],
    )


def _operations_by_caller() -> str:
    callers = [Caller("platform"), *(Caller(scope, "a tenant", (scope,)) for scope in Scope)]
    return table(
        ("operation", "platform", *(f"`{scope}`" for scope in Scope)),
        [
            (f"`{name}`", *("yes" if caller.may(access) else "" for caller in callers))
            for name, operation in operations()
            if (access := Access(required_access(operation.get("description", "")))) is not Access.PUBLIC
        ],
    )


def _scopes(scopes: Iterable[str]) -> str:
    return " and ".join(map(code, scopes))
