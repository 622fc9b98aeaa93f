// The words for authors, clients, operations and moments of changes.
import { dateTime, h } from "../../kit/dom.js";
import { read, readAll } from "../../kit/api.js";

const SOURCES = {
  api: "API",
  ui: "Dashboard",
  gw: "gw",
  file: "File",
  rollback: "Rollback",
  gateway: "The gateway",
};

/** The operations that change nothing. */
export const EVENTS = {
  logIn: "Log-in",
  failLogIn: "Log-in failed",
  acceptStore: "Store accepted",
  rotateSecrets: "Encryption key replaced",
  repairBudgets: "Budgets repaired",
};

/** The effect of an operation on the configuration. */
export const OPERATIONS = {
  createTenant: "Tenant added",
  updateTenant: "Tenant changed",
  replaceTenant: "Tenant replaced",
  rollbackTenant: "Tenant rolled back",
  pinTenantVersion: "Version pinned or unpinned",
  deleteTenant: "Tenant deleted",
  applyPlan: "File applied",
  createRule: "Rule added",
  updateRule: "Rule changed",
  replaceRule: "Rule replaced",
  deleteRule: "Rule deleted",
  createApiKey: "API key created",
  rotateApiKey: "API key rotated",
  revokeApiKey: "API key revoked",
  createProvider: "Provider added",
  updateProvider: "Provider changed",
  replaceProvider: "Provider replaced",
  deleteProvider: "Provider deleted",
  createProviderKey: "Key of a provider added",
  rotateProviderKey: "Key of a provider rotated",
  deleteProviderKey: "Key of a provider removed",
  createModel: "Model added",
  updateModel: "Model changed",
  replaceModel: "Model replaced",
  deleteModel: "Model deleted",
  createBudget: "Budget added",
  updateBudget: "Budget changed",
  replaceBudget: "Budget replaced",
  increaseBudget: "Budget increased",
  resetBudget: "Budget reset",
  deleteBudget: "Budget deleted",
  createWebhook: "Webhook added",
  updateWebhook: "Webhook changed",
  deleteWebhook: "Webhook deleted",
  createPlatformWebhook: "Webhook of the platform added",
  updatePlatformWebhook: "Webhook of the platform changed",
  deletePlatformWebhook: "Webhook of the platform deleted",
  createPlatformToken: "Token of the platform created",
  rotatePlatformToken: "Token of the platform rotated",
  deletePlatformToken: "Token of the platform revoked",
  rollbackPlatform: "Platform rolled back",
  pinPlatformVersion: "Version of the platform pinned or unpinned",
  createPlatformProvider: "Shared provider added",
  updatePlatformProvider: "Shared provider changed",
  replacePlatformProvider: "Shared provider replaced",
  deletePlatformProvider: "Shared provider deleted",
  createPlatformProviderKey: "Key of a shared provider added",
  rotatePlatformProviderKey: "Key of a shared provider rotated",
  deletePlatformProviderKey: "Key of a shared provider removed",
  createPlatformModel: "Shared model added",
  updatePlatformModel: "Shared model changed",
  replacePlatformModel: "Shared model replaced",
  deletePlatformModel: "Shared model deleted",
  updatePrices: "Prices changed",
  replacePrices: "Prices replaced",
};

/** The moment of a change, with its exact time on demand. */
export const moment = (at) => h("time", { dateTime: at, title: at }, dateTime(at));

/** The client that made a change. */
export const sourceOf = ({ source }) => SOURCES[source] ?? source;

/** The effect of a call; its own name if there are no words for it. */
export const operationOf = ({ operation }) => OPERATIONS[operation] ?? EVENTS[operation] ?? operation;

const keysByTenant = new Map();

/** Resolves to the names of a tenant's API keys by their ids; none for a tenant that is gone. */
export function keyNames(tenant) {
  if (!keysByTenant.has(tenant)) {
    const path = `/api/v1/tenants/${encodeURIComponent(tenant)}/api-keys`;
    const found = readAll(path, "api_keys").then((keys) => new Map(keys.map((key) => [key.id, key.name])));
    keysByTenant.set(tenant, found.catch(() => new Map()));
  }
  return keysByTenant.get(tenant);
}

/** The author of a change: the platform, or the name of a key. */
export function authorOf({ actor }, keys) {
  if (actor === "platform") return "Platform";
  if (actor === "unknown") return "Unknown";
  if (actor === "operator") return "Operator";
  if (actor.startsWith("token:")) return `${actor.slice(6)} (token)`;
  const id = actor.replace("key:", "");
  return keys.get(id) ?? (id === actor ? actor : `Key …${id.slice(-6)}`);
}

/** Resolves to the names of what a version has, by their pointers; none if the version is not kept. */
export async function thingNames(base, version) {
  const { document } = await read(`${base}/versions/${version}`).catch(() => ({ document: {} }));
  return namesIn(document);
}

/** The names of the rules, providers and budgets of a document, by their pointers. */
export function namesIn({ rules = {}, providers = {}, budgets = {} }) {
  return new Map([
    ...Object.entries(rules).map(([id, rule]) => [`rules/${id}`, rule.path]),
    ...Object.entries(providers).map(([id, one]) => [`providers/${id}`, one.name]),
    ...Object.entries(budgets).map(([id, one]) => [`budgets/${id}`, one.name]),
  ]);
}
