"""Creates the README's tenant and rule with the client that openapi-python-client made."""

import json
import os
import sys
from pathlib import Path

from gateway_client import AuthenticatedClient
from gateway_client.api.rules import create_rule, get_rule, list_rules, replace_rule, update_rule
from gateway_client.api.tenants import create_tenant
from gateway_client.models import ProblemDocument, RuleInput, RulePatch, RuleReplacement, TenantInput

tenant_body, rule_body = json.loads(Path("readme.json").read_text())
with AuthenticatedClient(base_url=os.environ["ADMIN_URL"], token=os.environ["ADMIN_TOKEN"]) as platform:
    tenant = create_tenant.sync(client=platform, body=TenantInput.from_dict(tenant_body))
with AuthenticatedClient(base_url=os.environ["ADMIN_URL"], token=tenant.api_key) as client:
    rule = create_rule.sync(tenant.id, client=client, body=RuleInput.from_dict(rule_body))
    read = get_rule.sync(tenant.id, rule.id, client=client)
    replaced = replace_rule.sync(
        tenant.id, rule.id, client=client, body=RuleReplacement.from_dict(read.to_dict())
    )
    patched = update_rule.sync(tenant.id, rule.id, client=client, body=RulePatch(active=False))
    listed = list_rules.sync(tenant.id, client=client, limit=10)
    problem = get_rule.sync(tenant.id, "rule_0", client=client)
    assert isinstance(problem, ProblemDocument)
json.dump(
    {
        "subdomain": tenant.subdomain,
        "validator": tenant.required_plugins["security_validator"].priority,
        "path": rule.path,
        "limiter": rule.plugin_chain[0].name,
        "replaced": replaced.path,
        "active": patched.active,
        "count": listed.count,
        "code": problem.code,
    },
    sys.stdout,
)
