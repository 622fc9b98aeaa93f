// The words for budgets: what is used of one, when it begins again, what it counts, and its state.
import { amount, badge, h } from "../../kit/dom.js";

const [NEAR, NEARLY_SPENT] = [0.8, 0.95];
const PERIODS = {
  day: "per day",
  week: "per week",
  month: "per month",
  quarter: "per quarter",
  year: "per year",
  total: "in total",
};
const THEN = {
  reject: () => "are rejected",
  alert: () => "still pass",
  downgrade: (budget) => ["go on with ", h("code", {}, budget.downgrade_to)],
};

export const unitOf = ({ limit }) => Object.keys(limit)[0];

/** An amount of a budget with the word of its unit, unless it is money. */
export const sized = (value, unit) =>
  unit === "usd" ? amount(value, unit) : `${amount(value, unit)} ${unit}`;

/** The share of the limit that is used or held. */
export function shareOf({ limit, used, held }) {
  const taken = Number(used) + Number(held);
  return Number(limit) ? taken / Number(limit) : 1;
}

/** The used amount, and hatched the held one, as a bar; the numbers stand beside it. */
export function budgetBar(state) {
  const parts = [
    [state.used, "used"],
    [state.held, "held"],
  ].map(([value, className]) => {
    const node = h("span", { className });
    const share = Number(state.limit) ? Number(value) / Number(state.limit) : 1;
    node.style.setProperty("width", `${Math.min(100, 100 * share).toFixed(2)}%`);
    return node;
  });
  const share = shareOf(state);
  const tone = share >= 1 ? "full" : share >= NEAR ? "near" : "";
  return h("span", { className: `meter parts ${tone}`, "aria-hidden": "true" }, parts);
}

/** A moment in a time zone: 1 Jan 2027, 00:00. */
export function momentIn(moment, timeZone) {
  const look = { dateStyle: "medium", timeStyle: "short" };
  try {
    return new Date(moment).toLocaleString("en-GB", { ...look, timeZone });
  } catch {
    return `${new Date(moment).toLocaleString("en-GB", { ...look, timeZone: "UTC" })} UTC`; // unknown here
  }
}

export const periodOf = ({ period }) => PERIODS[period] ?? `each ${period.slice(0, -1)} days`;

/** When the present period ends. */
export function resetOf({ state, timezone }) {
  if (!state.resets_at) return "Never resets";
  return `Resets ${momentIn(state.resets_at, timezone)} (${timezone})`;
}

/** The fate of calls once it is spent: they "are rejected". */
export const thenOf = (budget) => THEN[budget.on_spent]?.(budget) ?? budget.on_spent;

/** The calls that it counts. `names` has those of keys and rules by their ids. */
export function scopeOf({ scope }, names) {
  const { tag = {}, key, rule, ...others } = scope;
  const parts = [
    key && ["key", names.key?.get(key) ?? key],
    rule && ["rule", names.rule?.get(rule) ?? rule],
    ...Object.entries(others),
    ...Object.entries(tag).map(([name, value]) => ["tag", `${name}=${value}`]),
  ].filter(Boolean);
  return parts.length ? `Calls of ${parts.map((one) => one.join(" ")).join(", ")}` : "All calls";
}

/** The badges of a budget that is spent, nearly so, above its limit, or has lost reservations. */
export function statesOf({ on_spent: then, state }, unit) {
  const isOver = Number(state.over) > 0;
  const share = shareOf(state);
  const tone = then === "alert" ? "warn" : "bad";
  return [
    share >= 1
      ? badge(isOver ? `Spent, ${amount(state.over, unit)} over` : "Spent", tone, "warn")
      : share >= NEARLY_SPENT && badge("Nearly spent", "warn"),
    state.lost > 0 &&
      h(
        "span",
        { title: "Reservations that counted in full, because their worker ended." },
        badge(`${state.lost} lost`, "warn"),
      ),
  ];
}

/** Whether a budget names a key: its line, its user or its tags. */
export function namesKey({ scope }, key) {
  const { key: line, user, tag } = scope;
  const fits = [
    line && line === (key.first ?? key.id),
    user && user === key.user,
    tag && Object.entries(tag).every(([name, value]) => key.metadata[name] === value),
  ].filter((one) => one !== undefined);
  return fits.length > 0 && fits.every(Boolean);
}

/** How much of a budget is used, in one line. */
export function usedOf(budget) {
  const unit = unitOf(budget);
  return `${amount(budget.state.used, unit)} of ${sized(budget.state.limit, unit)} ${periodOf(budget)}`;
}
