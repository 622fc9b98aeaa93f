// Where a rule goes: one target, several, or providers of AI. The form shows the fields of the chosen kind.
import { badge, byId, h, newId } from "../kit/dom.js";
import {
  choice, field, lineList, lines, nodesOf, pairs, rows, schemaForm, segments, text, toggle, valuesOf,
} from "../kit/fields.js";
import { POLICY, TIMEOUTS } from "./schemas.js";

const KINDS = [["target", "One target"], ["targets", "Several targets"], ["ai", "AI providers"]];
const STRATEGIES = [
  ["weighted", "By weight"],
  ["latency", "The fastest"],
  ["least_busy", "The least busy"],
  ["order", "In order"],
];
const UNSUPPORTED = [
  ["default", "Drop it, or reject"],
  ["reject", "Reject the request"],
  ["drop", "Drop it"],
];
const NO_AI = {
  providers: [], models: null, default_model: null, hide_target: false, apis: null,
  translate: { unsupported: "default", reasoning: "expose" },
};

/** The headers of a rule and of its targets, as text. */
export const HEADERS = {
  label: "Headers of the upstream request",
  help: "Values are stored encrypted. An empty value keeps what is stored.",
  secret: true,
};

const kindOf = (rule) => (rule.ai ? "ai" : rule.targets ? "targets" : "target");
const number = (value, props) => h("input", { type: "number", value, ...props });
const numberOf = (control) => (control.value === "" ? undefined : Number(control.value));

/** A folded group of fields. */
export const folded = (label, help, inner, pointer) =>
  h("details", { className: "field w12 more group", "data-pointer": pointer },
    h("summary", {}, label),
    help && h("p", { className: "help" }, help),
    inner,
    h("p", { className: "error" }));

/** One of several targets. Its health is shown above the URL. */
function targetRow(one, at) {
  const pointer = `/targets/${at}`;
  const [weight, priority] = [number(one.weight ?? 1, { min: 0 }), number(one.priority ?? 0, { min: 0 })];
  const url = text(one.url, { className: "mono", placeholder: "https://gpu-1.example.com/v1" });
  const parts = {
    url: field("URL", url, { pointer: `${pointer}/url`, width: "w6", required: true }),
    weight: field("Weight", weight,
      { pointer: `${pointer}/weight`, width: "w3", read: () => numberOf(weight) }),
    priority: field("Priority, 0 first", priority,
      { pointer: `${pointer}/priority`, width: "w3", read: () => numberOf(priority) }),
  };
  const headers = pairs(one.headers, { ...HEADERS, pointer: `${pointer}/headers` });
  const timeouts = schemaForm(TIMEOUTS, one.timeouts ?? {}, { pointer: `${pointer}/timeouts` });
  const help = "Timeouts can only shorten those of the rule.";
  const node = h("div", { className: "group", "data-pointer": pointer },
    h("p", { className: "target-health", "data-url": one.url ?? "" }),
    h("div", { className: "fields" }, nodesOf(parts)),
    h("details", { className: "more" },
      h("summary", {}, "Headers and timeouts"),
      h("div", { className: "section" }, headers.node, h("p", { className: "help" }, help), timeouts.node)),
    h("p", { className: "error" }));
  return { node, read: () => ({ ...valuesOf(parts), headers: headers.read(), timeouts: timeouts.read() }) };
}

function policyForms(rule) {
  return POLICY.map(([name, label, help, schema]) => {
    const form = schemaForm(schema, rule[name] ?? {}, { pointer: `/${name}` });
    return { name, node: folded(label, help, form.node, `/${name}`), read: form.read };
  });
}

function targetsForm(rule) {
  let at = 0;
  const targets = rows(rule.targets, (one = {}) => targetRow(one, at++), "Add a target");
  const strategy = choice(rule.strategy ?? "weighted", STRATEGIES);
  const policy = policyForms(rule);
  const read = () => {
    const found = Object.fromEntries(policy.map((part) => [part.name, part.read()]));
    if (!found.affinity.by) found.affinity = null;
    return { target: null, ai: null, targets: targets.read(), strategy: strategy.value, ...found };
  };
  const node = h("div", { className: "fields" },
    h("div", { className: "field w12", "data-pointer": "/targets" },
      targets.node, h("p", { className: "error" })),
    field("Choice of a target", strategy,
      { pointer: "/strategy", width: "w6", help: "Among those of the lowest priority." }).node,
    h("details", { className: "more w12" },
      h("summary", {}, "More of the choice: affinity, retries, breaker, streams, probes"),
      h("div", { className: "fields" }, policy.map((part) => part.node))));
  return { node, read };
}

function targetForm(rule) {
  const placeholder = "https://api.example.com";
  const control = text(rule.target, { className: "mono", type: "url", placeholder });
  const help = "http or https. Host and, if any, a base path.";
  const target = field("Target", control, { pointer: "/target", required: true, help });
  return {
    node: h("div", { className: "fields" }, target.node),
    read: () => ({ target: target.read() || null, targets: null, ai: null }),
  };
}

/** The providers of a rule, in their order. */
function providerList(chosen, known) {
  const names = [...new Set([...known, ...chosen])].map((name) => [name, name]);
  const make = (name) => {
    const control = choice(name ?? names[0]?.[0], names, { ariaLabel: "Provider" });
    return { node: control, read: () => control.value || undefined };
  };
  const inner = rows(chosen, make, "Add a provider");
  const id = newId("f");
  const node = h("div",
    { className: "field w6", role: "group", "aria-labelledby": id, "data-pointer": "/ai/providers" },
    h("span", { className: "label", id }, "Providers"),
    h("p", { className: "help" }, "A model is looked for in this order. None: all providers of the tenant."),
    inner.node,
    h("p", { className: "error" }));
  return { node, read: inner.read };
}

/** How requests are translated for providers that do not speak the API of the client. */
function translateForm(translate, about) {
  const parts = {
    hides: toggle("Hide thoughts", translate.reasoning === "hide",
      about("translate/reasoning", "Translated responses have no thoughts of the model.")),
    unsupported: field("What the other API lacks", choice(translate.unsupported, UNSUPPORTED),
      about("translate/unsupported", "Requests are translated for providers that do not speak their API.")),
  };
  const read = () => {
    const { unsupported, hides } = valuesOf(parts);
    return { unsupported, reasoning: hides ? "hide" : "expose" };
  };
  return { node: nodesOf(parts), read };
}

function aiForm(rule, known) {
  const ai = rule.ai ?? NO_AI;
  const [models, apis] = [lineList(ai.models), lineList(ai.apis)];
  const about = (name, help, more) => ({ pointer: `/ai/${name}`, width: "w6", help, ...more });
  const orNull = (control) => ({ read: () => (lines(control).length ? lines(control) : null) });
  const model = text(ai.default_model, { className: "mono" });
  const parts = {
    providers: providerList(ai.providers, known),
    default_model: field("Default model", model,
      about("default_model", "For a request that names no model. None: it is rejected.", {
        read: () => model.value || null,
      })),
    models: field("Models", models,
      about("models", "Those that clients may ask for; * stands for any text. None: all.", orNull(models))),
    apis: field("APIs", apis,
      about("apis", "Such as openai.chat. None: all that are spoken or translated.", orNull(apis))),
    hide_target: toggle("Hide the target", ai.hide_target,
      about("hide_target", "Responses name the model that was asked for, and no provider.")),
    translate: translateForm(ai.translate, about),
  };
  return {
    node: h("div", { className: "fields", "data-pointer": "/ai" }, nodesOf(parts)),
    read: () => ({ target: null, targets: null, ai: valuesOf(parts) }),
  };
}

/**
 * The form: {node, read, kind}. `read` gives the members of the rule; `providers` are the names of the
 * tenant's, `onkind` is called after another kind was chosen.
 */
export function upstreamForm(rule, { providers, onkind }) {
  const targets = rule.targets ?? [rule.target ? { url: rule.target } : {}];
  const forms = {
    target: () => targetForm(rule),
    targets: () => targetsForm({ ...rule, targets }),
    ai: () => aiForm(rule, providers),
  };
  const made = {};
  const host = h("div", {});
  let kind = kindOf(rule);
  const show = () => host.replaceChildren((made[kind] ??= forms[kind]()).node);
  const kinds = segments("Kind of upstream", kind, KINDS, {
    onchange(chosen) {
      kind = chosen;
      show();
      onkind(kind);
    },
  });
  show();
  return {
    node: h("div", { className: "section" }, h("div", {}, kinds.node), host),
    read: () => made[kind].read(),
    get kind() {
      return kind;
    },
  };
}

/** Show the health of the targets, {name, state, reason}, above their fields. */
export function showTargetHealth(targets) {
  const states = new Map(targets.map((target) => [target.name, target]));
  for (const place of byId("page").querySelectorAll(".target-health")) {
    const state = states.get(place.dataset.url);
    place.replaceChildren(...(state ? [healthBadge(state), state.reason ?? ""] : []));
  }
}

/** Whether a target is called, as a badge. */
export const healthBadge = ({ state }) =>
  state === "open" ? badge("Not called", "bad", "warn") : badge("Called", "good", "check");
