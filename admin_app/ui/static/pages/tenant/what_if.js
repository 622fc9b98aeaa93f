// Limits are tried on recorded calls before they are saved: what each would have rejected, and whose calls.
import { amount, dateTime, h, percent, plural, quantity, whole } from "../../kit/dom.js";
import { readAll, write } from "../../kit/api.js";
import { choice, field, nodesOf, numberOrText, rows, segments, showErrors, text } from "../../kit/fields.js";
import { attempt, banner, busy, empty } from "../../kit/states.js";
import { dataTable } from "../../kit/table.js";

const BY = [
  ["per_key", "Each API key"],
  ["per_model", "Each model"],
  ["global", "All calls"],
];
const UNITS = [
  ["tokens", "Tokens"],
  ["input_tokens", "Input tokens"],
  ["output_tokens", "Output tokens"],
  ["usd", "US dollars"],
  ["requests", "Requests"],
];
const RANGES = [
  ["1", "Today"],
  ["7", "7 days"],
  ["31", "31 days"],
];
const FIRST = { by: "per_key", unit: "tokens" };
const MODEL = "per_model";
const DAY_MS = 86_400_000;
const MOST_KEYS = 3;
const SIZES = [
  [DAY_MS, "d"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1_000, "s"],
  [1, "ms"],
];

/** A window in its largest unit of which it has a whole number. */
function windowOf(ms) {
  const [size, unit] = SIZES.find(([one]) => ms % one === 0);
  return `${ms / size} ${unit}`;
}

/** The fields of one limit: {node, read}. `read` gives {by, glob, quota} and what takes the errors of it. */
function limitFields(item = FIRST) {
  const [by, unit] = [choice(item.by, BY), choice(item.unit, UNITS)];
  const glob = text("*", { className: "mono", placeholder: "gpt-*" });
  const limit = text("", { inputMode: "decimal", placeholder: "100000" });
  const window = text("1m", { className: "mono", placeholder: "1m" });
  const all = {
    by: field("Counts", by),
    glob: field("Model", glob),
    limit: field("Limit", limit, { required: true }),
    unit: field("Unit", unit),
    window: field("Per", window),
  };
  const show = () => (all.glob.node.hidden = by.value !== MODEL);
  by.addEventListener("change", show);
  show();
  const node = h("div", { className: "trial", role: "group", "aria-label": "A limit to try" }, nodesOf(all));
  const typed = () => {
    const given = limit.value.trim();
    return given === "" ? undefined : unit.value === "usd" ? given : numberOrText(given);
  };
  const value = () => ({
    by: by.value,
    glob: glob.value.trim(),
    quota: { limit: typed(), unit: unit.value, window: window.value.trim() },
    place: (pointer) => {
      node.dataset.pointer = pointer;
      for (const name of ["limit", "unit", "window"]) all[name].node.dataset.pointer = `${pointer}/${name}`;
    },
  });
  return { node, read: value };
}

/** The limits as the API takes them. Each row learns the pointer under which its errors come. */
function limitsOf(list) {
  const found = {};
  for (const { by, glob, quota, place } of list) {
    const [group, name] = by === MODEL ? [(found[by] ??= {}), glob] : [found, by];
    const quotas = (group[name] ??= []);
    place(by === MODEL ? `/limits/${by}/${glob}/${quotas.length}` : `/limits/${by}/${quotas.length}`);
    quotas.push(quota);
  }
  return found;
}

function nameOf({ name, limit, unit, window_ms: ms }) {
  const [by, glob] = name.split(/:(.*)/s);
  const words = BY.find(([key]) => key === by)?.[1] ?? by;
  return [
    h("b", {}, glob && glob !== "*" ? `Model ${glob}` : words),
    h("span", { className: "sub" }, `${quantity(limit, unit)} per ${windowOf(ms)}`),
  ];
}

function rejectedOf({ rejected, requests, unpriced }) {
  const share = requests ? ` (${percent(rejected / requests)})` : "";
  return [
    h("b", { className: rejected ? "worse" : "" }, whole(rejected)),
    share,
    unpriced > 0 && h("span", { className: "sub" }, `${whole(unpriced)} without a price`),
  ];
}

const peakOf = ({ peak, peak_at: at, unit }) => [
  amount(peak, unit),
  at && h("span", { className: "sub" }, dateTime(at)),
];

function keysOf({ keys }) {
  const top = keys.filter((one) => one.rejected).slice(0, MOST_KEYS);
  if (!top.length) return h("span", { className: "muted" }, "None");
  const named = (one) => one.name || (one.key ? `…${one.key.slice(-6)}` : "no key");
  return top.map((one) => h("div", {}, h("bdi", {}, named(one)), ` ${whole(one.rejected)}`));
}

const COLUMNS = [
  { key: "name", title: "Limit", cell: nameOf },
  { key: "requests", title: "Calls", num: true, opt: true, cell: ({ requests }) => whole(requests) },
  { key: "rejected", title: "Rejected", num: true, cell: rejectedOf },
  {
    key: "first",
    title: "First",
    num: true,
    opt: true,
    cell: ({ first_rejected_at: at }) => (at ? dateTime(at) : "—"),
  },
  { key: "peak", title: "Most in one window", num: true, cell: peakOf },
  { key: "keys", title: "Most rejected keys", opt: true, cell: keysOf },
];

/** The result of a trial, as nodes. */
function reportOf(report) {
  if (!report.calls) {
    const text = "The ledger has calls that used a model. Choose more days, or another rule.";
    return [empty("No recorded calls in these days.", text)];
  }
  const none = { title: "No limits.", text: "" };
  const table = dataTable({ label: "Tried limits", columns: COLUMNS, none });
  table.show(report.limits);
  const since = report.oldest_at ? `, the oldest of ${dateTime(report.oldest_at)}` : "";
  return [
    report.is_truncated && banner("warn", "There are more calls.", "The newest of them were tried."),
    h("p", { className: "help" }, `${plural(report.calls, "call")} tried${since}. Each limit alone.`),
    table.node,
  ].filter(Boolean);
}

/** The card in which limits are tried on the recorded calls of a tenant. */
export async function whatIfCard({ base }) {
  const found = await readAll(`${base}/rules`, "rules");
  const list = rows([FIRST], limitFields, "Add a limit");
  const range = segments("Days", "7", RANGES, { small: true });
  const options = found.filter((rule) => rule.ai).map((rule) => [rule.id, rule.path]);
  const rule = choice("", [["", "All rules"], ...options], { ariaLabel: "Rule" });
  const result = h("div", { className: "result", role: "status" });
  const body = () => ({
    limits: limitsOf(list.read()),
    from: new Date(Date.now() - (range.read() - 1) * DAY_MS).toISOString().slice(0, 10),
    rule: rule.value || null,
  });
  const button = h("button", { className: "button" }, "Try");
  const send = async () => {
    try {
      const report = await write("POST", `${base}/rate-limits/what-if`, body());
      showErrors(form, []);
      result.replaceChildren(...reportOf(report));
    } catch (error) {
      if (!error.errors?.length || showErrors(form, error.errors).length) throw error;
    }
  };
  const submit = (event) => {
    event.preventDefault();
    busy(button, () => attempt(send));
  };
  const form = h(
    "form",
    { className: "what-if", noValidate: true, onsubmit: submit },
    h("div", { className: "trials" }, list.node),
    h("div", { className: "actions" }, range.node, rule, button),
  );
  return h(
    "section",
    { className: "card flush", id: "try", "aria-label": "Try limits" },
    h(
      "div",
      { className: "card-head" },
      h("h2", {}, "Try limits on recorded calls"),
      h("p", { className: "muted" }, "The requests that limits would have rejected. Nothing is changed."),
    ),
    form,
    result,
  );
}
