// The side panels of the page Models: a model with its targets, and the platform's price of a model.
import { h } from "../../kit/dom.js";
import { write } from "../../kit/api.js";
import { chips, choice, field, rows, section, text, toggle } from "../../kit/fields.js";
import { openPanel } from "../../kit/panel.js";
import { accepted } from "../../kit/saving.js";
import { sharing } from "../providers/sharing.js";

export const STRATEGIES = {
  weighted: "By weight",
  latency: "The fastest",
  least_busy: "The least busy",
  order: "In this order",
};
const FAILURES = [
  "connect", "reset", "timeout", "rate_limit", "overloaded", "server_error", "stream_start",
].map((name) => [name, name]);
const UNITS = { input: "Input", input_cached: "Cached input", output: "Output" };

/** The targets of a model. `known` are the models of providers, by which names are offered. */
function targetRows(targets, known) {
  const providers = [...new Set([...known, ...targets].map((one) => one.provider))];
  const make = (target) => {
    const given = target ?? { provider: providers[0] ?? "", model: "", weight: 1, priority: 0 };
    const at = targets.includes(target) ? `/targets/${targets.indexOf(target)}` : undefined;
    const provider = choice(given.provider, providers.map((name) => [name, name]), { ariaLabel: "Provider" });
    const names = h("datalist", { id: `names-${crypto.randomUUID()}` });
    const model = text(given.model, {
      className: "mono", ariaLabel: "Model at the provider", placeholder: "Model", list: names.id,
    });
    const weight = text(given.weight, { inputMode: "numeric" });
    const priority = text(given.priority, { inputMode: "numeric" });
    const offer = () =>
      names.replaceChildren(...namesOf(known, provider.value).map((value) => h("option", { value })));
    provider.addEventListener("change", offer);
    offer();
    const read = () => (model.value.trim() ? {
      ...(given.timeouts ? { timeouts: given.timeouts } : {}),
      provider: provider.value,
      model: model.value.trim(),
      weight: Number(weight.value),
      priority: Number(priority.value),
    } : undefined);
    const parts = [provider, model, small("Weight", weight), small("Priority", priority), names];
    return { node: h("div", { className: "target-row", "data-pointer": at }, parts), read };
  };
  const all = rows(targets.length ? targets : [undefined], make, "Add a target");
  const node = h("div", { className: "field w12", "data-pointer": "/targets" },
    h("p", { className: "target-row help", ariaHidden: "true" },
      ["Provider", "Model at the provider", "Weight", "Priority"].map((word) => h("span", {}, word))),
    all.node,
    h("p", { className: "help" }, "The lowest priority is tried first. Others follow when it fails."),
    h("p", { className: "error" }));
  return { node, read: all.read };
}

/** A label that phones show above its control, and others in the head of the rows. */
const small = (label, control) => h("label", { className: "small-label" }, h("span", {}, label), control);

const namesOf = (known, provider) =>
  known.find((one) => one.provider === provider)?.models.map((one) => one.model) ?? [];

/** How a target is chosen, and when another one is tried. */
function policyFields(model) {
  const affinity = toggle("Keep conversations together", model?.affinity !== null, {
    pointer: "/affinity",
    width: "w12",
    help: "A conversation stays at one target, so that its prompt cache is used.",
  });
  const attempts = field("Attempts", text(model?.retry.attempts ?? 3, { inputMode: "numeric" }),
    { pointer: "/retry/attempts", width: "w4", help: "At most, per request." });
  const all = FAILURES.map(([name]) => name);
  const failures = chips("Try another target after", model?.retry.on ?? all, FAILURES,
    { pointer: "/retry/on" });
  const consecutive = field("Failures that open the breaker",
    text(model?.breaker.consecutive ?? 5, { inputMode: "numeric" }),
    { pointer: "/breaker/consecutive", width: "w8", help: "In a row. The target then gets no calls." });
  const read = () => ({
    ...(affinity.read() ? (model?.affinity ? { affinity: model.affinity } : {}) : { affinity: null }),
    retry: { ...model?.retry, attempts: Number(attempts.read()), on: failures.read() },
    breaker: { ...model?.breaker, consecutive: Number(consecutive.read()) },
  });
  const node = h("details", { className: "more w12" }, h("summary", {}, "When a target fails"),
    h("div", { className: "fields" }, [affinity, attempts, consecutive, failures].map((one) => one.node)));
  return { node, read };
}

/** Add a model, or change the one that is given. */
export function openModel({ owner, model, known, done, remove }) {
  const name = field("Name", text(model?.name, { className: "mono", placeholder: "best" }),
    { pointer: "/name", required: true, help: "Clients ask for it." });
  const about = field("Description", text(model?.description), { pointer: "/description", required: false });
  const targets = targetRows(model?.targets ?? [], known);
  const strategy = field("Which target is called",
    choice(model?.strategy ?? "weighted", Object.entries(STRATEGIES)),
    { pointer: "/strategy", help: "Among those of one priority." });
  const policy = policyFields(model);
  const visible = toggle("Listed", model?.visible ?? true,
    { pointer: "/visible", width: "w12", help: "Off: it works, but GET /v1/models does not show it." });
  const shared = owner.id ? null : sharing(model?.shared ?? "all");
  openPanel({
    title: model ? `Edit ${model.name}` : "Add a model",
    text: "One name for one or several models of providers.",
    save: model ? "Save" : "Add the model",
    actions: model && h("button", { type: "button", className: "button danger", onclick: remove }, "Delete"),
    body: [
      section("Model", name.node, about.node),
      section("Targets", targets.node, strategy.node, policy.node),
      section("Who may use it", visible.node, shared?.node, !shared && h("p", { className: "help w12" },
        "Rules for AI of this tenant, and API keys, as far as their own lists of models allow it.")),
    ],
    submit: (form) => accepted(form, async () => {
      const sent = {
        name: name.read(), description: about.read(), targets: targets.read(), strategy: strategy.read(),
        ...policy.read(), visible: visible.read(), ...(shared ? { shared: shared.read() } : {}),
      };
      const path = `${owner.base}/models`;
      done(model
        ? await write("PATCH", `${path}/${encodeURIComponent(model.name)}`, sent)
        : await write("POST", path, sent));
    }),
  });
}

/** Set the platform's price of a model for all providers of a kind. */
export function openPrice({ kind, row, stored, done }) {
  const name = `${kind}/${row.model}`;
  const fields = Object.entries(UNITS).map(([unit, title]) => [unit, field(title, text(stored?.[unit], {
    inputMode: "decimal", className: "mono", placeholder: row.prices[unit] ?? "",
  }), { pointer: `/prices/${name.replaceAll("~", "~0").replaceAll("/", "~1")}/${unit}`, width: "w4" })]);
  const send = async (units) => done(await write("PATCH", "/api/v1/prices", { prices: { [name]: units } }));
  const panel = openPanel({
    title: `Price of ${row.model}`,
    text: `USD per million tokens, for all providers of the kind ${kind}. A provider's own comes first.`,
    body: [
      h("div", { className: "fields" }, fields.map(([, one]) => one.node)),
      h("p", { className: "help" }, "Empty fields have the price of the release."),
    ],
    actions: stored ? [h("button", {
      type: "button", className: "button danger",
      onclick: () => accepted(panel.form, async () => {
        await send(null);
        panel.close();
      }),
    }, "Remove")] : [],
    submit: (form) => accepted(form, async () => {
      const typed = fields.map(([unit, one]) => [unit, one.read().trim()]).filter(([, value]) => value);
      const others = Object.entries(stored ?? {}).filter(([unit]) => !(unit in UNITS));
      const all = Object.fromEntries([...others, ...typed]);
      await send(Object.keys(all).length ? all : null);
    }),
  });
}
