// One entry of the audit log in a panel: author, address, reason, and its differences.
import { copyButton, h } from "../../kit/dom.js";
import { read } from "../../kit/api.js";
import { openPanel } from "../../kit/panel.js";
import { requestPath } from "../traffic/names.js";
import { differenceList } from "./differences.js";
import { authorOf, keyNames, moment, operationOf, sourceOf, thingNames } from "./words.js";

const IN_A_THING = /^\/(rules|providers)\/[^/]+\//;

const apiOf = (id) => `/api/v1/${id === null ? "platform" : `tenants/${encodeURIComponent(id)}`}`;
const tenantPath = (id) => `/ui/tenants/${encodeURIComponent(id)}`;

const historyPath = ({ tenant_id: id, version }) =>
  id === null ? `/ui/history?version=${version}` : `${tenantPath(id)}?tab=history&version=${version}`;

/** The page of the request with the id of the change: a client may have called the proxy with the same. */
async function requestOf({ request_id: id, tenant_id: tenant }) {
  if (!id) return null;
  const list = tenant ? `${apiOf(tenant)}/requests` : "/api/v1/requests";
  const found = await read(`${list}?${new URLSearchParams({ q: id, limit: 1 })}`).catch(() => null);
  const row = found?.requests.find((one) => one.request_id === id);
  return row ? requestPath(row, !tenant) : null;
}

function tenantOf({ tenant_id: id, version }, tenantName) {
  const name = tenantName?.(id);
  return id === null || version === null ? name : name && h("a", { href: tenantPath(id) }, name);
}

function requestFact({ request_id: id }, request) {
  return id && [h("code", {}, id), request && h("a", { href: request }, "Open the request")];
}

function facts(entry, request, { keys, tenantName }) {
  const { version } = entry;
  const all = [
    ["When", moment(entry.at)],
    ["Author", h("bdi", {}, authorOf(entry, keys))],
    ["Made with", sourceOf(entry)],
    ["Tenant", tenantOf(entry, tenantName)],
    ["Address", entry.address && h("code", {}, entry.address)],
    ["Reason", entry.message],
    ["Version", version !== null && h("a", { href: historyPath(entry) }, `Version ${version}`)],
    ["Operation", h("code", {}, entry.operation)],
    ["Request id", requestFact(entry, request)],
  ].filter(([, value]) => value);
  return h("dl", { className: "facts" },
    all.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** The names of the things that an entry has changed, by kind and id. Those that it adds have theirs. */
async function namesOf({ tenant_id: id, version, changes }) {
  const isIn = (pattern) => changes.some(({ path }) => pattern.test(path));
  const [things, keys] = await Promise.all([
    version !== null && isIn(IN_A_THING) ? thingNames(apiOf(id), version) : new Map(),
    id !== null && version !== null && isIn(/^\/api_keys\//) ? keyNames(id) : new Map(),
  ]);
  return new Map([...things, ...[...keys].map(([key, name]) => [`api_keys/${key}`, name])]);
}

/** Open an entry. `tenantName(id)` is null for a tenant's key, which sees its own changes only. */
export async function openEntry(entry, known) {
  const [names, request] = await Promise.all([namesOf(entry), requestOf(entry)]);
  openPanel({
    title: operationOf(entry),
    text: entry.summary,
    body: [
      facts(entry, request, known),
      h("section", { className: "section" },
        h("h3", {}, "Differences"),
        differenceList(
          { differences: entry.changes, cut: entry.cut },
          names,
          entry.tenant_id === null ? "Platform" : "Tenant")),
    ],
    actions: entry.request_id ? [copyButton(entry.request_id, "Copy request id")] : [],
  });
}
