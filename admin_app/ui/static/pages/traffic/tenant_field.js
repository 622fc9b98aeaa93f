// The field by which the platform chooses a tenant: its options are found as one types.
import { byId, h } from "../../kit/dom.js";
import { read } from "../../kit/api.js";
import { debounced } from "../../kit/poll.js";

const MOST = 500; // tenants that one call looks at

/**
 * Offer the tenants in the field #tenant. `chosen` is the id of one, or empty; `onChange(id)` is called when
 * another one is chosen. `more` is offered besides, {id, subdomain, name} each.
 *
 * Returns {name(id)}: the name of a tenant, or its id while the name is not known.
 */
export async function tenantField(chosen, onChange, more = []) {
  const input = byId("tenant");
  const known = new Map(more.map((one) => [one.id, one])); // by id
  let current = chosen;

  async function find(query) {
    const { tenants } = await read(`/api/v1/tenants?${new URLSearchParams({ limit: MOST, ...query })}`);
    for (const one of tenants) known.set(one.id, one);
    byId("tenants").replaceChildren(
      ...[...more, ...tenants].map((one) => h("option", { value: one.subdomain }, one.name)),
    );
  }

  const named = (text) => [...known.values()].find((one) => one.subdomain === text);

  const findSoon = debounced((text) => find(text ? { text } : {}).catch(() => {}));

  function search() {
    const text = input.value.trim();
    if (named(text)) findSoon.cancel();
    else findSoon(text);
  }

  async function choose() {
    const text = input.value.trim();
    findSoon.cancel();
    if (text && !named(text) && !known.has(text)) await find({ text }).catch(() => {});
    const id = named(text)?.id ?? text;
    if (id === current) return;
    current = id;
    onChange(id);
  }

  await find({});
  if (chosen && !known.has(chosen)) {
    const path = `/api/v1/tenants/${encodeURIComponent(chosen)}`;
    known.set(chosen, await read(path).catch(() => ({ id: chosen, subdomain: chosen, name: chosen })));
  }
  input.value = chosen && known.get(chosen).subdomain;
  input.addEventListener("input", search);
  input.addEventListener("change", choose);
  byId("tenant-field").hidden = false;
  return { name: (id) => known.get(id)?.name ?? id };
}
