// The audit log: all changes of the configuration, of all tenants or of one. The address holds the filters.
import { byId, h } from "../../kit/dom.js";
import { read } from "../../kit/api.js";
import { mayChange, me } from "../../kit/shell.js";
import { attempt, empty, fail, ready } from "../../kit/states.js";
import { dataTable } from "../../kit/table.js";
import { offer, queryOf } from "../traffic/filters.js";
import { tenantField } from "../traffic/tenant_field.js";
import { openEntry } from "./entry.js";
import { showTabs } from "./tabs.js";
import { EVENTS, OPERATIONS, authorOf, keyNames, moment, operationOf } from "./words.js";

const FIELDS = ["tenant", "actor", "operation", "since", "until"];
/** The name for changes of no tenant, in the field in place of a subdomain, which has no capitals. */
const PLATFORM = { id: "platform", subdomain: "Platform", name: "Providers, models and prices" };
const LIMIT = 50;

const form = byId("filters");
const filters = fromAddress();
const keys = new Map(); // the names of API keys by their ids
const state = { turn: 0, rows: [], cursor: null };
let own; // the tenant whose key the caller has; null for the platform
let tenants;
let table;

function fromAddress() {
  const query = new URLSearchParams(location.search);
  return Object.fromEntries(FIELDS.map((name) => [name, query.get(name) ?? ""]));
}

const isFiltered = () => FIELDS.some((name) => filters[name]);
const tenantName = (id) => (id === null ? "Platform" : tenants?.name(id) ?? id);
/** The values that the panel of an entry needs. */
const known = () => ({ keys, tenantName: own ? null : tenantName });

/** A moment of the address as the control takes it, in local time. */
function localTime(text) {
  const date = new Date(text);
  if (Number.isNaN(date.valueOf())) return "";
  return new Date(date - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** The same back; empty: no bound. */
const utc = (text) => (text ? new Date(text).toISOString() : "");

function change(values) {
  Object.assign(filters, values);
  history.replaceState(null, "", location.pathname + queryOf(filters));
  attempt(() => load());
}

const hasKeys = (tenant) => Boolean(tenant) && tenant !== PLATFORM.id;

async function learnKeys(tenant) {
  for (const [id, name] of await keyNames(tenant)) keys.set(id, name);
}

/** Offer the authors: the platform, and the keys of the tenant. */
async function offerAuthors() {
  const tenant = own?.id ?? filters.tenant;
  const found = hasKeys(tenant) ? await keyNames(tenant) : new Map();
  const options = [...found].map(([id, name]) => [`key:${id}`, name]);
  offer(form.actor, "Any author", [["platform", "Platform"], ...options], filters.actor);
}

async function changeTenant(tenant) {
  filters.tenant = tenant;
  filters.actor = "";
  await offerAuthors();
  change({});
}

async function showFilters() {
  if (!own) tenants = await tenantField(filters.tenant, changeTenant, [PLATFORM]);
  await offerAuthors();
  offer(form.operation, "Any operation", Object.entries({ ...OPERATIONS, ...EVENTS }), filters.operation);
  for (const name of ["since", "until"]) form[name].value = localTime(filters[name]);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", ({ target: { name, value } }) => {
    if (name !== "tenant") change({ [name]: ["since", "until"].includes(name) ? utc(value) : value });
  });
}

const what = (entry) =>
  h("span", {},
    h("span", { className: "what", title: entry.operation }, operationOf(entry)),
    h("span", { className: "about", title: entry.summary }, entry.summary));

function nameOf(entry) {
  const open = () => attempt(() => openEntry(entry, known()));
  return h("button", { type: "button", className: "linklike name", onclick: open }, moment(entry.at));
}

function columns() {
  return [
    {
      key: "at",
      title: "When",
      cell: nameOf,
    },
    { key: "author", title: "Author", opt: true, cell: (entry) => h("bdi", {}, authorOf(entry, keys)) },
    { key: "what", title: "Change", wide: true, cell: what },
    !own && {
      key: "tenant",
      title: "Tenant",
      cell: ({ tenant_id: id }) => h("bdi", { className: "clip", title: id ?? "" }, tenantName(id)),
    },
    {
      key: "reason",
      title: "Reason",
      opt: true,
      cell: ({ message }) => message && h("span", { className: "clip", title: message }, message),
    },
    { key: "address", title: "From", opt: true, cell: ({ address }) => address && h("code", {}, address) },
  ].filter(Boolean);
}

/** The message in place of rows. A page looks at many changes only, so there can be more to look at. */
function none() {
  if (state.cursor) return { title: "None yet.", text: "Show more looks at older changes." };
  if (!isFiltered()) return { title: "No changes yet.", text: "A change is listed as soon as it is made." };
  return {
    title: "No change matches.",
    text: "Choose others, or clear the filters.",
    action: h("a", { className: "button", href: "/ui/audit" }, "Clear the filters"),
  };
}

/** Read the list from its beginning, or from where it ends. */
async function load(more = false) {
  const turn = ++state.turn;
  const cursor = more ? state.cursor : "";
  const page = await read(`/api/v1/audit${queryOf({ ...filters, limit: LIMIT, cursor })}`);
  const byKeys = page.entries.filter(({ actor, tenant_id: id }) => id && actor.startsWith("key:"));
  await Promise.all([...new Set(byKeys.map((entry) => entry.tenant_id))].map(learnKeys));
  if (turn !== state.turn) return;
  state.rows = more ? [...state.rows, ...page.entries] : page.entries;
  state.cursor = page.next_cursor;
  table.show(state.rows, { more: state.cursor, none: none() });
}

async function start() {
  const [{ tenant, is_platform: isPlatform }, { may }] = await Promise.all([me, mayChange()]);
  own = tenant;
  if (!may && !isPlatform) {
    const why = "Your key has the scope read. The audit log needs a key with the scope admin.";
    return byId("changes").replaceChildren(empty("The audit log is not shown.", why));
  }
  if (isPlatform) showTabs("audit");
  await showFilters();
  const onMore = () => attempt(() => load(true));
  table = dataTable({ label: "Changes", columns: columns(), none: none(), onMore });
  await load();
  return byId("list").replaceChildren(table.node);
}

start().then(ready, fail);
