"""The JSON documents of the admin API, as marshmallow schemas.

A schema named ``…Input`` loads a body, ``…Patch`` loads the fields of a PATCH; all others are responses.
"""

from shared.documents.api_key import (
    ApiKeyCreated,
    ApiKeyInput,
    ApiKeyList,
    ApiKeyOutput,
    RotateInput,
    api_key_document,
)
from shared.documents.fields import KEEP, Keep, Page, is_set
from shared.documents.plugin_config import PluginConfigInput, PluginConfigOutput, complete_entry
from shared.documents.rule import RuleChanged, RuleInput, RuleList, RuleOutput, RulePatch, rule_document
from shared.documents.tenant import (
    TenantChanged,
    TenantCreated,
    TenantInput,
    TenantList,
    TenantOutput,
    TenantPatch,
    tenant_document,
)

__all__ = [
    "KEEP",
    "ApiKeyCreated",
    "ApiKeyInput",
    "ApiKeyList",
    "ApiKeyOutput",
    "Keep",
    "Page",
    "PluginConfigInput",
    "PluginConfigOutput",
    "RotateInput",
    "RuleChanged",
    "RuleInput",
    "RuleList",
    "RuleOutput",
    "RulePatch",
    "TenantChanged",
    "TenantCreated",
    "TenantInput",
    "TenantList",
    "TenantOutput",
    "TenantPatch",
    "api_key_document",
    "complete_entry",
    "is_set",
    "rule_document",
    "tenant_document",
]
