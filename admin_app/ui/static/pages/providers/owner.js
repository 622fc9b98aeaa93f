// Whose providers and models a page shows: the platform's, or those of one tenant.
import { address, byId, h } from "../../kit/dom.js";
import { read, readAll } from "../../kit/api.js";
import { mayChange, me } from "../../kit/shell.js";

const MOST_TENANTS = 500;

/**
 * The owner: {id, base, name, isPlatform, may, reason}. `base` begins the paths of what it owns; `id` is null
 * for the platform. The address names the tenant (`?tenant=`) that the platform looks at; a tenant's key sees
 * its own.
 */
export async function findOwner() {
  const { is_platform: isPlatform, tenant } = await me;
  const asked = new URLSearchParams(location.search).get("tenant");
  const id = isPlatform ? asked : tenant.id;
  const { may, reason } = await mayChange();
  const base = id ? `/api/v1/tenants/${encodeURIComponent(id)}` : "/api/v1";
  const name = !id ? "" : isPlatform ? (await read(base)).name : tenant.name;
  return { id, base, name, isPlatform, may, reason };
}

/** Offer the platform to look at the providers of a tenant. `path` is that of the page. */
export async function offerOwners(owner, path) {
  if (!owner.isPlatform) return;
  const tenants = await readAll("/api/v1/tenants", "tenants", MOST_TENANTS);
  const go = ({ target }) => location.assign(address(target.value ? `${path}?tenant=${target.value}` : path));
  const options = [["", "The platform"], ...tenants.map((one) => [one.id, one.name])];
  byId("owner").replaceChildren(
    h("label", { htmlFor: "owner-choice", className: "hidden" }, "Owner"),
    h("select", { id: "owner-choice", onchange: go }, options.map(([value, title]) =>
      h("option", { value, selected: value === (owner.id ?? "") }, title))));
}

/** The same address with the owner, for links between these pages. */
export const withOwner = ({ isPlatform, id }, path) => (isPlatform && id ? `${path}?tenant=${id}` : path);

/** Draw what is in `host` again. The focus stays at the element with the same id. */
export function keepFocus(host, drawAgain) {
  const focused = host.contains(document.activeElement) && document.activeElement;
  if (focused) focused.blur();
  drawAgain();
  if (focused?.id) byId(focused.id)?.focus();
}

/** Replace what is in `host`, likewise. */
export const redraw = (host, ...nodes) =>
  keepFocus(host, () => host.replaceChildren(...nodes.flat().filter(Boolean)));
