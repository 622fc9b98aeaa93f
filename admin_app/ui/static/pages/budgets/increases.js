// More for a time, and a new begin: the panels for both, and the increases of a budget in its form.
import { dateTime, h, icon, toast } from "../../kit/dom.js";
import { write } from "../../kit/api.js";
import { choice, field, numberOrText, text } from "../../kit/fields.js";
import { openPanel } from "../../kit/panel.js";
import { accepted, panelReason } from "../../kit/saving.js";
import { momentIn, sized, unitOf } from "./words.js";

const live = ({ until }) => until === null || new Date(until) > Date.now();

/** The increases that last, as a sentence; empty without any. */
export function increasesOf(budget) {
  const unit = unitOf(budget);
  const until = (one) => (one.until ? ` until ${momentIn(one.until, budget.timezone)}` : "");
  const parts = budget.increases.filter(live).map((one) => `${sized(one[unit], unit)}${until(one)}`);
  return parts.length ? `Increased by ${parts.join(", and by ")}` : "";
}

/** The increases of a budget in its form, each with a button that ends it: {node, read}. */
export function increasesField(budget) {
  const unit = unitOf(budget);
  const kept = new Set(budget.increases);
  const list = h("ul", { className: "choices" }, budget.increases.map((one) => {
    const end = () => {
      kept.delete(one);
      line.replaceChildren(h("p", {}, "It ends when you save."));
    };
    const until = one.until ? `Until ${momentIn(one.until, budget.timezone)}` : "Without an end";
    const line = h("li", {},
      h("div", {}, h("b", {}, sized(one[unit], unit)), h("p", {}, `${until}. Added ${dateTime(one.at)}.`)),
      h("button", { type: "button", className: "button small quiet danger", onclick: end },
        icon("close"), "End"));
    return line;
  }));
  const node = h("div", { className: "field w12", "data-pointer": "/increases" },
    list, h("p", { className: "error" }));
  return { node, read: () => [...kept] };
}

function untilField({ state, timezone }) {
  const period = state.resets_at ? `With the period, ${momentIn(state.resets_at, timezone)}` : "Never";
  const kind = choice("", [["", period], ["own", "At a time of my own"]]);
  const moment = h("input", { type: "datetime-local", ariaLabel: "Ends at", hidden: true });
  kind.addEventListener("change", () => (moment.hidden = kind.value !== "own"));
  const own = () => (moment.value ? new Date(moment.value).toISOString() : "");
  const made = field("Ends", kind, { pointer: "/until", read: () => (kind.value ? own() : null) });
  kind.after(moment);
  return made;
}

/** Open the panel in which the limit of a budget grows for a time. */
export function increaseBudget({ base }, budget, done) {
  const unit = unitOf(budget);
  const control = text("", { inputMode: "decimal", placeholder: unit === "usd" ? "50.00" : "1000" });
  const amount = field(unit === "usd" ? "US dollars" : unit === "tokens" ? "Tokens" : "Requests", control,
    { pointer: `/${unit}`, required: true });
  const [until, reason] = [untilField(budget), panelReason()];
  const body = () => ({
    [unit]: unit === "usd" ? control.value.trim() : numberOrText(control.value),
    until: until.read(),
  });
  openPanel({
    title: `Increase ${budget.name}`,
    text: `Adds to its limit of ${sized(budget.state.limit, unit)} for a time.`,
    body: h("div", { className: "fields" }, amount.node, until.node, reason.node),
    save: "Increase the budget",
    submit: async (form) => {
      const path = `${base}/budgets/${budget.id}/increase`;
      let stored;
      const work = async () => (stored = await write("POST", path, body(), { reason: reason.read() }));
      if (!(await accepted(form, work))) return false;
      toast(`${budget.name} has ${sized(stored.state.limit, unit)} now.`);
      await done(stored.warnings);
      return true;
    },
  });
}

/** Ask before a budget begins again, with a field for the reason. */
export function resetBudget({ base }, budget, done) {
  const unit = unitOf(budget);
  const reason = panelReason();
  openPanel({
    title: `Reset ${budget.name}?`,
    text: `${sized(budget.state.used, unit)} of its period count no more. This cannot be undone.`,
    body: [
      h("p", {}, "Amounts that are held for running calls stay. The ledger keeps what was used."),
      h("div", { className: "fields" }, reason.node),
    ],
    save: "Reset the budget",
    submit: async (form) => {
      const path = `${base}/budgets/${budget.id}/reset`;
      if (!(await accepted(form, () => write("POST", path, {}, { reason: reason.read() })))) return false;
      toast(`${budget.name} begins again.`);
      await done([]);
      return true;
    },
  });
}
