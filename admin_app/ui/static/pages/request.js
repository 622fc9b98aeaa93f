// One request: why it ended as it did, when each part of it happened, and what was decided.
import {
  badge,
  byId,
  copyButton,
  h,
  icon,
  millis,
  money,
  page,
  plural,
  setTitle,
  whole,
} from "../kit/dom.js";
import { read } from "../kit/api.js";
import { openPanel } from "../kit/panel.js";
import { banner, empty, fail, ready } from "../kit/states.js";
import { curlOf } from "./traffic/curl.js";
import { listOf } from "./traffic/names.js";
import { modelOf, sourceOf, toneOf } from "./traffic/rows.js";
import { decided, logLine } from "./traffic/tables.js";
import { waterfall } from "./traffic/waterfall.js";

// Without a tenant in the address, it is the platform that looks for the request.
const api = (tenant) => (tenant ? `/api/v1/tenants/${encodeURIComponent(tenant)}` : "/api/v1");
const pagesOf = (row) => `/ui/tenants/${encodeURIComponent(row.tenant_id)}`;
const TABS = { decision: ["Decision", decided], log: ["Line in the log", logLine] };

const moment = (text) => new Date(text).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const rulePath = (row) => `${pagesOf(row)}/rules/${encodeURIComponent(row.rule_id)}`;

function why(row, names, tenant) {
  if (!row.why) return;
  const links = [];
  if (row.rule_id && tenant) links.push(h("a", { href: rulePath(row) }, `Open the rule ${names.rule}`));
  const reached = row.decision.limit_reached;
  if (reached && tenant) {
    const [href, words] =
      "used" in reached // a budget
        ? [`${pagesOf(row)}?tab=budgets`, "See the budgets now"]
        : [`/ui/limits?tenant=${encodeURIComponent(row.tenant_id)}`, "See the limits now"];
    links.push(h("a", { href }, words));
  }
  byId("why").replaceChildren(
    banner(
      toneOf(row.status) === "bad" ? "bad" : "warn",
      row.why,
      links.length > 0 && h("p", { className: "links" }, links),
    ),
  );
  byId("why").firstChild.removeAttribute("role"); // it is the state of the past, not of the page
}

function head(row, tenant) {
  byId("title").textContent = `${row.method} ${row.path}`;
  byId("outcome").replaceChildren(
    badge(row.status ?? "no status", toneOf(row.status)),
    badge(sourceOf(row)),
    ...(row.code ? [badge(row.code)] : []),
    ...(row.stream ? [badge("stream")] : []),
    h("code", {}, row.request_id),
    copyButton(row.request_id, "Copy id"),
  );
  setTitle(`${row.method} ${row.path}`, tenant?.name);
  byId("actions").replaceChildren(
    h("button", { type: "button", className: "button", onclick: () => showCurl(row) }, "As curl"),
    h("a", { className: "button", href: testPath(row) }, icon("test"), "Open in test"),
  );
}

function testPath(row) {
  const query = {
    tenant: row.tenant_id,
    rule: row.rule_id,
    key: row.key_id,
    method: row.method,
    path: row.path,
    model: row.model_asked,
  };
  return `/ui/test?${new URLSearchParams(Object.entries(query).filter(([, value]) => value))}`;
}

function showCurl(row) {
  const text = curlOf(row);
  openPanel({
    title: "As curl",
    text: "A record has no body, no query and no credential: fill them in.",
    body: [h("pre", { className: "code", tabIndex: 0 }, text)],
    actions: [copyButton(text)],
  });
}

const tokensOf = ({ input, cached, output, source }) =>
  `${whole(input)} in (${whole(cached)} cached), ${whole(output)} out, ${source}`;

function facts(row, tenant, names) {
  const tokens = row.usage && tokensOf(row.usage);
  const link = (href, text) => h("a", { href }, text);
  const all = [
    ["Ended", h("time", { dateTime: row.time, title: row.time }, moment(row.time))],
    ["Duration", millis(row.milliseconds)],
    ["First byte", row.ttft_ms != null && millis(row.ttft_ms)],
    ["Tenant", tenant ? link(pagesOf(row), tenant.name) : row.tenant_id && `${row.tenant_id}, deleted`],
    ["Host", !tenant && row.log.host && h("code", {}, row.log.host)],
    ["Rule", row.rule_id && (tenant ? link(rulePath(row), names.rule) : names.rule)],
    ["Configuration", row.log.config_version != null && `version ${row.log.config_version}`],
    ["API key", row.key_id && h("span", { title: row.key_id }, names.key)],
    ["Client", row.log.client && h("code", {}, row.log.client)],
    ["Model", modelOf(row) && h("code", {}, modelOf(row))],
    [
      "Provider",
      row.provider && [
        row.provider,
        row.log.ai?.provider_key && h("code", {}, ` ${row.log.ai.provider_key}`),
      ],
    ],
    ["Upstream", !row.provider && row.log.upstream && h("code", {}, row.log.upstream)],
    ["Tokens", tokens],
    ["Cost", row.cost_usd != null && `${money(row.cost_usd)}`],
    ["Attempts", row.attempts > 0 && whole(row.attempts)],
    ["SDK", row.retry_count > 0 && `sent again ${plural(row.retry_count, "time")}`],
  ].filter(([, value]) => value);
  return h(
    "section",
    { className: "card", "aria-label": "Facts" },
    h(
      "dl",
      { className: "facts" },
      all.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
    ),
  );
}

function tabs(row) {
  const panel = h("div", { className: "stack", id: "tab", role: "tabpanel", tabIndex: -1 });
  const chosen = new URLSearchParams(location.search).get("tab");
  const buttons = Object.entries(TABS).map(([key, [name]]) =>
    h(
      "button",
      { type: "button", role: "tab", id: `tab-${key}`, "aria-controls": "tab", onclick: () => show(key) },
      name,
    ),
  );

  function show(key) {
    for (const one of buttons) {
      const isOn = one.id === `tab-${key}`;
      one.setAttribute("aria-selected", isOn);
      one.tabIndex = isOn ? 0 : -1;
    }
    panel.setAttribute("aria-labelledby", `tab-${key}`);
    panel.replaceChildren(...[TABS[key][1](row)].flat().filter(Boolean));
    history.replaceState(null, "", key === "decision" ? location.pathname : `?tab=${key}`);
  }

  function move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = buttons.at((buttons.indexOf(document.activeElement) + step) % buttons.length);
    next.focus();
    next.click();
  }

  show(chosen in TABS ? chosen : "decision");
  return [
    h("div", { className: "tabs", role: "tablist", "aria-label": "Details", onkeydown: move }, buttons),
    panel,
  ];
}

/** The tenant of a request with its rules and keys; null for none, and for one that was deleted. */
async function ownerOf(row) {
  const nothing = [null, { rules: [], keys: [] }];
  if (!row.tenant_id) return nothing;
  try {
    return await Promise.all([read(api(row.tenant_id)), listOf(row.tenant_id)]);
  } catch (error) {
    if (error.status !== 404) throw error;
    return nothing;
  }
}

async function load() {
  const row = await read(`${api(page.tenant)}/requests/${encodeURIComponent(page.request)}`);
  const [tenant, list] = await ownerOf(row);
  const names = {
    rule: list.rules.find((one) => one.id === row.rule_id)?.path ?? row.rule_id,
    key: list.keys.find((one) => one.id === row.key_id)?.name ?? row.key_id,
  };
  head(row, tenant);
  why(row, names, tenant);
  byId("page").replaceChildren(facts(row, tenant, names), waterfall(row), ...tabs(row));
}

function missing(error) {
  byId("title").textContent = "Request not found";
  byId("title").className = "";
  byId("outcome").replaceChildren(h("code", {}, page.request));
  byId("page").replaceChildren(
    h(
      "section",
      { className: "card" },
      empty(
        "This request is not here.",
        error.message,
        h("a", { className: "button", href: "/ui/traffic" }, "See the traffic"),
      ),
    ),
  );
}

load().then(ready, (error) => {
  if (error.status !== 404) return fail(error);
  missing(error);
  return ready();
});
