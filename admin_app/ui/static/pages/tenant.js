// The page of a tenant: its head, what may not work, and the tabs. The address holds the tab.
import { address, badge, byId, copyButton, h, icon, page, setTitle, toast } from "../kit/dom.js";
import { read, write } from "../kit/api.js";
import { mayChange, me } from "../kit/shell.js";
import { attempt, busy, ready } from "../kit/states.js";
import { showBudgets } from "./budgets/list.js";
import { showVersions } from "./history/versions.js";
import { showKeys } from "./tenant/keys.js";
import { showLimits } from "./tenant/limits.js";
import { notes } from "./tenant/notes.js";
import { showPlugins } from "./tenant/plugins.js";
import { showRules } from "./tenant/rules.js";
import { showSettings } from "./tenant/settings.js";
import { showUsage } from "./tenant/usage.js";

const TABS = {
  rules: ["Rules", showRules],
  keys: ["Keys", showKeys],
  limits: ["Limits", showLimits],
  budgets: ["Budgets", showBudgets],
  plugins: ["Plugins", showPlugins],
  usage: ["Usage", showUsage],
  history: ["History", showVersions],
  settings: ["Settings", showSettings],
};
const id = page.tenant;
/** The common state of the tabs: `tenant` is the newest one, `may` whether the caller may change it. */
const context = { id, base: `/api/v1/tenants/${encodeURIComponent(id)}`, refresh, openTab };
let shown = { tab: "", stop: () => {} };
let turn = 0;

const pathOf = (tab) => `/ui/tenants/${id}${tab === "rules" ? "" : `?tab=${tab}`}`;

function tabOfAddress() {
  const tab = new URLSearchParams(location.search).get("tab");
  return tab in TABS ? tab : "rules";
}

function drawHead() {
  const { tenant, connection } = context;
  byId("name").textContent = tenant.name;
  if (context.isPlatform) byId("crumb-here").textContent = tenant.name;
  byId("status").replaceChildren(
    tenant.status === "active" ? badge("Active", "good") : badge("Disabled", "warn"),
  );
  byId("facts").replaceChildren(
    h(
      "span",
      { className: "fact" },
      h("code", { title: "What clients call" }, connection.address),
      copyButton(connection.address, "Copy address"),
    ),
    h("span", { className: "fact" }, "Tier ", h("b", {}, tenant.tier)),
    h(
      "span",
      { className: "fact opt-col" },
      "Id ",
      h("code", {}, tenant.id),
      copyButton(tenant.id, "Copy id"),
    ),
  );
  byId("actions").replaceChildren(
    h("a", { className: "button", href: `/ui/traffic?tenant=${id}` }, icon("traffic"), "Traffic"),
    h("a", { className: "button", href: `/ui/tenants/${id}/connect` }, icon("external"), "Connect"),
  );
}

function drawTabs(current) {
  byId("tabs").replaceChildren(
    ...Object.entries(TABS).map(([tab, [title]]) =>
      h(
        "a",
        { href: pathOf(tab), "aria-current": tab === current ? "page" : null, onclick: follow(tab) },
        title,
      ),
    ),
  );
  byId("tabs").querySelector("[aria-current]").scrollIntoView({ block: "nearest", inline: "nearest" });
}

/** A click changes the tab without a new page; with a modifier it is the browser's. */
const follow = (tab) => (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  openTab(tab);
  byId("tabs").querySelector("[aria-current]").focus();
};

function openTab(tab) {
  history.pushState(null, "", address(pathOf(tab)));
  show(tab);
}

/** Show a tab. One that ends to load after another was opened stays hidden. */
async function show(tab) {
  const own = ++turn;
  shown.stop();
  shown = { tab, stop: () => {} };
  const [title, fill] = TABS[tab];
  setTitle(title, context.tenant.name);
  drawTabs(tab);
  const host = h("div", { className: "tab" });
  const stop = await attempt(() => fill(host, context));
  if (own !== turn) return stop?.();
  shown.stop = stop ?? shown.stop;
  byId("page").replaceChildren(host);
  return undefined;
}

/** Read the tenant anew after a change, and show it. `tab: false` leaves the tab as it is. */
async function refresh({ tab = true } = {}) {
  await attempt(load);
  if (tab) await show(shown.tab);
}

async function load() {
  const [tenant, connection, known] = await Promise.all([
    read(context.base),
    read(`${context.base}/connection`),
    read(`${context.base}/warnings`),
  ]);
  Object.assign(context, { tenant, connection, known });
  drawHead();
  byId("notes").replaceChildren(...notes(context, enable));
}

const enable = (button) =>
  busy(button, () =>
    attempt(async () => {
      await write("PATCH", context.base, { status: "active" });
      toast("The tenant is enabled.");
      await refresh();
    }),
  );

async function start() {
  const [{ is_platform: isPlatform }, rights] = await Promise.all([me, mayChange()]);
  Object.assign(context, rights, { isPlatform });
  if (!isPlatform) byId("crumb-here").closest("nav").remove();
  await load();
  return true;
}

addEventListener("popstate", () => show(tabOfAddress()));
if (await attempt(start)) await show(tabOfAddress());
ready();
