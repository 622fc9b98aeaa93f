// The tabs of a request: what was decided, and its line in the log.
import { amount, badge, copyButton, h, millis, quantity, wait } from "../../kit/dom.js";
import { empty } from "../../kit/states.js";
import { plainTable } from "../../kit/table.js";
import { sized } from "../budgets/words.js";
import { targetOf } from "./spans.js";

const VERDICTS = {
  continue: "good",
  patch: "accent",
  respond: "accent",
  reject: "warn",
  fault: "bad",
  cancelled: "",
};

/** A card with a table. */
const table = (title, heads, rows) =>
  h(
    "section",
    { className: "card flush" },
    h("div", { className: "card-head" }, h("h2", {}, title)),
    plainTable(title, heads, rows),
  );

const time = (ms) => (ms == null ? "" : millis(ms));

const mono = (text) => h("span", { className: "mono" }, text);

function steps({ steps: found, traced }) {
  if (!found.length) {
    return h(
      "section",
      { className: "card" },
      empty(
        "No plugin did more than continue.",
        traced ? "No plugin ran." : "Steps that only continue are kept of requests that were traced.",
      ),
    );
  }
  return table(
    "Steps",
    ["Plugin", "Stage", "Verdict", "Detail", ["At", "num"], ["Took", "num"]],
    found.map((one) => [
      mono(one.plugin),
      one.stage ?? "",
      badge(one.verdict, VERDICTS[one.verdict]),
      one.code ?? one.fault ?? "",
      time(one.at_ms),
      time(one.milliseconds),
    ]),
  );
}

const BUDGET = "budget"; // the scope of a budget among limits

const limits = ({ limits: found, limit_reached: reached }) =>
  found.some((one) => one.scope !== BUDGET) &&
  table(
    "Limits",
    ["Limit", ["Left before", "num"], ["Left after", "num"], ["Of", "num"], ["Frees in", "num"]],
    found.filter((one) => one.scope !== BUDGET).map((one) => [
      [
        mono(one.scope === "rule" ? one.name : `tenant ${one.name}`),
        " ",
        reached?.name === one.name && reached?.scope === one.scope && badge("reached", "warn"),
      ],
      amount(one.before, one.unit),
      amount(one.after, one.unit),
      `${quantity(one.limit, one.unit)} ${one.window ? `per ${one.window}` : "at a time"}`,
      wait(one.reset_after_ms),
    ]),
  );

/** The budgets that count the request. The amount left is that at its admission. */
function budgets({ limit_reached: reached }, { log }) {
  const isReached = ({ name }) => reached != null && "used" in reached && reached.name === name;
  return (
    log.budgets?.length > 0 &&
    table(
      "Budgets",
      ["Budget", ["Left", "num"], ["Reserved", "num opt-col"], ["Used", "num"], ["Of", "num"]],
      log.budgets.map((one) => [
        [h("bdi", {}, one.name), " ", isReached(one) && badge("spent", "warn")],
        amount(one.remaining, one.unit),
        amount(one.reserved, one.unit),
        amount(one.used, one.unit),
        sized(one.limit, one.unit),
      ]),
    )
  );
}

const attempts = ({ attempts: found }, row) =>
  found.length > 0 &&
  table(
    "Attempts",
    ["Target", "Key", "Status", "Outcome", ["At", "num"], ["Took", "num"]],
    found.map((one) => [
      h("span", { className: "mono", title: one.target }, targetOf(one.target, row)),
      one.key_id ? mono(one.key_id) : "",
      one.status || "none",
      one.why ? [badge("failed", "bad"), ` ${one.why}`] : badge("served", "good"),
      time(one.at_ms),
      time(one.milliseconds),
    ]),
  );

const choice = ({ not_chosen: found }, row) =>
  found.length > 0 &&
  table(
    "Targets that were not chosen",
    ["Target", "Why not"],
    found.map((one) => [mono(targetOf(one.target, row)), one.why_not]),
  );

/** The decision. */
export const decided = (row) => [
  row.decision.cut &&
    h("p", { className: "help" }, "The record was too long: some texts and lists are shortened."),
  steps(row.decision),
  limits(row.decision),
  budgets(row.decision, row),
  attempts(row.decision, row),
  choice(row.decision, row),
];

/** The line of the log. */
export function logLine({ log }) {
  const text = JSON.stringify(log, null, 2);
  return h(
    "section",
    { className: "card flush" },
    h("div", { className: "card-head" }, h("h2", {}, "Line in the log"), copyButton(text)),
    h("pre", { className: "code", tabIndex: 0, role: "region", "aria-label": "Line in the log" }, text),
  );
}
