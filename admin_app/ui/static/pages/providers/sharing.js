// Which tenants may use a provider or a model of the platform.
import { h, plural } from "../../kit/dom.js";
import { field, lineList, lines, segments } from "../../kit/fields.js";

const CHOICES = [["all", "All tenants"], ["some", "Some"], ["none", "None"]];

/** A field for `shared`: "all", "none", or {tenants, tiers}. */
export function sharing(value) {
  const some = typeof value === "object" ? value : { tenants: [], tiers: [] };
  const tiers = field("Tiers", lineList(some.tiers), { pointer: "/shared/tiers", width: "w6" });
  const tenants = field("Ids of tenants", lineList(some.tenants),
    { pointer: "/shared/tenants", width: "w6" });
  const lists = h("div", { className: "fields" }, tiers.node, tenants.node);
  const show = (kind) => (lists.hidden = kind !== "some");
  const chosen = typeof value === "object" ? "some" : value;
  const kind = segments("Shared with", chosen, CHOICES, { onchange: show });
  show(kind.read());
  const node = h("div", { className: "field w12", "data-pointer": "/shared" },
    h("span", { className: "label" }, "Shared with"), h("div", {}, kind.node), lists,
    h("p", { className: "error" }));
  const read = () => (kind.read() === "some"
    ? { tenants: lines(tenants.control), tiers: lines(tiers.control) }
    : kind.read());
  return { node, read };
}

/** The same in words. */
export function sharedWith(value) {
  if (value === "all") return "All tenants";
  if (value === "none") return "Nobody";
  const tenants = value.tenants.length ? [plural(value.tenants.length, "tenant")] : [];
  return [...value.tiers.map((tier) => `Tier ${tier}`), ...tenants].join(", ") || "Nobody";
}
