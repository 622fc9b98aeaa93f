// The page of a rule: where it leads, and the plugins on the way. It saves through the API.
import { Rejected, call, read, readAll, write } from "../kit/api.js";
import { address, badge, byId, h, icon, page, setTitle, toast } from "../kit/dom.js";
import { confirm } from "../kit/panel.js";
import { debounced } from "../kit/poll.js";
import { reasonField } from "../kit/saving.js";
import { me, mayChange } from "../kit/shell.js";
import { attempt, banner, busy, locked, ready, showProblem, warnings } from "../kit/states.js";
import { decision, outcomeBanner } from "../explain/decision.js";
import { openAddMenu } from "../rule/add_menu.js";
import { chainModel, newEntry } from "../rule/chain.js";
import { BLANK, changedMembers, draftOf } from "../rule/document.js";
import { openDryRun } from "../rule/dry_run.js";
import { openEntry } from "../rule/entry_panel.js";
import { drawLanes } from "../rule/lanes.js";
import { liveCards, watch } from "../rule/live.js";
import { markProblems, ofRule, showRejected } from "../rule/problems.js";
import { ruleForm } from "../rule/route_form.js";

const TENANT = `/api/v1/tenants/${page.tenant}`;
const IS_NEW = page.rule === "new";
const AT = IS_NEW ? `${TENANT}/rules` : `${TENANT}/rules/${page.rule}`;
const CHECK_MS = 400; // without another change

// tenant, rule, faults, remarks, providers, address, may, reason, isPlatform; then model, form, node, lanes,
// saved, why (the field for the reason of a change)
const state = { isLeaving: false };

const values = () => ({ ...state.form.read(), plugin_chain: state.model.chain });
const changes = () => changedMembers(state.saved, values());
const isDirty = () => Object.keys(changes()).length > 0;
/** The rule as it is edited; null for those who may not change it. */
const draft = () => (state.may ? draftOf(state.rule, changes()) : null);

/** Everything that the page needs, at the same time. */
async function load() {
  const [tenant, rule, plugins, tier, providers, found, connection, caller] = await Promise.all([
    read(TENANT),
    IS_NEW ? structuredClone(BLANK) : read(AT),
    readAll("/api/v1/plugins", "plugins"),
    read(`${TENANT}/tier`),
    readAll(`${TENANT}/providers`, "providers"),
    read(`${TENANT}/warnings`),
    read(`${TENANT}/connection`),
    me,
  ]);
  const { may, reason } = await mayChange();
  Object.assign(state, { tenant, rule, may, reason, address: connection.address });
  state.isPlatform = caller.is_platform;
  state.faults = found.warnings.filter((one) => one.rejects && [rule.id, null].includes(one.rule_id));
  state.remarks = found.warnings.filter((one) => !one.rejects && one.rule_id === rule.id);
  state.providers = providers.map((one) => one.name);
  state.model = chainModel({ rule, tenant, tier, plugins, locked: !may });
}

function showHead() {
  const { rule, tenant } = state;
  const name = IS_NEW ? "New rule" : rule.path;
  const activity = rule.active ? ["Active", "good"] : ["Off", ""];
  byId("crumb-tenant").textContent = tenant.name;
  byId("crumb-here").textContent = name;
  byId("title").replaceChildren(name, ...(IS_NEW ? [] : [badge(...activity)]));
  setTitle(name, tenant.name);
  const look = { className: "button quiet danger", onclick: remove };
  const removing = h("button", look, icon("trash"), "Delete");
  byId("actions").replaceChildren(
    ...(state.may && !IS_NEW ? [removing] : []),
    h("button", { className: "button", id: "test", onclick: tryRequest }, icon("test"), "Test a request"));
}

/** The problems of the stored rule, and why nothing can be changed here. */
function notes() {
  const [faults, remarks] = [state.faults, state.remarks].map((list) => list.map((one) => one.detail));
  return [
    faults.length > 0 && banner("bad", "This rule is closed: it rejects every request.", ...faults),
    remarks.length > 0 && banner("warn", "This rule may not work as intended.", ...remarks),
    !state.may && locked(state.reason),
  ];
}

const section = (id, title, aside, ...content) =>
  h("section", { className: "card", "aria-labelledby": id },
    h("div", { className: "card-head" }, h("h2", { id }, title), aside), content);

function build() {
  const { rule, providers, isPlatform } = state;
  state.form = ruleForm(rule, { providers, address: state.address, isPlatform });
  const lanes = h("div", { className: "lanes", "data-pointer": "/plugin_chain" });
  const form = h("form", { id: "form", noValidate: true, onsubmit: save },
    notes(),
    section("s-route", "Route", "", h("fieldset", { disabled: !state.may }, state.form.node)),
    section("s-chain", "Plugins on the way", chainHelp(),
      h("p", { className: "hidden", id: "chain-fixed" }, "It cannot be changed here."),
      h("div", { id: "outcome" }), lanes, h("p", { className: "error" }), h("div", { id: "steps" })),
    !IS_NEW && liveCards(),
    saveBar());
  byId("page").replaceChildren(form);
  state.node = form;
  state.saved = structuredClone(values());
  state.lanes = drawLanes(lanes, state.model, { edit, remove: removeEntry, add, change: changed });
  form.addEventListener("input", showBar);
  form.addEventListener("change", changed);
  showBar();
}

function chainHelp() {
  const keys = "Alt ← → moves, Alt P runs in parallel, Del removes. Or drag one onto another.";
  const touch = "Tap a plugin to set, move or remove it.";
  return h("p", { className: "muted help", id: "chain-keys" },
    state.may
      ? [h("span", { className: "keys" }, keys), h("span", { className: "touch" }, touch)]
      : "Choose a plugin to see its settings.");
}

function saveBar() {
  state.why = reasonField();
  return h("div", { className: "save", id: "save", hidden: true },
    h("p", {}, IS_NEW ? "Not saved yet" : "Unsaved changes"),
    state.why.node,
    h("div", { className: "actions" },
      !IS_NEW && h("button", { type: "button", className: "button", onclick: again }, "Discard"),
      h("button", { className: "button primary", id: "save-now" }, IS_NEW ? "Create rule" : "Save rule")));
}

const showBar = () => (byId("save").hidden = !state.may || !(IS_NEW || isDirty()));

const checkSoon = debounced(check, CHECK_MS);
/** After a change: the result of a dry run no longer holds, and the API checks the draft. */
function changed() {
  showOutcome();
  showBar();
  checkSoon.cancel();
  if (state.may && isDirty()) checkSoon();
}

/** Show the problems of the draft. A check that cannot be made tells nothing. */
async function check() {
  const sent = draft();
  const found = await problemsOf(sent).catch(() => null);
  if (!found || JSON.stringify(sent) !== JSON.stringify(draft())) return;
  // A new rule is not finished: what its fields lack is told when it is saved.
  const shown = IS_NEW ? found.filter(({ pointer }) => pointer.startsWith("/plugin_chain/")) : found;
  markProblems(state.node, state.model, shown);
  redrawKeepingFocus();
}

function redrawKeepingFocus() {
  const entry = state.model.chain[document.activeElement?.dataset?.index];
  state.lanes.draw();
  if (entry) state.lanes.focus(entry);
}

/** The problems for which the API would reject a rule. Throws all other errors. */
async function problemsOf(rule) {
  try {
    await call("POST", `${TENANT}/explain`, { body: { path: "/", rule } });
    return [];
  } catch (error) {
    if (!(error instanceof Rejected) || !error.errors.length) throw error;
    return ofRule(error.errors);
  }
}

function edit({ entry, origin }) {
  const index = state.model.chain.indexOf(entry);
  openEntry({
    entry,
    origin,
    index,
    plugin: state.model.plugins.get(entry.name),
    problems: origin === "rule" ? state.model.problemsOf(index) : [],
    lockedBy: state.may ? "" : state.reason,
    apply: (value) => apply(index, value),
    remove: () => removeEntry(entry),
  });
}

const editAt = (index) => edit({ entry: state.model.chain[index], origin: "rule" });

/** Put the changed entry into the chain, unless the API finds problems in it. */
async function apply(index, value) {
  const chain = state.model.chain.map((one, at) => (at === index ? value : one));
  const rule = draftOf(state.rule, { ...changes(), plugin_chain: chain });
  const problems = await problemsOf(rule).catch(() => []);
  const own = problems.filter(({ pointer }) => `${pointer}/`.startsWith(`/plugin_chain/${index}/`));
  if (own.length) return own;
  state.model.chain = chain;
  redraw();
  setTimeout(() => state.lanes.focus(value)); // after the panel has given the focus back
  return [];
}

function removeEntry(entry) {
  const at = state.model.chain.indexOf(entry);
  state.model.remove(entry);
  redraw();
  const next = state.model.chain[Math.min(at, state.model.chain.length - 1)];
  if (next) state.lanes.focus(next);
  else state.node.querySelector(".add")?.focus();
}

function redraw() {
  state.model.explained = null;
  state.model.problems = [];
  changed();
  state.lanes.draw();
}

function add(stage, button) {
  const fits = [...state.model.plugins.values()].filter((plugin) => plugin.stages.includes(stage));
  openAddMenu(button, fits, (plugin) => {
    const entry = newEntry(plugin, stage, state.model.chain);
    state.model.chain = [...state.model.chain, entry];
    redraw();
    state.lanes.focus(entry);
    edit({ entry, origin: "rule" });
  });
}

function tryRequest() {
  const rule = draftOf(state.rule, changes());
  const about = { tenantId: page.tenant, rule, mayCall: state.may, draft };
  attempt(() => openDryRun({ ...about, done: showExplained, failed: (error) => reject(error, "tried") }));
}

/** Say why the API does not take the rule. */
function reject(error, verb) {
  showRejected(error, { form: state.node, model: state.model, edit: editAt, newest: start, verb });
  state.lanes.draw();
}

function showExplained(explained) {
  const clear = () => {
    state.model.explained = null;
    showOutcome();
    state.lanes.draw();
    byId("test").focus();
  };
  state.model.explained = explained;
  state.lanes.draw();
  const clearing = h("button", { type: "button", className: "linklike", onclick: clear }, "Clear the result");
  const steps = h("details", { className: "more" }, h("summary", {}, "Step by step"), decision(explained));
  showOutcome([outcomeBanner(explained, clearing)], [steps]);
  byId("s-chain").scrollIntoView({ block: "start" });
}

/** The result of a dry run above the lanes, and its steps below them; nothing without arguments. */
function showOutcome(result = [], steps = []) {
  byId("outcome").replaceChildren(...result);
  byId("steps").replaceChildren(...steps);
}

async function save(event) {
  event.preventDefault();
  checkSoon.cancel();
  if (!IS_NEW && !isDirty()) return;
  await busy(byId("save-now"), async () => {
    try {
      await (IS_NEW ? create() : update());
    } catch (error) {
      if (!(error instanceof Rejected)) throw error;
      reject(error);
    }
  });
}

/** Show what is stored. The button that had the focus is gone then. */
async function again() {
  await start();
  byId("main").focus({ preventScroll: true });
}

async function create() {
  const { id } = await write("POST", AT, { path: "", ...changes() }, { reason: state.why.read() });
  leaveFor(`/ui/tenants/${page.tenant}/rules/${id}`);
}

async function update() {
  const stored = await write("PATCH", AT, changes(), { reason: state.why.read() });
  await again();
  toast("Saved. The proxies have it within a second.");
  // Warnings that are told once only: the others stand on the page while they hold.
  const once = stored.warnings.filter(({ detail }) => !state.remarks.some((one) => one.detail === detail));
  byId("problem").replaceChildren(...[warnings(once)].filter(Boolean));
}

async function remove() {
  const title = `Delete the rule ${state.rule.path}?`;
  const text = "Requests to its path get 404, or go to a rule above it. This cannot be undone.";
  if (!(await confirm({ title, text, action: "Delete rule" }))) return;
  await attempt(async () => {
    await write("DELETE", AT);
    leaveFor(`/ui/tenants/${page.tenant}`);
  });
}

function leaveFor(path) {
  state.isLeaving = true;
  location.assign(address(path));
}

/** Load the rule, and draw the page anew. */
async function start() {
  try {
    await load();
    showProblem(null);
    showHead();
    build();
    if (!IS_NEW) restartWatch();
  } catch (error) {
    showProblem(error);
    byId("title").textContent = "This rule cannot be shown";
    byId("page").replaceChildren();
  }
  ready();
}

let watching;
function restartWatch() {
  watching?.stop();
  watching = watch(page.tenant, page.rule);
}

addEventListener("beforeunload", (event) => {
  if (!state.isLeaving && state.form && isDirty()) event.preventDefault();
});
start();
