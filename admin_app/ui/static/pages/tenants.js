// The page Tenants: the customers of the platform, with their figures of the last hour.
import {
  address,
  badge,
  byId,
  dateTime,
  h,
  icon,
  money,
  percent,
  plural,
  setTitle,
  whole,
} from "../kit/dom.js";
import { read } from "../kit/api.js";
import { segments, text } from "../kit/fields.js";
import { debounced, poll } from "../kit/poll.js";
import { me } from "../kit/shell.js";
import { attempt, ready } from "../kit/states.js";
import { dataTable } from "../kit/table.js";
import { addTenant } from "./tenants/add.js";

const PAGE = 50;
const MOST_CALLS = 10; // of one search: each reads up to 1,000 tenants
const FIGURES_SECONDS = 15;
const MANY_ERRORS = 0.01;
const STATUSES = [
  ["", "All"],
  ["active", "Active"],
  ["disabled", "Disabled"],
];

const asked = new URLSearchParams(location.search);
const filter = { text: asked.get("text") ?? "", status: asked.get("status") ?? "" };
const state = { rows: [], cursor: null, figures: new Map(), search: 0 };

const figure = (row, name) => state.figures.get(row.id)?.[name] ?? 0;
const statusBadge = (status) => (status === "active" ? badge("Active", "good") : badge("Disabled", "warn"));

const COLUMNS = [
  { key: "name", title: "Tenant", sort: (row) => row.name, cell: nameOf, wide: true },
  { key: "status", title: "Status", cell: ({ status }) => statusBadge(status) },
  { key: "tier", title: "Tier", sort: (row) => row.tier, opt: true, cell: (row) => row.tier },
  {
    key: "requests",
    title: "Requests, 1 h",
    num: true,
    sort: requestsOf,
    cell: (row) => whole(requestsOf(row)),
  },
  { key: "errors", title: "Errors", num: true, sort: (row) => figure(row, "failed"), cell: errorsOf },
  { key: "rejected", title: "Rejected", num: true, opt: true, cell: (row) => whole(figure(row, "rejected")) },
  { key: "cost", title: "Cost, 1 h", num: true, opt: true, cell: (row) => money(figure(row, "cost_usd")) },
  {
    key: "created",
    title: "Created",
    opt: true,
    sort: (row) => row.created_at,
    cell: (row) => dateTime(row.created_at),
  },
];

function nameOf({ id, name, subdomain }) {
  return [
    h("a", { className: "name", href: `/ui/tenants/${id}` }, name),
    h("span", { className: "sub" }, subdomain),
  ];
}

function requestsOf(row) {
  return figure(row, "requests");
}

function errorsOf(row) {
  const [failed, requests] = [figure(row, "failed"), requestsOf(row)];
  if (!failed) return "0";
  const share = failed / requests;
  return [whole(failed), " ", badge(percent(share), share >= MANY_ERRORS ? "bad" : "")];
}

const table = dataTable({ label: "Tenants", columns: COLUMNS, onMore: () => more() });
const addButton = () =>
  h(
    "button",
    { type: "button", className: "button primary", onclick: () => addTenant() },
    icon("plus"),
    "Add a tenant",
  );

function none() {
  if (!filter.text && !filter.status) {
    const text =
      "A tenant is a customer or a team. It has a subdomain, API keys, rules and limits of its own.";
    return { title: "No tenants yet.", text, action: addButton() };
  }
  const clear = h(
    "button",
    { type: "button", className: "button", onclick: clearFilter },
    "Clear the filter",
  );
  return { title: "No tenant matches.", text: "Names, subdomains and ids are searched.", action: clear };
}

function draw() {
  table.show(state.rows, { more: state.cursor !== null, none: none() });
  const shown = plural(state.rows.length, "tenant");
  byId("count").textContent = state.rows.length ? `${shown}${state.cursor === null ? "" : ", and more"}` : "";
}

/** One page. A search may find few in many tenants, so it goes on until the page is full. */
async function page(cursor) {
  const found = [];
  let calls = 0;
  do {
    const query = new URLSearchParams({ limit: PAGE });
    for (const [name, value] of Object.entries({ ...filter, cursor })) if (value) query.set(name, value);
    const document = await read(`/api/v1/tenants?${query}`);
    found.push(...document.tenants);
    cursor = document.next_cursor;
    calls += 1;
  } while (cursor !== null && found.length < PAGE && calls < MOST_CALLS);
  return [found, cursor];
}

/** Read from the beginning. An older search that ends later changes nothing. */
async function search() {
  const own = ++state.search;
  const query = new URLSearchParams(Object.entries(filter).filter(([, value]) => value));
  history.replaceState(null, "", address(`/ui/tenants${query.size ? `?${query}` : ""}`));
  await attempt(async () => {
    const [rows, cursor] = await page(null);
    if (own === state.search) Object.assign(state, { rows, cursor });
  });
  draw();
}

async function more() {
  await attempt(async () => {
    const [rows, cursor] = await page(state.cursor);
    Object.assign(state, { rows: [...state.rows, ...rows], cursor });
  });
  draw();
}

async function figures() {
  const { tenants } = await read("/api/v1/overview?window=1h&tenants=1000");
  state.figures = new Map(tenants.map((one) => [one.tenant_id, one]));
  draw();
}

const field = text(filter.text, {
  type: "search",
  placeholder: "Name, subdomain or id",
  ariaLabel: "Filter tenants",
});
const searchSoon = debounced(search);
field.addEventListener("input", () => {
  filter.text = field.value.trim();
  searchSoon();
});

function statuses() {
  const onchange = (value) => {
    filter.status = value;
    search();
  };
  return segments("Status", filter.status, STATUSES, { onchange }).node;
}

function clearFilter() {
  Object.assign(filter, { text: "", status: "" });
  field.value = "";
  byId("statuses").replaceChildren(statuses());
  field.focus();
  search();
}

async function start() {
  const { is_platform, tenant } = await me;
  if (!is_platform) return location.replace(address(`/ui/tenants/${tenant.id}`));
  setTitle("Tenants");
  byId("actions").replaceChildren(addButton());
  byId("filter").replaceChildren(
    h("div", { className: "search" }, field),
    h("div", { id: "statuses" }, statuses()),
  );
  await search();
  byId("list").replaceChildren(table.node);
  await poll(figures, { seconds: FIGURES_SECONDS, quiet: table.node }).first;
  return ready();
}

await attempt(start);
ready();
