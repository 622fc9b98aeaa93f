// The result of a dry run: what decided, step by step. The pages Rule and Test a request show it.
import {
  amount, badge, bytes, copyButton, h, icon, millis, quantity, span, whole,
} from "../kit/dom.js";
import { words } from "../kit/fields.js";
import { banner } from "../kit/states.js";
import { plainTable } from "../kit/table.js";
import { verdictBadge } from "./verdicts.js";

const OUTCOMES = {
  forwarded: ["fine", "The request reaches the upstream."],
  responded: ["fine", "A plugin or the gateway responds. The upstream is not called."],
  rejected: ["bad", "The request is rejected."],
  unfinished: ["warn", "The plugins took too long for a dry run."],
};
const OTHER_TENANT = "The host or the key leads to no tenant, or to another one.";
const HIDDEN = "a provider of the platform, whose address and headers are not shown";

const sourceOf = (source) => source.replace("plugin:", "").replaceAll("_", " ");

/** The outcome of the request, in a banner. `more` are nodes below it. */
export function outcomeBanner(explained, ...more) {
  const { outcome, response, upstream } = explained;
  const [tone, sentence] = OUTCOMES[outcome];
  if (outcome !== "rejected") {
    const to = upstream && [upstream.method, upstream.url].filter(Boolean).join(" ");
    return banner(tone, sentence, ...(to ? [h("p", { className: "mono" }, to)] : []), ...more);
  }
  const title = `Rejected: ${response.status} ${response.code}, by ${sourceOf(response.source)}.`;
  return banner(tone, title, ...(response.message ? [response.message] : []), ...more);
}

const card = (title, ...content) =>
  h("section", { className: "card flush" },
    h("div", { className: "card-head" }, h("h2", {}, title)), content);

const note = (text, look = "") => h("p", { className: `note ${look}` }, text);

const facts = (rows, look = "") => {
  const shown = rows.filter(([, value]) => value != null && value !== "");
  if (!shown.length) return false;
  const row = ([name, value]) => [h("dt", {}, name), h("dd", {}, value)];
  return h("dl", { className: `facts ${look}` }, shown.map(row));
};

const headers = (list) => facts(list.map(({ name, value }) => [name, value]), "mono");

/** A body, indented if it is JSON. */
function body(text) {
  if (!text) return false;
  let shown = text;
  try {
    shown = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // It is shown as it is.
  }
  return h("pre", { tabIndex: 0 }, shown);
}

function ruleRow(rule, appliedId) {
  const isApplied = rule.id === appliedId;
  const fault = rule.fault && h("p", { className: "bad-text" }, icon("warn"), ` Closed: ${rule.fault}`);
  const result = isApplied ? badge("Applies", "good", "check") : rule.why_not ?? "matches";
  const path = h("span", { className: "mono" }, rule.path);
  return [path, rule.methods.join(" ") || "all", [result, fault ?? ""]];
}

function rules(explained) {
  if (!explained.tenant) return card("Rules", note(OTHER_TENANT));
  const rows = explained.rules.map((rule) => ruleRow(rule, explained.rule_id));
  return card("Rules", plainTable("Rules", ["Path", ["Methods", "opt-col"], ["Result", "wrap"]], rows));
}

function pluginRow(stage, at, group, plugin) {
  const isFirst = at === 0 && plugin === group.plugins[0];
  return [
    isFirst && h("span", { className: "mono" }, stage),
    group.plugins.length > 1 ? `${at + 1} · together` : at + 1,
    [words(plugin.name), " ", plugin.mode === "shadow" && badge("Shadow", "warn", "ghost")],
    [...new Set(plugin.entries.map((entry) => entry.origin))].join(", "),
    [
      verdictBadge({ ...plugin, milliseconds: null }),
      plugin.detail && h("p", { className: "muted" }, plugin.detail),
    ],
    millis(plugin.milliseconds),
  ].map((cell) => [cell].flat().filter(Boolean));
}

function plan(explained) {
  if (!explained.plan.length) return [];
  const rows = explained.plan.flatMap(({ stage, groups }) =>
    groups.flatMap((group, at) => group.plugins.map((plugin) => pluginRow(stage, at, group, plugin))));
  const heads = [
    ...["Stage", ["Step", "opt-col"], "Plugin", ["From", "opt-col"], ["Verdict", "wrap"], ["Time", "num"]],
  ];
  return card("Plugins", plainTable("Plugins", heads, rows));
}

/** How much a limit allows. A budget has a period of the calendar, which a dry run does not name. */
function quotaOf({ limit, unit, window, scope }) {
  if (scope === "budget") return unit === "usd" ? amount(limit, unit) : `${whole(limit)} ${unit}`;
  return `${quantity(limit, unit)} ${window ? `/ ${window}` : "at once"}`;
}

const limitRow = (limit) => [
  [limit.scope, " ", h("span", { className: "muted" }, limit.name.replaceAll("_", " "))],
  quotaOf(limit),
  amount(limit.before.remaining, limit.unit),
  amount(limit.after.remaining, limit.unit),
  limit.before.reset_after_ms ? span(limit.before.reset_after_ms / 1000) : "—",
  limit.allows ? badge("Allows", "good", "check") : badge("Rejects", "bad", "warn"),
];

function limits(explained) {
  if (!explained.limits.length) return [];
  const heads = [
    ...["Limit", ["Quota", "num"], ["Left before", "num"], ["After", "num"], ["Resets in", "num opt-col"]],
    "Result",
  ];
  return card("Limits", plainTable("Limits", heads, explained.limits.map(limitRow)));
}

const targetRow = (target) => [
  h("span", { className: "mono" }, `${target.provider}/${target.model}`),
  whole(target.priority),
  whole(target.weight),
  target.is_chosen ? badge("Chosen", "good", "check") : target.why_not ?? "not needed",
];

function models({ ai }) {
  if (!ai) return [];
  const asked = [
    ["API", ai.api],
    ["Asked for", ai.asked],
    ["Model of the gateway", ai.model],
    ["Key of the provider", ai.key_id],
    ["Stored response", ai.stored_id],
  ];
  const heads = ["Target", ["Priority", "num"], ["Weight", "num"], ["Result", "wrap"]];
  const targets = ai.targets.length > 0 && plainTable("Targets", heads, ai.targets.map(targetRow));
  return card("Model", facts(asked), targets);
}

function upstream({ upstream: sent }) {
  if (!sent) return [];
  const isBinary = sent.body == null && sent.body_bytes > 0;
  return card("Upstream request",
    note(`${sent.method} ${sent.url ?? HIDDEN}`, "mono"),
    headers(sent.headers),
    body(sent.body),
    isBinary && note(`A body of ${bytes(sent.body_bytes)} that is no text.`));
}

function response({ response: got }) {
  if (!got) return [];
  const about = [
    ["Status", got.status],
    ["From", sourceOf(got.source)],
    ["Code", got.code],
    ["Message", got.message],
  ];
  const details = Object.keys(got.details).length > 0 && body(JSON.stringify(got.details));
  return card("Response to the client", facts(about), headers(got.headers), details, body(got.body));
}

const PARTS = [rules, plan, limits, models, upstream, response];

/** All parts of a dry run. `explained` is the response of POST …/explain. */
export const decision = (explained) =>
  h("div", { className: "decision" },
    PARTS.map((part) => part(explained)),
    h("div", {}, copyButton(JSON.stringify(explained, null, 2), "Copy as JSON")));
