// A budget is added and changed in a side panel. Fields that are seldom changed are folded.
import { h, toast } from "../../kit/dom.js";
import { read, write } from "../../kit/api.js";
import {
  choice, field, nodesOf, numberOrText, pairs, section, text, toggle, valuesOf,
} from "../../kit/fields.js";
import { openPanel } from "../../kit/panel.js";
import { accepted } from "../../kit/saving.js";
import { increasesField } from "./increases.js";
import { unitOf } from "./words.js";

const UNITS = [["usd", "US dollars"], ["tokens", "Tokens"], ["requests", "Requests"]];
const DAYS = "days";
const PERIODS = [
  ["day", "Day"],
  ["week", "Week, from Monday"],
  ["month", "Month"],
  ["quarter", "Quarter"],
  ["year", "Year"],
  ["total", "None: it never resets"],
  [DAYS, "A number of days"],
];
const ON_SPENT = [
  ["reject", "Reject calls"],
  ["downgrade", "Go on with another model"],
  ["alert", "Only count"],
];
const OVERRUN = [["cut", "End it"], ["finish", "Let it end"]];
const ON_ERROR = [
  ["local", "A share for each worker"],
  ["closed", "Reject calls"],
  ["open", "Let calls pass, uncounted"],
];
const RESERVE = [["p95", "The usual output"], ["max", "The most of the model"]];
const UNPRICED = [["reject", "Reject"], ["allow", "Let pass, uncounted"]];
const OWNERS = [["platform", "The platform"], ["tenant", "The tenant"]];
const DEFAULTS = {
  limit: { usd: "" }, period: "month", timezone: "UTC", starts: null, scope: {}, on_spent: "reject",
  at: [50, 80, 95], overrun: "cut", on_error: "local", reserve: "p95", cap_output: false, unpriced: "reject",
  increases: [],
};

const half = (pointer, help = "", more = {}) => ({ pointer, help, width: "w6", ...more });
const orNull = (control) => control.value.trim() || null;
const zones = () => ["UTC", ...(Intl.supportedValuesOf?.("timeZone") ?? [])];

/** Limit, unit and period. The days of a period, and its first day, are asked for only where they count. */
function amountFields(budget, isNew) {
  const unit = unitOf(budget);
  const days = /^\d+d$/.test(budget.period) ? budget.period.slice(0, -1) : "";
  const value = text(budget.limit[unit], { inputMode: "decimal", placeholder: "250.00" });
  const units = choice(unit, UNITS, { disabled: !isNew });
  const period = choice(days ? DAYS : budget.period, PERIODS);
  const count = text(days, { inputMode: "numeric", placeholder: "30" });
  const starts = h("input", { type: "date", value: budget.starts ?? "" });
  const zone = text(budget.timezone, { placeholder: "Europe/Berlin", list: "time-zones" });
  const amount = () => (units.value === "usd" ? value.value.trim() : numberOrText(value.value));
  const all = {
    limit: field("Limit", value,
      half("/limit", "", { required: true, read: () => ({ [units.value]: amount() }) })),
    unit: field("Unit", units, half("/unit", isNew ? "" : "A budget keeps its unit.")),
    period: field("Per", period, half("/period", "", {
      read: () => (period.value === DAYS ? `${count.value.trim()}d` : period.value),
    })),
    timezone: field("Time zone", zone, half("/timezone", "Where a period begins at midnight.")),
    days: field("Days", count, half("/days")),
    starts: field("Begins on", starts, half("/starts", "Empty: today.", { read: () => orNull(starts) })),
  };
  const show = () => {
    all.days.node.hidden = period.value !== DAYS;
    all.starts.node.hidden = ![DAYS, "total"].includes(period.value);
  };
  period.addEventListener("change", show);
  show();
  const list = h("datalist", { id: "time-zones" }, zones().map((one) => h("option", { value: one })));
  const readAll = () => {
    const { limit, period: named, timezone, starts: first } = valuesOf(all);
    return { limit, period: named, timezone, starts: all.starts.node.hidden ? null : first };
  };
  return { nodes: [...nodesOf(all), list], read: readAll, units };
}

/** The action when nothing is left, and with which model calls go on. */
function spentFields(budget) {
  const control = choice(budget.on_spent, ON_SPENT);
  const model = text(budget.downgrade_to, { className: "mono", placeholder: "small" });
  const all = {
    on_spent: field("When it is spent", control, half("/on_spent")),
    downgrade_to: field("The other model", model, half("/downgrade_to",
      "The lists of keys and rules must allow it.", { read: () => orNull(model) })),
  };
  const show = () => (all.downgrade_to.node.hidden = control.value !== "downgrade");
  control.addEventListener("change", show);
  show();
  const readAll = () => ({
    on_spent: control.value,
    downgrade_to: control.value === "downgrade" ? orNull(model) : null,
  });
  return { nodes: nodesOf(all), read: readAll };
}

/** A choice of things by their names. One that is gone stays. */
function named(label, id, names, options) {
  const known = [...names];
  if (id && !names.has(id)) known.push([id, `${id}, gone`]);
  const control = choice(id ?? "", [["", "Any"], ...known]);
  return field(label, control, { ...options, read: () => control.value || undefined });
}

function scopeFields({ scope }, names) {
  const word = (label, name, placeholder, help) => {
    const control = text(scope[name], { placeholder, className: "mono" });
    return field(label, control, half(`/scope/${name}`, help, { read: () => orNull(control) ?? undefined }));
  };
  const all = {
    key: named("API key", scope.key, names.lines, half("/scope/key", "Those that replace it count, too.")),
    rule: named("Rule", scope.rule, names.rule, half("/scope/rule")),
    model: word("Model", "model", "gpt-*", "A name, or a glob."),
    provider: word("Provider", "provider", "openai-main"),
    user: word("User", "user", "team-a", "As keys name it."),
    tag: pairs(scope.tag ?? {}, { label: "Tags of keys", pointer: "/scope/tag" }),
  };
  const readAll = () => {
    const { tag, ...others } = valuesOf(all);
    const set = Object.entries(others).filter(([, value]) => value !== undefined);
    return { ...Object.fromEntries(set), ...(Object.keys(tag).length ? { tag } : {}) };
  };
  const node = h("details", {
    className: "more group field w12", open: Object.keys(scope).length > 0, "data-pointer": "/scope",
  },
    h("summary", {}, "Count some calls only"),
    h("p", { className: "help" }, "A call counts that fits all of these. None: all calls of the tenant."),
    h("div", { className: "fields" }, nodesOf(all)),
    h("p", { className: "error" }));
  return { node, read: readAll };
}

function moreFields(budget) {
  const at = text(budget.at.join(", "), { placeholder: "50, 80, 95" });
  const percents = () => at.value.split(/[\s,;%]+/).filter(Boolean).map(numberOrText);
  const pick = (label, name, options, help) =>
    field(label, choice(budget[name], options), half(`/${name}`, help));
  return {
    at: field("Alerts at percent", at, half("/at", "Webhooks are told.", { read: percents })),
    overrun: pick("A stream when nothing is left", "overrun", OVERRUN),
    reserve: pick("Reserve", "reserve", RESERVE, "The output of a call, before it is known."),
    on_error: pick("While Redis does not respond", "on_error", ON_ERROR),
    unpriced: pick("Calls without a known price", "unpriced", UNPRICED, "For a limit in US dollars."),
    cap_output: toggle("Cap the output", budget.cap_output,
      { pointer: "/cap_output", help: "Lowers the maximum output of a call to what is left." }),
  };
}

/** The whole form of a budget: {nodes, read}. */
function budgetForm(budget, names, { isNew, isPlatform }) {
  const name = field("Name", text(budget.name, { maxLength: 200, placeholder: "team-a monthly" }),
    { pointer: "/name", required: true });
  const owner = field("May be changed by", choice(budget.owner ?? "platform", OWNERS), half("/owner"));
  const [amount, spent] = [amountFields(budget, isNew), spentFields(budget)];
  const [scope, more, increases] = [scopeFields(budget, names), moreFields(budget), increasesField(budget)];
  more.unpriced.node.hidden = amount.units.value !== "usd";
  amount.units.addEventListener("change", () => (more.unpriced.node.hidden = amount.units.value !== "usd"));
  const readAll = () => ({
    name: name.read(),
    ...amount.read(),
    ...spent.read(),
    scope: scope.read(),
    ...valuesOf(more),
    ...(isPlatform ? { owner: owner.read() } : {}),
    ...(isNew ? {} : { increases: increases.read() }),
  });
  const nodes = [
    h("div", { className: "fields" },
      name.node, amount.nodes, spent.nodes, isPlatform && owner.node, scope.node),
    budget.increases.length > 0 && section("Increases", increases.node),
    h("details", { className: "more" },
      h("summary", {}, "More: alerts, streams, reservations, failures"),
      h("div", { className: "fields" }, nodesOf(more))),
  ];
  return { nodes, read: readAll };
}

/** Open the panel for a budget; without one, for a new one. `done` gets the warnings of what was stored. */
export async function editBudget(context, budget, names, done) {
  const { base, isPlatform } = context;
  const path = `${base}/budgets${budget ? `/${budget.id}` : ""}`;
  const newest = budget ? await read(path) : DEFAULTS; // and its ETag
  const form = budgetForm(newest, names, { isNew: !budget, isPlatform });
  openPanel({
    title: budget ? `Change ${budget.name}` : "Add a budget",
    text: "Bounds what calls of models use per period.",
    body: form.nodes.filter(Boolean),
    save: budget ? "Save" : "Add the budget",
    submit: async (node) => {
      let stored;
      const work = async () => (stored = await write(budget ? "PATCH" : "POST", path, form.read()));
      if (!(await accepted(node, work))) return false;
      toast(`${stored.name} is saved.`);
      await done(stored.warnings);
      return true;
    },
  });
}
