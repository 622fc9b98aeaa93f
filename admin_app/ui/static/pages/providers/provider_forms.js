// The side panels that add and change a provider.
import { h } from "../../kit/dom.js";
import { write } from "../../kit/api.js";
import {
  chips, choice, field, isSame, rows, schemaForm, secretField, section, text, toggle,
} from "../../kit/fields.js";
import { openPanel } from "../../kit/panel.js";
import { accepted } from "../../kit/saving.js";
import { isEmpty, secretSource } from "./secret.js";
import { sharing } from "./sharing.js";

const INTERVALS = [["off", "Off"], ["10m", "Every 10 minutes"], ["1h", "Every hour"], ["1d", "Every day"]];
const INTERVAL_OF = { 600: "10m", 3600: "1h", 86400: "1d" };
const APIS = [
  ...["openai.chat", "openai.responses", "openai.embeddings", "openai.completions", "openai.images"],
  ...["openai.audio", "anthropic.messages", "anthropic.count_tokens"],
].map((name) => [name, name]);
const NO_MODEL = { id: "", aliases: [], prices: {}, caps: {} };
const PRICED = ["input", "output"];
const PRICES_HELP = "Prices are USD per million tokens. Empty: those of the platform or of the release.";

const nameField = (name) => field("Name", text(name, { className: "mono" }),
  { pointer: "/name", required: true, help: "Rules, models and API keys name it." });

/** Where the calls go: what the kind asks for. `given` is a provider, or {} for a new one. */
function whereFields(kind, given) {
  const hasParams = Object.keys(kind.params_schema.properties).length > 0;
  const params = schemaForm(kind.params_schema, given.params ?? {}, { pointer: "/params" });
  const url = field("Base URL", text(given.base_url, {
    type: "url", className: "mono", placeholder: kind.base_url ?? "https://models.example.com/v1",
  }), {
    pointer: "/base_url",
    required: !kind.base_url,
    help: kind.base_url ? "Empty: that of the kind." : "The part before /chat/completions or /v1/messages.",
    read: () => url.control.value.trim() || null,
  });
  const apis = kind.apis.length === 0 &&
    chips("APIs that it speaks", given.apis ?? ["openai.chat"], APIS, { pointer: "/apis" });
  return {
    nodes: [url.node, hasParams && h("div", { className: "w12" }, params.node), apis && apis.node],
    read: () => ({
      base_url: url.read(),
      ...(hasParams ? { params: params.read() } : {}),
      ...(apis ? { apis: apis.read() } : {}),
    }),
  };
}

/** One declared model. Prices that the row does not show, and capabilities, stay. */
function modelRow(model, pointer) {
  const line = (ariaLabel, value, placeholder) => text(value, { className: "mono", ariaLabel, placeholder });
  const id = line("Name at the provider", model.id, "Name, such as gpt-4o-mini");
  const aliases = line("Other names, separated by spaces", model.aliases.join(" "), "Other names");
  const prices = PRICED.map((unit) =>
    line(`USD per million ${unit} tokens`, model.prices[unit], unit === "input" ? "$ in" : "$ out"));
  const read = () => {
    const name = id.value.trim();
    if (!name) return undefined;
    const others = Object.entries(model.prices).filter(([unit]) => !PRICED.includes(unit));
    const typed = PRICED.map((unit, i) => [unit, prices[i].value.trim()]).filter(([, value]) => value);
    return {
      id: name,
      aliases: aliases.value.split(/\s+/).filter(Boolean),
      caps: model.caps,
      prices: Object.fromEntries([...typed, ...others]),
    };
  };
  return { node: h("div", { className: "model-row", "data-pointer": pointer }, id, aliases, prices), read };
}

function modelRows(models) {
  const make = (model) => modelRow(model ?? NO_MODEL, model && `/models/${models.indexOf(model)}`);
  const all = rows(models, make, "Declare a model");
  const node = h("div", { className: "field w12", "data-pointer": "/models" }, all.node,
    h("p", { className: "help" }, PRICES_HELP), h("p", { className: "error" }));
  return { node, read: all.read };
}

/** Seconds of the API as a value of the choice. */
const intervalOf = (value) => INTERVAL_OF[value] ?? (value == null ? "off" : String(value));

/** The fields that all kinds have: {node, read}. */
function commonFields(owner, given) {
  const discover = intervalOf(given.discover);
  const isOther = INTERVALS.every(([value]) => value !== discover);
  const options = isOther ? [...INTERVALS, [discover, `Every ${discover} s`]] : INTERVALS;
  const every = field("Read its list of models", choice(discover, options),
    { pointer: "/discover", width: "w6", help: "Clients then see these models, too." });
  const most = field("Calls at a time", text(given.max_concurrent, { inputMode: "numeric" }),
    { pointer: "/max_concurrent", width: "w6", required: false, help: "Per worker." });
  const enabled = toggle("Enabled", given.enabled ?? true,
    { pointer: "/enabled", help: "Off: its models are not found." });
  const shared = owner.id ? null : sharing(given.shared ?? "all");
  return {
    node: section("More", every.node, most.node, enabled.node, shared?.node),
    read: () => ({
      discover: every.read(),
      max_concurrent: most.read().trim() === "" ? null : Number(most.read()),
      enabled: enabled.read(),
      ...(shared ? { shared: shared.read() } : {}),
    }),
  };
}

/** The choice of a kind with what depends on it: {nodes, read}. */
function presetFields(kinds) {
  const kind = choice("openai", [...kinds.values()].map((one) => [one.kind, one.title]));
  const name = nameField("openai");
  const where = h("div", { className: "fields" });
  const docs = h("p", { className: "help w12" });
  let place;
  let isNamed = false;
  name.control.addEventListener("input", () => (isNamed = true));
  const show = () => {
    const chosen = kinds.get(kind.value);
    if (!isNamed) name.control.value = chosen.kind;
    place = whereFields(chosen, {});
    where.replaceChildren(...place.nodes.filter(Boolean));
    docs.replaceChildren(
      h("a", { href: chosen.docs, rel: "noreferrer", target: "_blank" }, "Reference of its API"),
      chosen.needs_key ? "" : " · a key is optional");
  };
  kind.addEventListener("change", show);
  show();
  return {
    nodes: [
      section("Preset", field("Kind", kind, { pointer: "/kind" }).node, docs, name.node),
      section("Address", h("div", { className: "w12" }, where)),
    ],
    read: () => ({ name: name.read(), kind: kind.value, ...place.read() }),
  };
}

/** Add a provider from a preset. `kinds` is a map; `done` gets what the API made. */
export function addProvider(owner, kinds, done) {
  const preset = presetFields(kinds);
  const key = secretSource(owner, "Key of the provider", "/keys/0/secret");
  const models = modelRows([]);
  const common = commonFields(owner, {});
  const about = `For ${owner.name}. Its rules see it before a shared one of the same name.`;
  openPanel({
    title: "Add a provider",
    text: owner.id ? about : "Of the platform.",
    save: "Add the provider",
    body: [preset.nodes, section("Key", key.nodes), section("Models", models.node), common.node],
    submit: (form) => accepted(form, async () => {
      const secret = key.read();
      const keys = isEmpty(secret) ? [] : [{ name: "main", secret }];
      const sent = { ...preset.read(), keys, models: models.read(), ...common.read() };
      done(await write("POST", `${owner.base}/providers`, sent));
    }),
  });
}

/** The secrets of the stored keys: needed again when the address changes to another origin. */
function keySecrets(provider) {
  const pointer = (key) => `/keys/${provider.keys.indexOf(key)}/secret`;
  const fields = new Map(provider.keys.filter((key) => key.secret.set).map((key) =>
    [key.id, secretField(key.name || key.id, true, { pointer: pointer(key) })]));
  const node = fields.size > 0 && h("details", { className: "more w12" },
    h("summary", {}, "Secrets of the keys"),
    h("p", { className: "help" }, "They belong to the origin of the base URL. For another, send them again."),
    h("div", { className: "fields" }, [...fields.values()].map((one) => one.node)));
  const isTyped = () => [...fields.values()].some((one) => one.control.value);
  const keys = () => provider.keys.map(({ id, name, weight, models, enabled, secret }) =>
    ({ id, name, weight, models, enabled, secret: fields.get(id)?.read() ?? secret }));
  return { node, read: () => (isTyped() ? { keys: keys() } : {}) };
}

function isStored(name, value, provider) {
  const stored = name === "discover" ? intervalOf(provider.discover) : provider[name];
  return isSame(value, stored);
}

/** Change a provider. Only what differs is sent. */
export function editProvider(owner, kinds, provider, done) {
  const kind = kinds.get(provider.kind);
  const name = nameField(provider.name);
  const place = whereFields(kind, provider);
  const secrets = keySecrets(provider);
  const models = modelRows(provider.models);
  const common = commonFields(owner, provider);
  openPanel({
    title: `Edit ${provider.name}`,
    text: kind.title,
    body: [
      section("Address", name.node, place.nodes, secrets.node),
      section("Models", models.node),
      common.node,
    ],
    submit: (form) => accepted(form, async () => {
      const sent = { name: name.read(), ...place.read(), models: models.read(), ...common.read() };
      const changed = Object.entries(sent).filter(([key, value]) => !isStored(key, value, provider));
      done(await write("PATCH", `${owner.base}/providers/${provider.id}`,
        { ...Object.fromEntries(changed), ...secrets.read() }));
    }),
  });
}
