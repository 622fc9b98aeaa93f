// The page Providers: where models are, the keys that pay for them, and what is wrong with them.
import { byId, h, icon, setTitle, toast } from "../kit/dom.js";
import { Rejected, read, readAll, write } from "../kit/api.js";
import { confirm } from "../kit/panel.js";
import { poll } from "../kit/poll.js";
import { attempt, busy, empty, locked } from "../kit/states.js";
import { ownCard, sharedCard } from "./providers/cards.js";
import { addKey, openTarget, rotateKey } from "./providers/key_forms.js";
import { findOwner, offerOwners, redraw, withOwner } from "./providers/owner.js";
import { showChanged } from "./providers/changed.js";
import { addProvider, editProvider } from "./providers/provider_forms.js";

const SECONDS = 5;
const state = { providers: [], health: null, known: new Map() };
const context = { kinds: new Map(), tests: new Map(), prices: {}, minutes: 5 };

async function load() {
  const { base } = context.owner;
  [state.providers, state.health] = await Promise.all([
    readAll(`${base}/providers`, "providers"),
    read(`${base}/providers/health`),
  ]);
  context.minutes = Math.ceil(state.health.window_seconds / 60);
  draw();
}

/** The prices and uses change seldom, so they are not read with every poll. */
async function loadKnown() {
  const found = await read(`${context.owner.base}/provider-models`);
  state.known = new Map(found.providers.map((one) => [one.provider, one]));
  context.prices = { source: found.prices_source, date: found.prices_date };
}

function draw() {
  const byName = new Map(state.health.providers.filter((one) => !one.shared).map((one) => [one.name, one]));
  const shared = state.health.providers.filter((one) => one.shared);
  const own = state.providers.filter((one) => byName.has(one.name));
  redraw(byId("own"), own.length
    ? own.map((one) => ownCard(context, one, byName.get(one.name), state.known.get(one.name)))
    : nothing());
  byId("shared-part").hidden = !shared.length;
  redraw(byId("shared"), shared.map((one) => sharedCard(context, one, state.known.get(one.name))));
}

function nothing() {
  const { may, id } = context.owner;
  const add = may && h("button", { type: "button", className: "button primary", onclick: add_ },
    icon("plus"), "Add a provider");
  const next = id
    ? "Add one with a key of your own. Rules for AI then find its models."
    : "Add one and share it, and the rules of tenants find its models.";
  return h("div", { className: "card" }, empty("No providers yet.", next, add));
}

/** After a change: say so, show warnings, and read everything again. */
async function done(text, changed) {
  toast(text);
  await showChanged(changed, async () => {
    await loadKnown();
    await load();
  });
}

const add_ = () => addProvider(context.owner, context.kinds, (made) => done(`${made.name} is added.`, made));
const pathOf = (provider) => `${context.owner.base}/providers/${provider.id}`;
const pathOfTarget = (provider, { target }) => `${pathOf(provider)}/health/${encodeURIComponent(target)}`;

Object.assign(context, {
  addKey: (provider) => addKey(context.owner, provider, done),
  rotate: (provider, key) => rotateKey(context.owner, provider, key, done),
  edit: async (provider) => {
    const newest = await attempt(() => read(pathOf(provider)));
    const saved = (changed) => done(`${changed.name} is saved.`, changed);
    if (newest) editProvider(context.owner, context.kinds, newest, saved);
  },
  async removeKey(provider, key) {
    const name = key.name || "this key";
    const text = "Calls that have begun end with it. The secret is deleted and cannot be brought back.";
    const title = `Remove ${name} of ${provider.name}?`;
    if (!(await confirm({ title, text, action: "Remove the key" }))) return;
    await attempt(async () => {
      await write("DELETE", `${pathOf(provider)}/keys/${key.id}`);
      await done("The key is removed.");
    });
  },
  async remove(provider) {
    const text = "Its keys are deleted with it. Rules and models that name it must be changed first.";
    if (!(await confirm({ title: `Delete ${provider.name}?`, text, action: "Delete the provider" }))) return;
    await attempt(async () => {
      await write("DELETE", pathOf(provider));
      await done(`${provider.name} is deleted.`);
    });
  },
  async test(provider, button, deep) {
    const result = await busy(button, () => tested(provider, deep));
    if (!result) return; // another test of it is under way
    context.tests.set(provider.id, result);
    draw();
    toast(result.ok ? `${provider.name} works.` : `${provider.name} does not work.`);
  },
  open: (provider, target, model) => openTarget(`${pathOfTarget(provider, target)}/open`, model, done),
  close: (provider, target, button) => busy(button, () => attempt(async () => {
    await write("POST", `${pathOfTarget(provider, target)}/close`, {});
    await done("The breaker is closed.");
  })),
});

/** The result of a test; what the API rejects is one, too. */
async function tested(provider, deep) {
  try {
    return await write("POST", `${pathOf(provider)}/test`, { deep });
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
    return { ok: false, status: null, error: error.errors[0]?.detail ?? error.message };
  }
}

async function start() {
  const owner = await findOwner();
  context.owner = owner;
  setTitle("Providers", owner.name);
  byId("models-link").href = withOwner(owner, byId("models-link").getAttribute("href"));
  byId("about").textContent = owner.id
    ? `Of ${owner.name}, and those that the platform shares with it.`
    : "Of the platform. Tenants use those that are shared with them.";
  const button = byId("add");
  button.disabled = !owner.may;
  button.addEventListener("click", add_);
  if (!owner.may) byId("warnings").replaceChildren(locked(owner.reason));
  const { kinds } = await read("/api/v1/providers/kinds");
  context.kinds = new Map(kinds.map((one) => [one.kind, one]));
  await loadKnown();
  await offerOwners(owner, "/ui/providers");
}

await attempt(start);
if (context.owner) poll(load, { seconds: SECONDS, quiet: byId("own") });
