// The tab Budgets: what is used of each budget of the tenant, the fullest first, and what can be changed.
import { amount, badge, h, icon, toast } from "../../kit/dom.js";
import { write } from "../../kit/api.js";
import { confirm, openPanel } from "../../kit/panel.js";
import { poll } from "../../kit/poll.js";
import { attempt, banner, busy, empty, locked } from "../../kit/states.js";
import { editBudget } from "./form.js";
import { increaseBudget, increasesOf, resetBudget } from "./increases.js";
import { OF_TIER, budgetsOf, namesOf } from "./read.js";
import { budgetBar, periodOf, resetOf, scopeOf, sized, statesOf, thenOf, unitOf } from "./words.js";

const OWNERS = {
  tier: ["Tier", "A budget of the tier. It is set in config.yaml."],
  platform: ["Platform", "A budget of the platform."],
};

/** The actions on a budget that the caller may take. */
const rightsOn = (budget, { may, isPlatform }) => ({
  change: may && budget.owner !== OF_TIER && (isPlatform || budget.owner === "tenant"),
  reset: may && (isPlatform || budget.owner === "tenant"),
});

function numbers({ state }, unit) {
  const held = Number(state.held) > 0 && `${amount(state.held, unit)} held`;
  const left = `${amount(state.remaining, unit)} left`;
  return h("p", { className: "numbers" },
    h("b", {}, amount(state.used, unit)), ` of ${sized(state.limit, unit)} used`,
    h("span", { className: "muted" }, [held, left].filter(Boolean).map((one) => ` · ${one}`)));
}

function nameOf(budget, rights, { edit, show }) {
  const open = () => (rights.change ? edit(budget) : show(budget));
  return h("h3", {}, h("button", { type: "button", className: "linklike name", onclick: open },
    h("bdi", {}, budget.name)));
}

function ownerOf({ owner }) {
  if (!OWNERS[owner]) return false;
  const [word, title] = OWNERS[owner];
  return h("span", { title }, badge(word, "", "lock"));
}

function actionsOf(budget, rights, work) {
  const button = (title, name, act, more = "") =>
    h("button", {
      type: "button",
      className: `button small quiet ${more}`,
      "aria-label": `${title} ${budget.name}`,
      onclick: (event) => act(budget, event.currentTarget),
    }, icon(name), title);
  return h("div", { className: "row-actions" },
    rights.change && button("Increase", "plus", work.increase),
    rights.reset && button("Reset", "refresh", work.reset),
    rights.change && button("Delete", "trash", work.remove, "danger"));
}

function line(budget, names, rights, work) {
  const unit = unitOf(budget);
  const increased = increasesOf(budget);
  return h("li", { className: "budget" },
    h("div", { className: "budget-head" },
      nameOf(budget, rights, work), ownerOf(budget), statesOf(budget, unit)),
    actionsOf(budget, rights, work),
    budgetBar(budget.state),
    numbers(budget, unit),
    h("p", { className: "resets" }, resetOf(budget)),
    h("p", { className: "about" },
      `${scopeOf(budget, names)}, ${periodOf(budget)} · then calls `, thenOf(budget),
      increased && ` · ${increased}`));
}

/** Show a budget that the caller cannot change. */
function showBudget(budget, names) {
  const unit = unitOf(budget);
  const facts = {
    Owner: budget.owner === OF_TIER ? "The operator, in config.yaml" : "The platform",
    Limit: sized(budget.state.limit, unit),
    Used: sized(budget.state.used, unit),
    Held: sized(budget.state.held, unit),
    Counts: `${scopeOf(budget, names)}, ${periodOf(budget)}`,
    Resets: resetOf(budget).replace("Resets ", ""),
    "When spent": ["Calls ", thenOf(budget)],
    "Alerts at": budget.at.map((one) => `${one}%`).join(", ") || "None",
    Increases: increasesOf(budget) || "None",
    Id: h("code", {}, budget.id),
  };
  openPanel({
    title: budget.name,
    body: h("dl", { className: "facts" },
      Object.entries(facts).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
  });
}

/** Fill `host` with the budgets of the tenant, and keep them new. Returns what ends that. */
export async function showBudgets(host, context) {
  const { base, may, reason } = context;
  const names = await namesOf(base);
  const outcome = h("div", { className: "notes", role: "status" });
  const list = h("ul", { className: "budgets" });
  const count = h("span", { className: "count" });
  const heading = h("h2", { tabIndex: -1 }, "Budgets", count);
  const saved = async (warnings) => {
    outcome.replaceChildren(...warnings.map((one) => banner("warn", one.detail)));
    await load();
  };
  const work = {
    edit: (budget) => attempt(() => editBudget(context, budget, names, saved)),
    show: (budget) => showBudget(budget, names),
    increase: (budget) => increaseBudget(context, budget, saved),
    reset: (budget) => resetBudget(context, budget, saved),
    remove,
  };

  async function remove(budget, button) {
    const text = "It counts and rejects no more calls. The ledger keeps what was used.";
    if (!(await confirm({ title: `Delete ${budget.name}?`, text, action: "Delete the budget" }))) return;
    await busy(button, () =>
      attempt(async () => {
        await write("DELETE", `${base}/budgets/${budget.id}`, undefined, { match: false });
        toast(`${budget.name} is deleted.`);
        await load();
      }));
  }
  const add = () =>
    h("button", {
      type: "button",
      className: "button primary",
      disabled: !may,
      onclick: () => work.edit(null),
    }, icon("plus"), "Add a budget");

  async function load() {
    const budgets = await budgetsOf(base);
    count.textContent = budgets.length;
    if (list.contains(document.activeElement)) heading.focus();
    const text = "A budget bounds what calls of models use per day, per month, or in total.";
    const none = empty("No budgets.", text, add());
    const lines = budgets.map((one) => line(one, names, rightsOn(one, context), work));
    list.replaceChildren(...(lines.length ? lines : [h("li", {}, none)]));
  }
  host.replaceChildren(
    outcome,
    h("section", { className: "card flush", "aria-label": "Budgets" },
      h("div", { className: "card-head" }, heading, !may && locked(reason), add()),
      list));
  const polling = poll(load, { quiet: list });
  await polling.first;
  return polling.stop;
}
