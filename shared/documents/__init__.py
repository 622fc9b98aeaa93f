"""The documents of the admin API: what a body may hold, and what a reader sees.

A schema named ``…Input`` reads a body, ``…Patch`` reads a part of one, all others describe answers.
"""

from shared.documents.api_key import (
    ApiKeyCreated,
    ApiKeyInput,
    ApiKeyList,
    ApiKeyOutput,
    RotateInput,
    api_key_document,
)
from shared.documents.fields import KEEP, Keep, is_set
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
