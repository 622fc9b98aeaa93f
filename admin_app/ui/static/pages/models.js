// The page Models: names with their targets, and the models of providers with prices and capabilities.
import { ago, badge, byId, compact, day, h, icon, setTitle, toast, whole } from "../kit/dom.js";
import { read, readAll, write } from "../kit/api.js";
import { confirm } from "../kit/panel.js";
import { debounced } from "../kit/poll.js";
import { attempt, locked, ready } from "../kit/states.js";
import { dataTable } from "../kit/table.js";
import { STRATEGIES, openModel, openPrice } from "./models/forms.js";
import { findOwner, keepFocus, offerOwners, withOwner } from "./providers/owner.js";
import { showChanged } from "./providers/changed.js";
import { sharedWith } from "./providers/sharing.js";

const SOURCES = { provider: "Provider", platform: "Platform", shipped: "Release" };
const state = { owner: null, models: [], shared: [], found: null, prices: {}, rules: [] };
let tables;

/** An amount as it is written, with at least two digits: $0.15, $2.50, $0.075. */
const usd = (amount) => `$${amount.toFixed(Math.max(2, String(amount).split(".")[1]?.length ?? 0))}`;

const price = (prices, unit) => (prices[unit] === undefined ? "—" : usd(Number(prices[unit])));

/** The row of a target among the models of providers. */
const rowOf = ({ provider, model }) =>
  state.found.providers.find((one) => one.provider === provider)?.models
    .find((one) => one.model === model || one.aliases.includes(model));

const targetText = ({ provider, model, weight, priority }) =>
  h("li", {}, h("span", { className: "mono" }, `${provider}/${model}`),
    h("small", {}, [weight !== 1 && `weight ${weight}`, priority > 0 && `priority ${priority}`]
      .filter(Boolean).join(", ")));

/** The lowest and the highest price of the targets, as far as they are known. */
function span(model, unit) {
  const found = model.targets.map((one) => Number(rowOf(one)?.prices[unit])).filter(Number.isFinite);
  if (!found.length) return "—";
  const [low, high] = [Math.min(...found), Math.max(...found)];
  return low === high ? usd(low) : `${usd(low)} – ${usd(high)}`;
}

/** The paths of the rules that offer a model. A model that is not listed can be asked for all the same. */
function offeredBy({ name, visible }) {
  const offers = (rule) => rule.models.some((one) => one.name === name);
  const paths = state.rules.filter(offers).map((rule) => rule.path);
  return paths.join(", ") || (visible ? "None" : "Those that allow its name");
}

const modelColumns = () => [
  {
    key: "name", title: "Model", sort: (one) => one.name,
    cell: (one) => h("div", {},
      h("button", {
        type: "button", id: `edit-${one.name}`, className: "linklike name", onclick: () => edit(one),
        disabled: !state.owner.may,
        title: state.owner.may ? null : state.owner.reason,
      }, one.name),
      one.description && h("p", { className: "help clip", title: one.description }, one.description)),
  },
  {
    key: "targets", title: "Targets",
    cell: (one) => h("ul", { className: "targets" }, one.targets.map(targetText)),
  },
  { key: "strategy", title: "Chosen", opt: true, cell: (one) => STRATEGIES[one.strategy] },
  { key: "input", title: "Input / M", num: true, cell: (one) => span(one, "input") },
  { key: "output", title: "Output / M", num: true, cell: (one) => span(one, "output") },
  {
    key: "shared", title: state.owner.id ? "Rules that offer it" : "Who may use it", opt: true,
    cell: (one) => [state.owner.id ? offeredBy(one) : sharedWith(one.shared), " ",
      !one.visible && badge("Not listed")],
  },
];

/** The capabilities of a model, in a few words. */
function caps(found) {
  const words = ["vision", "tools", "pdf", "audio", "structured"].filter((name) => found[name] === true);
  if (found.thinking && found.thinking !== "none") words.push("thinking");
  return [
    found.context && h("span", { className: "badge" }, `${compact(found.context)} context`),
    words.map((word) => h("span", { className: "badge" }, word)),
  ];
}

/** Where the prices of a row are from: the source of most of them, and the date of those of the release. */
function source(row) {
  const names = [...new Set(Object.values(row.prices_from))];
  if (!names.length) return badge("No price", "warn", "warn");
  const text = names.map((name) => SOURCES[name]).join(", ");
  const date = names.includes("shipped") && state.found.prices_date;
  return h("span", { title: names.includes("shipped") ? state.found.prices_source : null },
    text, date && h("small", { className: "sub" }, day(date)));
}

const knownColumns = () => [
  {
    key: "model", title: "Model", sort: (row) => row.model,
    cell: (row) => h("div", {}, h("span", { className: "mono name" }, row.model),
      row.aliases.length > 0 && h("p", { className: "help" }, `also ${row.aliases.join(", ")}`)),
  },
  {
    key: "provider", title: "Provider", sort: (row) => row.provider,
    cell: (row) => [
      row.provider, row.isShared && [" ", badge("Shared")], !row.enabled && [" ", badge("Off")],
    ],
  },
  {
    key: "origin", title: "Known by", opt: true,
    cell: (row) => [row.declared && "Declared", row.listed && "Its list"].filter(Boolean).join(", "),
  },
  {
    key: "caps", title: "Capabilities", opt: true,
    cell: (row) => h("div", { className: "badges" }, caps(row.caps)),
  },
  { key: "input", title: "Input / M", num: true, sort: (row) => Number(row.prices.input ?? -1),
    cell: (row) => price(row.prices, "input") },
  { key: "output", title: "Output / M", num: true, sort: (row) => Number(row.prices.output ?? -1),
    cell: (row) => price(row.prices, "output") },
  { key: "from", title: "Price from", opt: true, cell: source },
  ...(state.owner.isPlatform && !state.owner.id ? [{
    key: "set", title: h("span", { className: "hidden" }, "Change"),
    cell: (row) => h("button", {
      type: "button", id: `price-${row.provider}/${row.model}`, className: "button small quiet",
      ariaLabel: `Set the price of ${row.model}`,
      onclick: () => openPrice({
        kind: row.kind, row, stored: state.prices[`${row.kind}/${row.model}`],
        done: () => saved("The price is saved."),
      }),
    }, "Set price"),
  }] : []),
];

function draw() {
  const { found, models, shared, owner } = state;
  keepFocus(byId("models"), () => tables.models.show(models));
  byId("models-count").textContent = whole(models.length);
  byId("shared-part").hidden = !owner.id || !shared.length;
  byId("shared").replaceChildren(...shared.map((one) =>
    h("li", {},
      h("b", { className: "mono" }, one.name), h("span", {}, one.description || "No description."))));
  drawKnown(found);
}

function drawKnown(found) {
  const rows = found.providers.flatMap(({ models, ...of }) => models.map((one) =>
    ({ ...one, provider: of.provider, kind: of.kind, isShared: of.shared, enabled: of.enabled })));
  const all = found.providers.reduce((sum, one) => sum + one.count, 0);
  const text = byId("filter").value;
  const none = text
    ? { title: `No model contains “${text}”.`, text: "Clear the filter to see all." }
    : { title: "No models are known.", text: "Declare models at a provider, or let it read its list." };
  keepFocus(byId("known"), () => tables.known.show(rows, { none }));
  byId("known-count").textContent = rows.length < all ? `${whole(rows.length)} of ${whole(all)}` : whole(all);
  const lists = found.providers.filter((one) => one.checked_at);
  byId("lists").replaceChildren(...lists.map((one) => {
    const more = one.models.filter((row) => row.listed && !row.declared).length;
    const less = one.models.filter((row) => row.declared && !row.listed).length;
    const changes = [more && `${whole(more)} not declared`, less && `${whole(less)} declared but not in it`];
    return h("li", {}, `The list of ${one.provider} was read ${ago(one.checked_at)}`,
      changes.some(Boolean) ? `: ${changes.filter(Boolean).join(", ")}.` : ".");
  }));
}

async function loadKnown() {
  const query = new URLSearchParams(byId("filter").value ? { text: byId("filter").value } : {});
  state.found = await read(`${state.owner.base}/provider-models?${query}`);
}

async function load() {
  const { base, id } = state.owner;
  const [models, first, prices, connection] = await Promise.all([
    readAll(`${base}/models`, "models"),
    id ? read(`${base}/models?limit=1`) : {},
    state.owner.isPlatform ? read("/api/v1/prices") : {},
    id ? read(`${base}/connection`) : {},
    loadKnown(),
  ]);
  state.rules = connection.rules ?? [];
  Object.assign(state, { models, shared: first.shared ?? [], prices: prices.prices ?? {} });
  draw();
}

async function saved(text, changed) {
  toast(text);
  await showChanged(changed, load);
}

const add = () => openModel({
  owner: state.owner, known: state.found.providers, done: (made) => saved(`${made.name} is added.`, made),
});

async function edit({ name }) {
  const path = `${state.owner.base}/models/${encodeURIComponent(name)}`;
  const model = await attempt(() => read(path));
  if (!model) return;
  openModel({
    owner: state.owner, model, known: state.found.providers,
    done: (changed) => saved(`${changed.name} is saved.`, changed),
    async remove() {
      const text = "Clients that ask for it get 404. Rules that name it must be changed first.";
      if (!(await confirm({ title: `Delete ${name}?`, text, action: "Delete the model" }))) return;
      document.querySelector("dialog.panel")?.close();
      await attempt(async () => {
        await write("DELETE", path);
        await saved(`${name} is deleted.`);
      });
    },
  });
}

function filter() {
  const input = byId("filter");
  input.value = new URLSearchParams(location.search).get("text") ?? "";
  input.addEventListener("input", debounced(async () => {
    const query = new URLSearchParams(location.search);
    if (input.value) query.set("text", input.value);
    else query.delete("text");
    history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}`);
    await attempt(loadKnown);
    draw();
  }));
}

function makeTables() {
  const none = {
    title: "No models of your own yet.",
    text: "A model is a name for one or several models of providers, with a second choice when one fails.",
    action: state.owner.may && h("button", { type: "button", className: "button primary", onclick: add },
      icon("plus"), "Add a model"),
  };
  tables = {
    models: dataTable({ label: "Models", columns: modelColumns(), sort: { key: "name" }, none }),
    known: dataTable({
      label: "Models of providers", columns: knownColumns(), none: { title: "", text: "" },
    }),
  };
  byId("models").replaceChildren(tables.models.node);
  byId("known").replaceChildren(tables.known.node);
}

async function start() {
  const owner = (state.owner = await findOwner());
  setTitle("Models", owner.name);
  byId("about").textContent = owner.id
    ? `Names that ${owner.name} may use, and what is behind them.`
    : "Names of the platform, and the models of its providers.";
  byId("providers-link").setAttribute("href", withOwner(owner, byId("providers-link").getAttribute("href")));
  byId("add").disabled = !owner.may;
  byId("add").addEventListener("click", add);
  if (!owner.may) byId("warnings").replaceChildren(locked(owner.reason));
  filter();
  makeTables();
  await load();
  await offerOwners(owner, "/ui/models");
}

await attempt(start);
ready();
