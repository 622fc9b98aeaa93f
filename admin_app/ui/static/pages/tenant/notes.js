// The notes above the tabs: a tenant that is disabled, and settings that do not work, or may not as intended.
import { h } from "../../kit/dom.js";
import { banner } from "../../kit/states.js";

const MOST = 6;

/** Where a warning is: a link to its rule, to the budgets, or to the chain of the tenant. */
function place({ id, openTab }, { rule_id: rule, rule_path: path, pointer }) {
  if (rule) return h("a", { className: "mono", href: `/ui/tenants/${id}/rules/${rule}` }, path);
  const [tab, words] = pointer.startsWith("/budgets/") ? ["budgets", "Budgets"] : ["plugins", "All rules"];
  return h("button", { type: "button", className: "linklike", onclick: () => openTab(tab) }, words);
}

/** The same words about several budgets are one line. */
const linesOf = (context, found) => [
  ...new Map(
    found.map((one) => {
      const node = h("li", {}, place(context, one), `: ${one.detail}`);
      return [node.textContent, node];
    }),
  ).values(),
];

function list(context, found) {
  const lines = linesOf(context, found);
  const more = lines.length - MOST;
  return [
    h("ul", {}, lines.slice(0, MOST)),
    more > 0 && h("details", {}, h("summary", {}, `${more} more`), h("ul", {}, lines.slice(MOST))),
  ].filter(Boolean);
}

/** The banners. `enable(button)` makes the tenant active. */
export function notes(context, enable) {
  const { tenant, known, isPlatform } = context;
  const broken = known.warnings.filter((one) => one.rejects);
  const doubtful = known.warnings.filter((one) => !one.rejects);
  const button =
    isPlatform &&
    h(
      "button",
      { type: "button", className: "button small", onclick: (event) => enable(event.currentTarget) },
      "Enable",
    );
  return [
    tenant.status !== "active" &&
      banner(
        "warn",
        "This tenant is disabled.",
        "All its requests are rejected, and its keys do not log in.",
        button || "",
      ),
    known.fault &&
      banner(
        "bad",
        "The proxy serves an older state of this tenant.",
        `It cannot use the newest one: ${known.fault}`,
      ),
    broken.length > 0 && banner("bad", "Requests are rejected.", ...list(context, broken)),
    doubtful.length > 0 && banner("warn", "This may not work as intended.", ...list(context, doubtful)),
  ].filter(Boolean);
}
