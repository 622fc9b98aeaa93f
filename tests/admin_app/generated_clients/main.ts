// Creates the README's tenant and rule with the types that openapi-typescript made. The bodies are literals in
// readme.ts, so the compiler checks them.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";
import { ruleBody, tenantBody } from "./readme.js";

function clientWith(key: string) {
  return createClient<paths>({ baseUrl: process.env.ADMIN_URL, headers: { Authorization: `Bearer ${key}` } });
}

function must<Data>(result: { data?: Data; error?: unknown }): Data {
  if (result.data === undefined) throw new Error(JSON.stringify(result.error));
  return result.data;
}

const platform = clientWith(process.env.ADMIN_TOKEN ?? "");
const tenant = must(await platform.POST("/api/v1/tenants", { body: tenantBody }));
const client = clientWith(tenant.api_key);
const inTenant = { params: { path: { tenant_id: tenant.id } } };
const rule = must(await client.POST("/api/v1/tenants/{tenant_id}/rules", { ...inTenant, body: ruleBody }));
const inRule = { params: { path: { tenant_id: tenant.id, rule_id: rule.id } } };
const read: components["schemas"]["RuleOutput"] = must(
  await client.GET("/api/v1/tenants/{tenant_id}/rules/{rule_id}", inRule),
);
const replaced = must(
  await client.PUT("/api/v1/tenants/{tenant_id}/rules/{rule_id}", {
    ...inRule,
    body: read as components["schemas"]["RuleReplacement"],
  }),
);
const patched = must(
  await client.PATCH("/api/v1/tenants/{tenant_id}/rules/{rule_id}", { ...inRule, body: { active: false } }),
);
const listed = must(
  await client.GET("/api/v1/tenants/{tenant_id}/rules", {
    params: { ...inTenant.params, query: { limit: 10 } },
  }),
);
const missing = await client.GET("/api/v1/tenants/{tenant_id}/rules/{rule_id}", {
  params: { path: { tenant_id: tenant.id, rule_id: "rule_0" } },
});
console.log(
  JSON.stringify({
    subdomain: tenant.subdomain,
    validator: tenant.required_plugins["security_validator"]?.priority,
    path: rule.path,
    limiter: rule.plugin_chain[0]?.name,
    replaced: replaced.path,
    active: patched.active,
    count: listed.count,
    code: missing.error?.code,
  }),
);
