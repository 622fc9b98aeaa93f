// The filters of the live list. They stand in the address, so that it shows others the same list.
import { byId, h } from "../../kit/dom.js";
import { listOf, listTenants } from "./names.js";

const FIELDS = ["status", "source", "rule", "key", "model", "q"];

/** The filters in the address: {tenant, status, source, rule, key, model, q, before}. */
export function fromAddress() {
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

function offer(select, first, options, value) {
  const known = !value || options.some(([one]) => one === value);
  const more = known ? [] : [[value, value]];
  select.replaceChildren(
    h("option", { value: "" }, first),
    ...[...options, ...more].map(([one, text]) => h("option", { value: one }, text)),
  );
  select.value = value;
}

/**
 * The form of filters. `onChange(filters)` is called when one changes. `own` is the id of the tenant whose key
 * the caller has; null for the platform. Returns {filters, names}: `names` gives words for ids.
 */
export async function filterForm({ own, onChange }) {
  const form = byId("filters");
  const filters = fromAddress();
  const words = { tenants: new Map(), keys: new Map() };
  const bySubdomain = new Map();

  async function offerOf(tenant) {
    const { rules, keys } = tenant
      ? await listOf(tenant).catch(() => ({ rules: [], keys: [] }))
      : { rules: [], keys: [] };
    words.keys = new Map(keys.map((key) => [key.id, key.name]));
    offer(
      form.rule,
      "Any rule",
      rules.map((rule) => [rule.id, rule.name ?? rule.path]),
      filters.rule,
    );
    offer(
      form.key,
      "Any key",
      keys.map((key) => [key.id, `${key.name} (${key.prefix})`]),
      filters.key,
    );
    for (const select of [form.rule, form.key]) {
      select.disabled = !tenant;
      select.title = tenant ? "" : "Choose a tenant first.";
    }
  }

  async function changeTenant() {
    const text = form.tenant.value.trim();
    const id = text && (bySubdomain.get(text) ?? text);
    if (id === filters.tenant) return false;
    Object.assign(filters, { tenant: id, rule: "", key: "" });
    await offerOf(id);
    return true;
  }

  async function apply({ target }) {
    if (target === form.tenant ? !(await changeTenant()) : filters[target.name] === target.value.trim())
      return;
    if (target !== form.tenant) filters[target.name] = target.value.trim();
    filters.before = "";
    history.replaceState(null, "", location.pathname + queryOf(filters));
    onChange(filters);
  }

  if (own) filters.tenant = "";
  else {
    const tenants = await listTenants();
    words.tenants = new Map(tenants.map((one) => [one.id, one.name]));
    for (const one of tenants) bySubdomain.set(one.subdomain, one.id);
    byId("tenants").replaceChildren(...tenants.map((one) => h("option", { value: one.subdomain }, one.name)));
    const chosen = tenants.find((one) => one.id === filters.tenant);
    form.tenant.value = chosen?.subdomain ?? filters.tenant;
    byId("tenant-field").hidden = false;
  }
  for (const name of ["status", "source", "model", "q"]) form[name].value = filters[name];
  await offerOf(own ?? filters.tenant);

  let pending = 0;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", apply);
  form.addEventListener("input", (event) => {
    if (event.target.name !== "q") return;
    clearTimeout(pending);
    pending = setTimeout(() => apply(event), 300);
  });
  return {
    filters,
    names: {
      tenant: (id) => words.tenants.get(id) ?? id,
      key: (id) => words.keys.get(id),
    },
  };
}
