// The first page: key figures, requests over time, what needs attention, the busiest tenants, the providers.
import {
  address, ago, amount, badge, byId, clock, compact, h, icon, millis, money, percent, plural, seconds, whole,
} from "../kit/dom.js";
import { read } from "../kit/api.js";
import { sparkline, timeChart } from "../kit/chart.js";
import { poll } from "../kit/poll.js";
import { me } from "../kit/shell.js";
import { empty } from "../kit/states.js";
import { dataTable } from "../kit/table.js";
import { shareOf, sized } from "./budgets/words.js";

const SECONDS = { "15m": 5, "1h": 5, "6h": 30, "24h": 60 }; // between two readings of a window
const MANY = 20; // requests; shares of fewer say nothing
const [MANY_FAIL, MANY_REJECTED] = [0.02, 0.1]; // shares of requests that need attention
const MANY_CALLS_FAIL = 0.2; // of calls of a provider; a few are repeated elsewhere
const STATES = {
  ok: ["good", "check"],
  degraded: ["warn", "warn"],
  down: ["bad", "warn"],
  disabled: ["", ""],
};
const ON_SPENT = { reject: "are rejected", alert: "still pass", downgrade: "go on with another model" };
const MOST_TROUBLES = 4; // that are shown at once
const view = { window: "1h", measure: "outcome" };
let found;

const failedOf = (figures) => Object.values(figures.failed).reduce((a, b) => a + b, 0);
const servedOf = (figures) => figures.requests - figures.rejected - failedOf(figures);
const share = (part, whole) => (whole ? part / whole : 0);
const steps = (value) => found.overview.minutes.map(value);

/** How a figure differs from the window before, by arrow and word. `worse`: the sign that is bad, or 0. */
function change(now, before, worse) {
  if (before == null || now == null) return h("p", { className: "change" }, "No figures to compare with");
  const relative = before ? (now - before) / before : now ? Infinity : 0;
  if (Math.abs(relative) < 0.005) return h("p", { className: "change" }, "Same as before");
  const tone = worse === 0 ? "" : Math.sign(relative) === worse ? "worse" : "better";
  const part = Math.abs(relative);
  const size = Number.isFinite(part) ? percent(part, part < 0.1 ? 1 : 0) : "";
  return h("p", { className: "change" },
    h("b", { className: tone }, `${relative > 0 ? "▲" : "▼"} ${size}`),
    h("span", { className: "opt" }, relative > 0 ? " more than before" : " less than before"));
}

function tile(name, value, values, color, difference) {
  const [figure, unit] = value.split(" ");
  return h("div", { className: "tile" },
    h("h2", {}, name),
    h("p", { className: "value" }, figure, unit && h("small", {}, unit)),
    difference,
    sparkline(values.slice(0, -1), color)); // the last step has only begun
}

function showTiles() {
  const { now, before } = found.overview;
  const errors = (one) => one && share(failedOf(one), one.requests);
  const cost = (one) => one && Number(one.cost_usd);
  byId("tiles").replaceChildren(
    tile("Requests", compact(now.requests), steps((one) => one.requests), 1,
      change(now.requests, before?.requests, 0)),
    tile("Errors", percent(errors(now), 2), steps(errors), 3, change(errors(now), errors(before), 1)),
    tile("Added latency, p95", millis(now.added_ms.p95), steps((one) => one.added_ms.p95 ?? 0), 2,
      change(now.added_ms.p95, before?.added_ms.p95, 1)),
    tile("First byte, p95", millis(now.ttft_ms.p95), steps((one) => one.ttft_ms.p95 ?? 0), 2,
      change(now.ttft_ms.p95, before?.ttft_ms.p95, 1)),
    tile("Cost", money(now.cost_usd), steps(cost), 1, change(cost(now), cost(before), 0)));
}

const TITLES = { outcome: "Requests", latency: "Latency added by the gateway", table: "Requests" };

function showChart() {
  byId("chart-title").textContent = TITLES[view.measure];
  const host = byId("chart");
  if (view.measure === "table") return host.replaceChildren(figuresTable());
  const times = steps((one) => Date.parse(one.time) / 1000);
  return timeChart(host, view.measure === "latency" ? latency(times) : outcome(times));
}

const outcome = (times) => ({
  label: "Requests over time",
  times,
  stacked: true,
  counts: true,
  format: compact,
  series: [
    { name: "Served", values: steps(servedOf), color: 1 },
    { name: "Rejected by the gateway", values: steps((one) => one.rejected), color: 2 },
    { name: "Failed", values: steps(failedOf), color: 3 },
  ],
});

const latency = (times) => ({
  label: "Latency added by the gateway over time",
  times,
  format: millis,
  series: [["p50", 1], ["p95", 2], ["p99", 3]].map(([name, color]) =>
    ({ name, color, values: steps((one) => one.added_ms[name]) })),
});

function figuresTable() {
  const isLong = view.window === "24h";
  const number = (key, title, cell) => ({ key, title, num: true, cell });
  const table = dataTable({
    label: "Requests over time as a table",
    columns: [
      { key: "time", title: "Time", cell: (one) => clock(one.time, isLong) },
      number("requests", "Requests", (one) => whole(one.requests)),
      number("rejected", "Rejected", (one) => whole(one.rejected)),
      number("failed", "Failed", (one) => whole(failedOf(one))),
      number("added", "Added, p95", (one) => millis(one.added_ms.p95)),
      number("first", "First byte, p95", (one) => millis(one.ttft_ms.p95)),
      number("cost", "Cost", (one) => money(one.cost_usd)),
    ],
    none: { title: "No figures.", text: "" },
  });
  table.show([...found.overview.minutes].reverse());
  table.node.classList.add("chart-table");
  return table.node;
}

const tenantsTable = dataTable({
  label: "Busiest tenants",
  sort: { key: "requests", down: true },
  columns: [
    {
      key: "name",
      title: "Tenant",
      wide: true,
      sort: (one) => one.name ?? "",
      cell: (one) => one.name === null
        ? h("span", { className: "muted" }, "Deleted tenant")
        : [h("a", { className: "name", href: `/ui/tenants/${one.tenant_id}` }, one.name),
            h("span", { className: "sub" }, one.subdomain)],
    },
    {
      key: "requests",
      title: "Requests",
      num: true,
      sort: (one) => one.requests,
      cell: (one) => whole(one.requests),
    },
    {
      key: "rejected",
      title: "Rejected",
      num: true,
      opt: true,
      sort: (one) => share(one.rejected, one.requests),
      cell: (one) => percent(share(one.rejected, one.requests)),
    },
    {
      key: "failed",
      title: "Errors",
      num: true,
      sort: (one) => share(one.failed, one.requests),
      cell: (one) => {
        const part = share(one.failed, one.requests);
        return part > MANY_FAIL ? badge(percent(part), "bad", "warn") : percent(part);
      },
    },
    {
      key: "cost",
      title: "Cost",
      num: true,
      sort: (one) => Number(one.cost_usd),
      cell: (one) => money(one.cost_usd),
    },
  ],
  none: {
    title: "No requests yet.",
    text: "Tenants are listed once they call the proxy.",
  },
});

function showProviders() {
  const { providers } = found.health;
  byId("providers").className = "";
  if (!providers.length) {
    const add = h("a", { className: "button small", href: "/ui/providers" }, "Add a provider");
    byId("providers").replaceChildren(
      empty("No providers of the platform.", "Tenants may have their own: see their pages.", add));
    return;
  }
  byId("providers").replaceChildren(h("ul", { className: "states" }, providers.map((one) => {
    const [tone, picture] = STATES[one.state];
    const failed = one.failed ? `${whole(one.failed)} of ${plural(one.calls, "call")} failed` : "";
    const time = [one.calls ? "" : "no calls", one.p95_ms == null ? "" : `p95 ${millis(one.p95_ms)}`, failed];
    const limited = one.rate_limited_per_minute ? ` · ${one.rate_limited_per_minute} × 429/min` : "";
    const keys = one.keys ? ` · keys ${one.keys.usable}/${one.keys.total}` : "";
    return h("li", {},
      h("a", { className: "name", href: `/ui/providers?provider=${encodeURIComponent(one.id)}` }, one.name),
      badge(one.state, tone, picture),
      h("span", { className: "muted" }, `${time.filter(Boolean).join(" · ")}${limited}${keys}`));
  })));
}

/** The things that need attention, the worst first: [tone, title, text, path]. */
function troubles() {
  const list = [];
  for (const [id, why] of Object.entries(found.faults)) {
    const text = `The proxies serve its last good version: ${why}`;
    list.push(["bad", "A tenant cannot be read", text, `/ui/tenants/${id}`]);
  }
  for (const one of found.health.providers) {
    if (one.calls >= MANY && one.state === "ok" && share(one.failed, one.calls) > MANY_CALLS_FAIL) {
      const text = `${whole(one.failed)} of ${plural(one.calls, "call")} in the last minutes.`;
      const title = `${one.name}: ${percent(share(one.failed, one.calls))} of calls fail`;
      list.push(["warn", title, text, "/ui/providers"]);
    }
    if (one.state !== "down" && one.state !== "degraded") continue;
    const time = one.since ? ` For ${ago(one.since).replace(" ago", "")}.` : "";
    const tone = one.state === "down" ? "bad" : "warn";
    list.push([tone, `${one.name} is ${one.state}`, `${one.reason}${time}`, "/ui/providers"]);
  }
  for (const one of found.overview.tenants.filter((each) => each.requests >= MANY && each.name !== null)) {
    const [failed, rejected] = [share(one.failed, one.requests), share(one.rejected, one.requests)];
    const [title, path] = [`${one.name}: `, `/ui/traffic?tenant=${one.tenant_id}`];
    if (failed > MANY_FAIL) {
      const text = `${whole(one.failed)} of ${plural(one.requests, "request")}.`;
      list.push(["bad", `${title}${percent(failed)} of requests fail`, text, `${path}&status=5xx`]);
    }
    if (rejected > MANY_REJECTED) {
      const text = `${whole(one.rejected)} of ${plural(one.requests, "request")}.`;
      const name = `${title}${percent(rejected)} of requests are rejected`;
      list.push(["warn", name, text, `${path}&status=4xx`]);
    }
  }
  list.push(...found.overview.budgets.map(ofBudget));
  return list.sort(([a], [b]) => a.localeCompare(b));
}

/** A budget of which little is left. */
function ofBudget(one) {
  const isSpent = shareOf(one) >= 1;
  const state = isSpent ? "is spent" : `is used to ${percent(shareOf(one), 0)}`;
  const held = Number(one.held) ? `, ${amount(one.held, one.unit)} held` : "";
  const then = isSpent ? ` Calls ${ON_SPENT[one.on_spent]}.` : "";
  const text = `${amount(one.used, one.unit)} of ${sized(one.limit, one.unit)} used${held}.${then}`;
  const tone = isSpent && one.on_spent === "reject" ? "bad" : "warn";
  return [tone, `${one.tenant_name}: the budget ${one.name} ${state}`, text,
    `/ui/tenants/${one.tenant_id}?tab=budgets`];
}

function showAttention() {
  const list = troubles();
  const nothing = h("li", {}, icon("check", "good"), h("b", {}, "Nothing."),
    h("span", {}, "All providers serve, few requests of each tenant fail or are rejected, and no budget is "
      + "nearly spent."));
  const shown = view.all ? list : list.slice(0, MOST_TROUBLES);
  const lines = shown.map(([tone, title, text, path]) =>
    h("li", {}, icon(tone === "bad" ? "warn" : "info", tone),
      h("a", { className: "name", href: path }, title), h("span", {}, text)));
  const rest = list.length - shown.length;
  const more = h("button", { type: "button", className: "button small quiet", onclick: showAll },
    `${rest} more`);
  byId("attention").replaceChildren(
    ...(lines.length ? lines : [nothing]), ...(rest ? [h("li", { className: "rest" }, more)] : []));
}

function showAll() {
  view.all = true;
  showAttention();
  byId("attention").querySelectorAll("a")[MOST_TROUBLES].focus();
}

async function load() {
  const [overview, health, state] = await Promise.all([
    read(`/api/v1/overview?window=${view.window}`),
    read("/api/v1/providers/health"),
    read("/readyz").catch((error) => error.problem ?? {}),
  ]);
  found = { overview, health, faults: state.store?.faults ?? {} };
  byId("fresh").textContent = `Updated at ${seconds(overview.to)}`;
  showTiles();
  if (!byId("chart").matches(":hover, :focus-within")) showChart();
  showAttention();
  byId("tenants-title").textContent = `Busiest tenants${view.window.endsWith("m") ? "" : ", last hour"}`;
  byId("tenants").className = "";
  if (!tenantsTable.node.isConnected) byId("tenants").replaceChildren(tenantsTable.node);
  tenantsTable.show(overview.tenants);
  showProviders();
}

function start() {
  let polling = poll(load, { seconds: SECONDS[view.window] });
  byId("window").addEventListener("change", async (event) => {
    view.window = event.target.value;
    polling.stop();
    polling = poll(load, { seconds: SECONDS[view.window] });
    await polling.first;
    showChart();
  });
  byId("measure").addEventListener("change", (event) => {
    view.measure = event.target.value;
    showChart();
  });
  byId("live").addEventListener("click", ({ currentTarget }) => {
    polling.pause(!polling.paused);
    currentTarget.setAttribute("aria-pressed", !polling.paused);
  });
}

const { is_platform, tenant } = await me;
if (is_platform) start();
else location.replace(address(`/ui/tenants/${tenant.id}`));
