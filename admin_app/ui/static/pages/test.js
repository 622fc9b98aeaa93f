// A dry run of a request: which rule it meets, and what decides. The address holds what is asked.
import { Rejected, readAll, write } from "../kit/api.js";
import { byId, h, setTitle } from "../kit/dom.js";
import { choice, field, showErrors } from "../kit/fields.js";
import { mayChange, me } from "../kit/shell.js";
import { banner, busy, empty, ready, showProblem } from "../kit/states.js";
import { decision, outcomeBanner } from "../explain/decision.js";
import { chatRequest, requestForm } from "../explain/request_form.js";

const IN_ADDRESS = ["method", "path"];
const asked = Object.fromEntries(new URLSearchParams(location.search));
const state = {}; // tenants, tenant, rules, form

/** The tenants that the caller may choose. */
async function tenants() {
  const { is_platform, tenant } = await me;
  return is_platform ? readAll("/api/v1/tenants", "tenants") : [tenant];
}

function tenantField() {
  const names = state.tenants.map((one) => [one.id, `${one.name} (${one.subdomain})`]);
  const onchange = () => choose(control.value).catch(showProblem);
  const control = choice(state.tenant.id, names, { onchange });
  return field("Tenant", control, { width: "w6" });
}

/** The rules of the tenant, by which the request is filled in. */
function ruleField() {
  const names = state.rules.map((rule) => [rule.id, rule.path + (rule.active ? "" : " (off)")]);
  const control = choice("", [["", "—"], ...names], {
    onchange: () => fill(state.rules.find((rule) => rule.id === control.value)),
  });
  return field("Fill in for the rule", control, { width: "w6" });
}

/** The rule that is most likely meant. */
const likely = (rules) => rules.find((one) => one.ai) ?? rules[0];
const fill = (rule) => state.form.fill(rule ?? likely(state.rules));

/** The first state of the form: a chat completion, with the tenant and the rule that the address names. */
function startOf(rule) {
  const isChat = !asked.path || asked.model;
  const named = IN_ADDRESS.filter((name) => asked[name]).map((name) => [name, asked[name]]);
  const chat = isChat ? chatRequest(rule, asked.model) : {};
  return { ...chat, ...Object.fromEntries(named), key_id: asked.key };
}

async function choose(tenantId) {
  state.tenant = state.tenants.find((one) => one.id === tenantId) ?? state.tenants[0];
  const base = `/api/v1/tenants/${state.tenant.id}`;
  const [{ may }, rules, keys] = await Promise.all([
    mayChange(),
    readAll(`${base}/rules`, "rules"),
    readAll(`${base}/api-keys`, "api_keys"),
  ]);
  const rule = rules.find((one) => one.id === asked.rule) ?? likely(rules);
  state.rules = rules;
  state.form = requestForm({ keys, rule, start: startOf(rule), mayCall: may });
  remember(asked);
  draw();
}

/** Keep what is asked in the address, so that it can be shared. */
function remember(sent) {
  const kept = IN_ADDRESS.filter((name) => sent[name]).map((name) => [name, sent[name]]);
  history.replaceState(null, "", `?${new URLSearchParams([["tenant", state.tenant.id], ...kept])}`);
}

function draw() {
  const preset = h("button",
    { type: "button", className: "button small", onclick: () => fill() }, "Chat completion");
  const form = h("form",
    { noValidate: true, onsubmit: run, className: "card", "aria-labelledby": "s-request" },
    h("div", { className: "card-head" }, h("h2", { id: "s-request" }, "Request"), preset),
    h("div", { className: "section" },
      h("div", { className: "fields" }, tenantField().node, ruleField().node),
      state.form.node,
      h("div", { className: "actions" }, h("button", { className: "button primary", id: "run" }, "Run"))));
  const none = empty("Nothing was run yet.", "A dry run calls no upstream and charges no limit.");
  byId("page").replaceChildren(h("div", { className: "halves" }, form,
    h("div", { id: "result", "aria-live": "polite" }, h("section", { className: "card" }, none))));
}

async function run(event) {
  event.preventDefault();
  const [form, sent] = [event.target, state.form.read()];
  remember(sent);
  await busy(byId("run"), async () => {
    try {
      const explained = await write("POST", `/api/v1/tenants/${state.tenant.id}/explain`, sent);
      showErrors(form, []);
      show(explained);
    } catch (error) {
      if (!(error instanceof Rejected)) throw error;
      showErrors(form, error.errors);
      byId("result").replaceChildren(banner("bad", error.message));
    }
  });
}

function show(explained) {
  const rule = state.rules.find((one) => one.id === explained.rule_id);
  const path = rule && `/ui/tenants/${state.tenant.id}/rules/${rule.id}`;
  const link = rule && h("p", {}, "By the rule ", h("a", { href: path }, rule.path));
  byId("result").replaceChildren(outcomeBanner(explained, ...(link ? [link] : [])), decision(explained));
  byId("result").scrollIntoView({ block: "nearest" });
}

function showNoTenants() {
  const link = h("a", { className: "button", href: "/ui/tenants" }, "Tenants");
  const none = empty("No tenants yet.", "A request belongs to a tenant. Create one first.", link);
  byId("page").replaceChildren(h("section", { className: "card" }, none));
}

async function start() {
  setTitle("Test a request");
  try {
    state.tenants = await tenants();
    if (state.tenants.length) await choose(asked.tenant);
    else showNoTenants();
  } catch (error) {
    showProblem(error);
  }
  ready();
}
start();
