// The filters of the live list. They stand in the address, so that it shows others the same list.
import { byId, h } from "../../kit/dom.js";
import { debounced } from "../../kit/poll.js";
import { listOf } from "./names.js";
import { tenantField } from "./tenant_field.js";

const FIELDS = ["status", "source", "rule", "key", "model", "q"];

/** The filters in the address: {tenant, status, source, rule, key, model, q, before}. */
function fromAddress() {
  const query = new URLSearchParams(location.search);
  return Object.fromEntries(["tenant", ...FIELDS, "before"].map((name) => [name, query.get(name) ?? ""]));
}

/** The query of filters, with a question mark if there is any. */
export function queryOf(filters) {
  const query = new URLSearchParams(Object.entries(filters).filter(([, value]) => value)).toString();
  return query && `?${query}`;
}

/** Whether any filter but the tenant is set. */
export const isFiltered = (filters) => FIELDS.some((name) => filters[name]);

/** Offer `options`, pairs of a value and a text. One that is gone stays chosen, with its value as text. */
export function offer(select, first, options, value) {
  const isKnown = !value || options.some(([one]) => one === value);
  const all = [["", first], ...options, ...(isKnown ? [] : [[value, value]])];
  select.replaceChildren(...all.map(([one, text]) => h("option", { value: one }, text)));
  select.value = value;
}

/** Offer the rules and keys of a tenant; none without one. Resolves to the names of keys by their ids. */
async function offerOf(form, tenant, filters) {
  const none = { rules: [], keys: [] };
  const { rules, keys } = tenant ? await listOf(tenant).catch(() => none) : none;
  const ofRules = rules.map((rule) => [rule.id, rule.path]);
  const ofKeys = keys.map((key) => [key.id, `${key.name} (${key.prefix})`]);
  offer(form.rule, "Any rule", ofRules, filters.rule);
  offer(form.key, "Any key", ofKeys, filters.key);
  for (const select of [form.rule, form.key]) {
    select.disabled = !tenant;
    select.title = tenant ? "" : "Choose a tenant first.";
  }
  return new Map(keys.map((key) => [key.id, key.name]));
}

/** Call `onField(field)` when a field has another value: at once, or after a pause while somebody types. */
function watch(form, onField) {
  const soon = debounced(onField);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", ({ target }) => onField(target));
  form.addEventListener("input", ({ target }) => {
    if (target === form.q) soon(target);
  });
}

/**
 * The form of filters. `onChange()` is called when one changes. `own` is the id of the tenant whose key the
 * caller has; null for the platform. Returns {filters, names}: `names` gives the words for ids, {tenant(id),
 * key(id)}.
 */
export async function filterForm({ own, onChange }) {
  const form = byId("filters");
  const filters = fromAddress();
  let keys = new Map();
  let tenants;

  function change(values) {
    Object.assign(filters, values, { before: "" });
    history.replaceState(null, "", location.pathname + queryOf(filters));
    onChange();
  }

  async function changeTenant(tenant) {
    keys = await offerOf(form, tenant, { rule: "", key: "" });
    change({ tenant, rule: "", key: "" });
  }

  if (own) filters.tenant = "";
  else tenants = await tenantField(filters.tenant, changeTenant);
  for (const name of ["status", "source", "model", "q"]) form[name].value = filters[name];
  keys = await offerOf(form, own ?? filters.tenant, filters);
  watch(form, ({ name, value }) => {
    if (name !== "tenant" && filters[name] !== value.trim()) change({ [name]: value.trim() });
  });
  return { filters, names: { tenant: (id) => tenants?.name(id) ?? id, key: (id) => keys.get(id) } };
}
