// The limits in force and how much of each is used, the fullest first: of all tenants, or of one.
import { amount, byId, h, meter, plural, quantity, seconds, wait } from "../kit/dom.js";
import { read } from "../kit/api.js";
import { poll } from "../kit/poll.js";
import { me } from "../kit/shell.js";
import { fail } from "../kit/states.js";
import { dataTable } from "../kit/table.js";
import { tenantField } from "./traffic/tenant_field.js";

const TENANTS = 50; // that one call reads
const state = { tenant: new URLSearchParams(location.search).get("tenant") ?? "", pages: 1 };

const isOne = () => Boolean(own || state.tenant);
const share = (row) => (row.used == null ? -1 : row.limit ? row.used / row.limit : 1);

const WORDS = { ip: "address", key: "API key", streams: "value" };

/** Of what values a limit without known usage has a counter each. */
function perValue(row) {
  if (row.name === "tier") return "counted by each worker for itself";
  const by = row.name.replace(/^per_/, "").replace(/:.*/, "");
  return `one counter per ${WORDS[by] ?? by}`;
}

function whereOf(row) {
  const tenant = `/ui/tenants/${encodeURIComponent(row.tenant_id)}`;
  return row.rule_id ? `${tenant}/rules/${encodeURIComponent(row.rule_id)}` : tenant;
}

const nameOf = (row) =>
  h(
    "div",
    { className: "limit" },
    h("a", { className: "name", href: whereOf(row) }, row.name),
    row.tenant_name && h("bdi", { className: "about phone ellipsis" }, row.tenant_name),
    h(
      "span",
      { className: "about" },
      row.rule_path ? `rule ${row.rule_path}` : "all rules",
      row.key_name && ` · key ${row.key_name}`,
    ),
  );

function usedOf(row) {
  const of = `${quantity(row.limit, row.unit)} ${row.window ? `per ${row.window}` : "at a time"}`;
  if (row.used == null) return h("span", { className: "muted" }, `${of}, ${perValue(row)}`);
  return h(
    "div",
    { className: "used" },
    meter(share(row)),
    h("span", { className: "num" }, `${amount(row.used, row.unit)} / ${of}`),
  );
}

const COLUMNS = [
  { key: "name", title: "Limit", cell: nameOf, sort: (row) => row.name },
  { key: "used", title: "Used", cell: usedOf, sort: share, wide: true },
  {
    key: "reset",
    title: "Frees in",
    cell: (row) => (row.used ? wait(row.reset_after_ms) : ""),
    sort: (row) => row.reset_after_ms ?? -1,
    num: true,
    opt: true,
  },
];
const TENANT_COLUMN = {
  key: "tenant",
  title: "Tenant",
  cell: (row) =>
    h(
      "a",
      {
        className: "ellipsis",
        title: row.tenant_name,
        href: `/ui/tenants/${encodeURIComponent(row.tenant_id)}`,
      },
      h("bdi", {}, row.tenant_name),
    ),
  sort: (row) => row.tenant_name,
  opt: true,
};

let live;
let own; // the tenant whose key the caller has; null for the platform
let table;

function showTable() {
  table = dataTable({
    label: "Table of limits",
    columns: isOne() ? COLUMNS : [TENANT_COLUMN, ...COLUMNS],
    sort: { key: "used", down: true },
    none: {
      title: "No limits.",
      text: "A rate_limiter in the chain of a tenant or of a rule adds them.",
    },
    onMore: () => {
      state.pages += 1;
      live.now();
    },
  });
  byId("page").replaceChildren(table.node);
}

async function ofOne(id) {
  const { limits } = await read(`/api/v1/tenants/${encodeURIComponent(id)}/rate-limits?each_key=true`);
  return { limits: limits.map((row) => ({ ...row, tenant_id: id })), tenants: 1, more: false };
}

/** The limits of the first tenants, as many pages as are shown. */
async function ofAll() {
  const found = { limits: [], tenants: 0, more: false };
  let cursor = "";
  for (let page = 0; page < state.pages; page += 1) {
    const query = new URLSearchParams({ limit: TENANTS, each_key: true, ...(cursor && { cursor }) });
    const read_ = await read(`/api/v1/rate-limits?${query}`);
    found.limits.push(...read_.limits);
    found.tenants += read_.tenants;
    cursor = read_.next_cursor;
    found.more = Boolean(cursor);
    if (!cursor) break;
  }
  return found;
}

async function load() {
  const one = own?.id ?? state.tenant;
  const { limits, tenants, more } = one ? await ofOne(one) : await ofAll();
  if (one !== (own?.id ?? state.tenant)) return; // another tenant was chosen meanwhile
  if (!table) showTable();
  table.show(limits, { more });
  const of = one ? "" : more ? ` of the first ${tenants} tenants` : ` of ${plural(tenants, "tenant")}`;
  byId("fresh").textContent =
    `${plural(limits.length, "limit")}${of}, the fullest first. Updated ${seconds(Date.now() / 1000)}.`;
}

/** Limits are tried on the calls of one tenant. */
function showTrial() {
  const id = own?.id ?? state.tenant;
  const to = { className: "button", href: `/ui/tenants/${encodeURIComponent(id)}?tab=limits#try` };
  byId("try").replaceChildren(...(id ? [h("a", to, "Try limits on recorded calls")] : []));
}

function choose(tenant) {
  Object.assign(state, { tenant, pages: 1 });
  history.replaceState(null, "", tenant ? `?tenant=${encodeURIComponent(tenant)}` : location.pathname);
  table = null;
  showTrial();
  live.now();
}

async function start() {
  own = (await me).tenant;
  showTrial();
  if (!own) await tenantField(state.tenant, choose);
  live = poll(load, { seconds: 5 });
}

start().catch(fail);
