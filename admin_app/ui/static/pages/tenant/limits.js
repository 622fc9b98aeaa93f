// The tab Limits: every limit of the tenant with what is used of it.
import { amount, badge, h, meter, quantity, wait, whole } from "../../kit/dom.js";
import { read } from "../../kit/api.js";
import { poll } from "../../kit/poll.js";
import { dataTable } from "../../kit/table.js";
import { whatIfCard } from "./what_if.js";

const NEAR = 0.8;
const UNITS = { requests: "requests", concurrent: "at the same time" };

const shareOf = ({ used, limit }) => (used === null ? -1 : limit ? used / limit : 1);

/** Why there is no number. */
const uncounted = (name, unit) =>
  name === "tier" && unit === "concurrent" ? "Counted by each worker" : "Counted per client";

/** The share of a limit that is used, as a bar with a number. */
function bar({ used, limit, name, unit }) {
  if (used === null) return h("span", { className: "muted" }, uncounted(name, unit));
  const share = shareOf({ used, limit });
  return h(
    "div",
    { className: "usage" },
    meter(share),
    h("span", { className: "num" }, `${amount(used, unit)} / ${quantity(limit, unit)}`),
    share >= 1 ? badge("Full", "bad") : share >= NEAR && badge("Near the limit", "warn"),
  );
}

function appliesTo(id) {
  return ({ rule_id: rule, rule_path: path, key_id: key, key_name: name }) => [
    rule ? h("a", { className: "mono", href: `/ui/tenants/${id}/rules/${rule}` }, path ?? rule) : "All rules",
    key && h("span", { className: "sub" }, `key ${name || key}`),
  ];
}

const most = ({ limit, unit, window }) =>
  window ? `${quantity(limit, unit)} in ${window}` : `${whole(limit)} ${UNITS[unit] ?? unit}`;
/** Fill `host` with the limits, and keep them new. Returns what ends that. */
export async function showLimits(host, context) {
  const { id, base } = context;
  const trial = await whatIfCard(context);
  const columns = [
    { key: "name", title: "Limit", sort: (row) => row.name, cell: (row) => h("b", {}, row.name) },
    { key: "used", title: "Used", sort: shareOf, cell: bar },
    { key: "to", title: "Applies to", cell: appliesTo(id) },
    { key: "most", title: "Most", num: true, sort: (row) => Number(row.limit), opt: true, cell: most },
    {
      key: "reset",
      title: "More room in",
      num: true,
      opt: true,
      cell: ({ used, reset_after_ms: ms }) =>
        used && ms ? wait(ms) : h("span", { className: "muted" }, "—"),
    },
  ];
  const none = {
    title: "No limits.",
    text: "Limits come from the tier, and from the plugin rate_limiter of the tenant and its rules.",
  };
  const table = dataTable({ label: "Limits", columns, none });
  const load = async () => {
    const { limits } = await read(`${base}/rate-limits?each_key=true`);
    table.show([...limits].sort((a, b) => shareOf(b) - shareOf(a)));
  };
  host.replaceChildren(
    h(
      "section",
      { className: "card flush", "aria-label": "Limits" },
      h(
        "div",
        { className: "card-head" },
        h("h2", {}, "Limits"),
        h("p", { className: "muted" }, "Of the tier, of this tenant and of its rules. The fullest is first."),
      ),
      table.node,
    ),
    trial,
  );
  const polling = poll(load, { quiet: table.node });
  await polling.first;
  if (location.hash === "#try") trial.scrollIntoView();
  return polling.stop;
}
