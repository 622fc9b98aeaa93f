// The tab Usage: what the calls of models used and cost, by day and by what a report is grouped by.
import { address, compact, h, icon, money, whole } from "../../kit/dom.js";
import { read } from "../../kit/api.js";
import { timeChart } from "../../kit/chart.js";
import { choice, segments } from "../../kit/fields.js";
import { attempt, banner, empty } from "../../kit/states.js";
import { dataTable } from "../../kit/table.js";
import { budgetsOf, namesOf } from "../budgets/read.js";
import { budgetBar, statesOf, unitOf, usedOf } from "../budgets/words.js";

const RANGES = [
  ["7", "7 days"],
  ["31", "31 days"],
  ["90", "90 days"],
];
const METRICS = [
  ["cost", "Cost"],
  ["calls", "Calls"],
  ["tokens", "Tokens"],
];
const GROUPS = {
  model: "Model",
  key: "API key",
  user: "User",
  rule: "Rule",
  provider: "Provider",
  tag: "Tag",
  day: "Day",
};
const MOST_TAG_DAYS = 31;
const MOST_BUDGETS = 3;
const DAY_MS = 86_400_000;

const isoDay = (date) => date.toISOString().slice(0, 10);

/** All days of a report, as texts. */
function daysOf({ from, to }) {
  const [first, last] = [Date.parse(from), Date.parse(to)];
  return Array.from({ length: (last - first) / DAY_MS + 1 }, (_, i) => isoDay(new Date(first + i * DAY_MS)));
}

/** The beginning of a day where the browser is, so that the axis names the day that the report means. */
const localMidnight = (day) => new Date(`${day}T00:00:00`).getTime() / 1000;

function seriesOf(metric, rows) {
  const of = (name) => rows.map((row) => Number(row?.[name] ?? 0));
  if (metric === "cost") return [{ name: "Cost", values: of("cost"), color: 1 }];
  if (metric === "calls") return [{ name: "Calls", values: of("calls"), color: 1 }];
  return [
    { name: "Input", values: of("input"), color: 1 },
    { name: "Output", values: of("output"), color: 2 },
  ];
}

const day = (moment) =>
  new Date(moment * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short" });

function drawChart(host, metric, report) {
  const byDay = new Map(report.usage.map((row) => [row.day, row]));
  const days = daysOf(report);
  timeChart(host, {
    times: days.map(localMidnight),
    series: seriesOf(
      metric,
      days.map((day) => byDay.get(day)),
    ),
    stacked: true,
    counts: metric !== "cost",
    format: metric === "cost" ? money : whole,
    axis: metric === "cost" ? money : compact,
    when: day,
    label: `${METRICS.find(([key]) => key === metric)[1]} by day`,
  });
}

/** How a group is shown: ids of keys and rules have names. */
function nameOf(group, names) {
  return (row) => {
    const value = row[group];
    if (!value) return h("span", { className: "muted" }, "None");
    const known = names[group]?.get(value);
    return known ? [known, h("span", { className: "sub" }, value)] : h("span", { className: "mono" }, value);
  };
}

function columns(group, names) {
  const number = (key, title, more) => ({
    key,
    title,
    num: true,
    sort: (row) => Number(row[key]),
    cell: (row) => whole(row[key]),
    ...more,
  });
  return [
    { key: "group", title: GROUPS[group], sort: (row) => row[group], cell: nameOf(group, names) },
    number("calls", "Calls"),
    number("input", "Input tokens", { opt: true }),
    number("cached", "From cache", { opt: true }),
    number("output", "Output tokens", { opt: true }),
    number("unpriced", "Without price", { opt: true }),
    number("cost", "Cost", { cell: (row) => money(row.cost) }),
  ];
}

const nothing = (id) =>
  empty(
    "No calls of models in these days.",
    "Rules for AI count tokens and cost of each call.",
    h(
      "a",
      { className: "button", href: `/ui/tenants/${id}/connect` },
      icon("external"),
      "See how to call them",
    ),
  );

const sum = (rows, name) => rows.reduce((total, row) => total + Number(row[name]), 0);

function totals({ usage }) {
  const part = (title, value) => h("div", {}, h("dt", {}, title), h("dd", {}, value));
  return h(
    "dl",
    { className: "totals" },
    part("Cost", money(sum(usage, "cost"))),
    part("Calls", whole(sum(usage, "calls"))),
    part("Input tokens", whole(sum(usage, "input"))),
    part("Output tokens", whole(sum(usage, "output"))),
  );
}

function unpricedNote({ usage }, isPlatform) {
  const count = sum(usage, "unpriced");
  const link = isPlatform && h("a", { href: "/ui/models" }, "Set prices");
  return (
    count > 0 &&
    banner(
      "warn",
      `The price of ${whole(count)} calls is not known.`,
      "Their cost is missing in these sums.",
      link || "",
    )
  );
}

/** The fullest budgets, as lines with a bar; nothing without any. */
function budgetsCard(id, budgets) {
  const line = (one) =>
    h(
      "li",
      {},
      h("span", { className: "name" }, h("bdi", {}, one.name), " ", statesOf(one, unitOf(one))),
      budgetBar(one.state),
      h("span", { className: "muted" }, usedOf(one)),
    );
  return (
    budgets.length > 0 &&
    h(
      "section",
      { className: "card", "aria-label": "Budgets" },
      h(
        "div",
        { className: "card-head" },
        h("h2", {}, "Budgets"),
        h("a", { className: "button small", href: `/ui/tenants/${id}?tab=budgets` }, "All budgets"),
      ),
      h("ul", { className: "fullest" }, budgets.slice(0, MOST_BUDGETS).map(line)),
    )
  );
}

/** Fill `host` with the usage of the tenant. */
export async function showUsage(host, { id, base, isPlatform }) {
  const chosen = { days: "31", metric: "cost", group: "model" };
  const query = (group) => {
    const most = group.includes("tag") ? Math.min(chosen.days, MOST_TAG_DAYS) : chosen.days;
    const from = isoDay(new Date(Date.now() - (most - 1) * DAY_MS));
    return `${base}/usage?${new URLSearchParams({ from, group_by: group })}`;
  };
  const [names, first, budgets] = await Promise.all([namesOf(base), read(query("day")), budgetsOf(base)]);
  if (!sum(first.usage, "cost")) chosen.metric = "calls"; // no price is known
  const change = (name) => (value) => {
    chosen[name] = value;
    return attempt(load);
  };
  const ranges = segments("Days", chosen.days, RANGES, { onchange: change("days") });
  const metrics = segments("What the chart shows", chosen.metric, METRICS, {
    small: true,
    onchange: change("metric"),
  });
  const groups = choice(chosen.group, Object.entries(GROUPS), {
    id: "usage-group",
    onchange: ({ target }) => change("group")(target.value),
  });
  const [chart, bare, table, note, top] = ["chart", "", "", "notes", ""].map((className) =>
    h("div", { className }),
  );
  const csv = h("a", { className: "button small", download: "usage.csv" }, icon("external"), "CSV");

  async function load() {
    const { group, metric } = chosen;
    const [byDay, grouped] = await Promise.all([read(query("day")), read(query(group))]);
    csv.href = address(`${query(group === "day" ? "day" : `day,${group}`)}&format=csv`);
    top.replaceChildren(totals(byDay));
    note.replaceChildren(...[unpricedNote(byDay, isPlatform)].filter(Boolean));
    chart.hidden = !byDay.usage.length;
    if (byDay.usage.length) drawChart(chart, metric, byDay);
    bare.replaceChildren(...(byDay.usage.length ? [] : [nothing(id)]));
    const made = dataTable({
      label: "Usage",
      columns: columns(group, names),
      sort: { key: "cost", down: true },
      none: { title: "No calls of models in these days.", text: "Choose more days." },
    });
    made.show(grouped.usage);
    table.replaceChildren(made.node);
  }
  host.replaceChildren(
    note,
    budgetsCard(id, budgets) || "",
    h(
      "section",
      { className: "card", "aria-label": "Usage by day" },
      h(
        "div",
        { className: "card-head" },
        h("h2", {}, "Usage by day"),
        h("div", { className: "actions" }, metrics.node, ranges.node),
      ),
      top,
      chart,
      bare,
    ),
    h(
      "section",
      { className: "card flush", "aria-label": "Usage by group" },
      h(
        "div",
        { className: "card-head" },
        h("h2", {}, "Usage by group"),
        h(
          "div",
          { className: "actions" },
          h("label", { htmlFor: "usage-group", className: "muted" }, "Group by"),
          groups,
          csv,
        ),
      ),
      table,
    ),
  );
  await load();
}
