// The page Connect: examples of calls that run as they are, and the first call as it arrives.
import { byId, copyButton, h, icon, newId, page, setTitle } from "../kit/dom.js";
import { read, write } from "../kit/api.js";
import { choice, field, text } from "../kit/fields.js";
import { showOnce } from "../kit/panel.js";
import { mayChange } from "../kit/shell.js";
import { attempt, busy, empty, ready } from "../kit/states.js";
import { PLACEHOLDER, TABS, example } from "./connect/snippets.js";
import { watchCalls } from "./connect/first_call.js";

const BASE = `/api/v1/tenants/${encodeURIComponent(page.tenant)}`;
// Models of which a plain rule knows nothing: its target decides.
const ANY_MODEL = { "anthropic.messages": "claude-3-5-haiku-latest", other: "gpt-4o-mini" };

/** The tab to which a key leads from the one at `at`. */
const TAB_OF_KEY = {
  ArrowLeft: (at) => (at || TABS.length) - 1,
  ArrowRight: (at) => (at + 1) % TABS.length,
  Home: () => 0,
  End: () => TABS.length - 1,
};

// The key lives here and in the examples, as long as the page is open. It is never stored.
const state = { connection: null, rule: null, model: "", key: "", tab: TABS[0] };

const given = () => ({
  address: state.connection.address,
  sdk: state.connection.sdk_address,
  resolve: state.connection.resolve,
  rule: state.rule,
  model: state.model || anyModel(),
  key: state.key || PLACEHOLDER,
});

const anyModel = () => ANY_MODEL[state.tab.apis[0]] ?? ANY_MODEL.other;

function drawExample() {
  const found = example(state.tab, given());
  const panel = byId("example");
  panel.setAttribute("aria-labelledby", `tab-${state.tab.id}`);
  if (found.reason) {
    panel.replaceChildren(empty("This rule has no such example.",
      `${found.reason} Choose another rule, or add a provider that speaks it.`));
    return;
  }
  const other = state.model && found.model !== state.model;
  panel.replaceChildren(
    h("div", { className: "code-head" },
      h("p", { className: "help" }, state.key
        ? "With your key. It is kept in this page only."
        : `Replace ${PLACEHOLDER}, or create a key above.`),
      copyButton(found.code)),
    h("pre", { className: "code", role: "region", tabIndex: 0, ariaLabel: `Example: ${state.tab.title}` },
      h("code", { id: "code" }, found.code)),
    other && h("p", { className: "help" },
      `${state.model} does not speak ${found.api}, so the example names ${found.model}.`) || "");
}

function select(tab, hasFocus = false) {
  state.tab = tab;
  for (const one of TABS) {
    const button = byId(`tab-${one.id}`);
    const isSelected = one === tab;
    button.setAttribute("aria-selected", isSelected);
    button.tabIndex = isSelected ? 0 : -1;
    if (isSelected && hasFocus) button.focus();
  }
  keepAddress("tab", tab.id);
  drawExample();
}

/** Keep what a colleague needs to see the same in the address; never the key. */
function keepAddress(name, value) {
  const query = new URLSearchParams(location.search);
  query.set(name, value);
  history.replaceState(null, "", `${location.pathname}?${query}`);
}

function tabList() {
  const list = h("div", { role: "tablist", className: "tabs", ariaLabel: "Examples" }, TABS.map((tab) =>
    h("button", {
      type: "button",
      role: "tab",
      id: `tab-${tab.id}`,
      "aria-controls": "example",
      onclick: () => select(tab),
    }, tab.title)));
  list.addEventListener("keydown", (event) => {
    const to = TAB_OF_KEY[event.key]?.(TABS.indexOf(state.tab));
    if (to === undefined) return;
    event.preventDefault();
    select(TABS[to], true);
  });
  return list;
}

/** The control for the model: a choice of what the rule offers, or a name for a rule that takes any. */
function modelField() {
  const names = state.rule.models.map((one) => one.name);
  state.model = names.includes(state.model) ? state.model : names[0] ?? "";
  const control = names.length
    ? choice(state.model, names.map((name) => [name, name]))
    : text(state.model, { className: "mono", placeholder: anyModel() });
  control.addEventListener("input", () => {
    state.model = control.value;
    drawExample();
  });
  const any = "The target of the rule decides which names it takes.";
  const help = names.length ? "The models that the rule offers." : any;
  return field("Model", control, { help }).node;
}

function keyField({ may, reason }) {
  const control = text("", {
    type: "password", className: "mono", autocomplete: "off", placeholder: "gwk_…",
    oninput: () => {
      state.key = control.value.trim();
      drawExample();
    },
  });
  const create = h("button", {
    type: "button", className: "button", id: "create-key", disabled: !may, title: may ? null : reason,
    onclick: () => busy(create, () => attempt(async () => {
      const made = await write("POST", `${BASE}/api-keys`, { name: "Connect" });
      await showOnce({
        title: "Your API key",
        text: "It is shown this once. The examples of this page have it.",
        secret: made.key,
      });
      state.key = control.value = made.key;
      drawExample();
    })),
  }, icon("key"), "Create a key");
  const node = field("API key", control, { help: "Paste one, or create one. It stays in this page." }).node;
  const both = h("div", { className: "with-button" });
  control.replaceWith(both);
  both.append(control, create);
  return node;
}

function draw(rights) {
  const { rules } = state.connection;
  const model = h("div", { className: "w6" });
  const showModel = () => model.replaceChildren(modelField());
  const control = choice(state.rule.id, rules.map((one) => [one.id, one.path]), {
    onchange: () => {
      state.rule = rules.find((one) => one.id === control.value);
      keepAddress("rule", state.rule.id);
      showModel();
      drawExample();
    },
  });
  const isPlain = rules.every((one) => one.kind === "plain");
  const help = isPlain ? "Rules that forward to a target." : "Rules that take calls.";
  showModel();
  const title = newId("title");
  byId("examples").replaceChildren(
    h("div", { className: "fields" },
      field("Rule", control, { width: "w6", help }).node, model, keyField(rights)),
    h("h2", { id: title, className: "hidden" }, "Example"), tabList(),
    h("div", { role: "tabpanel", id: "example" }));
  const asked = new URLSearchParams(location.search).get("tab");
  select(TABS.find((one) => one.id === asked) ?? TABS[0]);
}

function nothing() {
  byId("examples").replaceChildren(empty("No rule takes calls yet.", "Requests to this tenant get 404.",
    h("a", { className: "button primary", href: `/ui/tenants/${page.tenant}` }, "Add a rule")));
}

async function start() {
  const reads = [read(BASE), read(`${BASE}/connection`), mayChange()];
  const [tenant, connection, rights] = await Promise.all(reads);
  state.connection = connection;
  setTitle("Connect", tenant.name);
  byId("crumb-tenant").textContent = tenant.name;
  byId("address").textContent = connection.address;
  const asked = new URLSearchParams(location.search).get("rule");
  state.rule = connection.rules.find((one) => one.id === asked) ?? connection.rules[0];
  if (state.rule) draw(rights);
  else nothing();
  await watchCalls(page.tenant).first;
}

await attempt(start);
ready();
