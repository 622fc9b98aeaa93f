// The state of the platform: parts, workers, Redis, jobs, addresses; and the settings in force.
import {
  ago, badge, byId, bytes, dateTime, h, icon, millis, percent, plural, prose, whole,
} from "../kit/dom.js";
import { Rejected, call, read } from "../kit/api.js";
import { attempt, busy, empty, ready } from "../kit/states.js";
import { dataTable } from "../kit/table.js";
import { mayChange, me } from "../kit/shell.js";
import { poll } from "../kit/poll.js";
import { showTokens } from "./system/tokens.js";
import { webhooksCard } from "./webhooks/table.js";

const SECONDS = 5;
const NEARLY_FULL = 0.9;
const PROGRAMS = { proxy: "Proxy", admin: "Admin API" };
const PARTS = { store: "Redis", plugins: "Plugins" };
const SOURCES = { default: "default", file: "file", environment: "variable", flag: "flag" };
const LEVELS = { error: "bad", warning: "warn", ok: "good" };
const TONES = { ok: "good", behind: "warn", degraded: "warn", draining: "" };

const small = (text) => h("small", {}, text);
const isOk = (state) => state === "ok";

/* Tiles */

const tile = (title, value, unit, ...below) =>
  h("div", { className: "tile" },
    h("h2", {}, title),
    h("div", { className: "value" }, value, unit && [" ", small(unit)]),
    h("p", { className: "change" }, below));

function partsTile(parts) {
  const states = Object.entries(parts);
  const fine = states.filter(([, state]) => isOk(state)).length;
  return tile("Parts", fine, `of ${states.length} ready`, states.map(([name, state]) =>
    badge(`${PARTS[name] ?? name}: ${state}`, isOk(state) ? "good" : "bad", isOk(state) ? "check" : "warn")));
}

function workersTile({ total, states, listed: workers }) {
  const counted = Object.entries(states).filter(([, count]) => count);
  const versions = new Set(workers.map((one) => one.version)).size;
  return tile("Workers", whole(total), "",
    counted.map(([state, count]) => badge(`${count} ${state}`, TONES[state], isOk(state) ? "check" : "")),
    versions > 1 && badge(`${versions} versions`));
}

function configurationTile({ store, workers }) {
  const behind = workers.states.behind;
  const late = `${plural(behind, "worker")} ${behind === 1 ? "lacks" : "lack"} it`;
  return tile("Configuration", `#${store.revision}`, "newest change",
    behind ? badge(late, "warn", "warn") : "All workers have it");
}

const redisTile = ({ round_trip_ms: time, workers_alone: alone }) =>
  tile("Redis", millis(time), "round trip",
    alone ? badge(`${plural(alone, "worker")} without it`, "warn", "warn") : "All workers reach it");

/* Workers */

function statesOf(worker) {
  if (worker.state === "behind") return [`${plural(worker.behind, "change")} behind`];
  if (worker.state !== "degraded") return [worker.state];
  return Object.entries(worker.trouble).map(([part, state]) =>
    part === "limits" ? "counts limits alone" : `${part} ${state}`);
}

const none = (text) => h("span", { className: "muted" }, text);
const figure = (value) => (value == null ? none("—") : whole(value));

const number = (key, title) => {
  const value = (one) => one[key];
  return { key, title, num: true, sort: value, cell: (one) => figure(value(one)) };
};

const workerTable = dataTable({
  label: "Workers",
  columns: [
    {
      key: "worker",
      title: "Worker",
      sort: (one) => `${one.machine} ${one.pid}`,
      cell: ({ machine, plane, pid }) =>
        h("div", { className: "worker" }, h("b", {}, machine), small(`${PROGRAMS[plane]}, process ${pid}`)),
    },
    {
      key: "state",
      title: "State",
      sort: (one) => one.state,
      cell: (one) =>
        h("div", { className: "trouble" }, statesOf(one).map((text) =>
          badge(text, TONES[one.state], isOk(one.state) ? "check" : ""))),
    },
    number("revision", "Change"),
    { ...number("in_flight", "In flight"), opt: true },
    { ...number("connections", "Connections"), opt: true },
    {
      key: "lag",
      title: "Loop lag",
      num: true,
      opt: true,
      sort: (one) => one.loop_lag_ms,
      cell: (one) => (one.loop_lag_ms == null ? figure(null) : millis(one.loop_lag_ms)),
    },
    {
      key: "started",
      title: "Started",
      opt: true,
      sort: (one) => one.started_at,
      cell: ({ started_at: at, version }) =>
        h("div", { className: "worker", title: dateTime(at) }, ago(at), small(version)),
    },
  ],
  none: {
    title: "No worker has told of itself.",
    text: "Workers do so every 5 s. Start the proxy, or look at its log.",
  },
});

function showWorkers({ total, listed: workers }) {
  workerTable.show(workers);
  byId("workers-count").textContent =
    total > workers.length ? ` ${whole(workers.length)} of ${whole(total)} are shown` : ` ${whole(total)}`;
}

/* Redis */

const facts = (pairs) =>
  h("dl", { className: "facts" }, pairs.map(([title, ...about]) => [h("dt", {}, title), h("dd", {}, about)]));

function memory({ used_bytes: used, max_bytes: most, policy }) {
  if (most == null) return [bytes(used), small("Without a maximum")];
  const share = used / most;
  return [
    `${bytes(used)} of ${bytes(most)} (${percent(share)})`,
    h("div", { className: share >= NEARLY_FULL ? "share warn" : "share" },
      h("span", { style: `width: ${Math.min(100, 100 * share).toFixed(1)}%` })),
    small(policy === "noeviction" ? "When full, it rejects changes" : `When full, it evicts: ${policy}`),
  ];
}

function disk(kept) {
  const bad = kept.write_ok === false || !kept.snapshot_ok;
  return [
    kept.append_only ? "Each change is written" : "Snapshots only",
    " ",
    bad ? badge("last write failed", "bad", "warn") : "",
    kept.append_only ? null : small(`${plural(kept.unsaved_changes, "change")} since the last snapshot`),
  ];
}

function serverFacts(server) {
  if (!server) return [["Server", "Unknown", small("Redis does not allow INFO to the gateway's user.")]];
  const { name, role, replicas } = server;
  return [
    ["Server", name, small(role === "master" ? `Primary, ${plural(replicas, "replica")}` : "Replica")],
    ["Memory", memory(server.memory)],
    ["Disk", disk(server.persistence)],
  ];
}

const breaker = (alone) =>
  alone
    ? [badge(`open in ${plural(alone, "worker")}`, "warn", "warn"), small("They count limits alone.")]
    : "Closed in all workers";

function storeFacts(store) {
  const damaged = `Damaged: ${whole(store.faults)}. They serve their last good version.`;
  return facts([
    ["Address", h("code", {}, store.address)],
    ...serverFacts(store.server),
    ["Breaker", breaker(store.workers_alone)],
    ["Tenants", whole(store.tenants), store.faults > 0 && small(damaged)],
    ["Identity", h("code", {}, store.id ?? "none yet"), store.id && small(`Generation ${store.generation}`)],
  ]);
}

const notices = (warnings) =>
  warnings.length > 0 &&
  h("ul", { className: "notices" },
    warnings.map((one) => h("li", {}, icon("warn", "warn"), h("b", {}, one.detail))));

/* Checks */

const finding = ({ check, level, detail, fix }) =>
  h("li", {},
    icon(level === "ok" ? "check" : "warn", LEVELS[level]),
    h("b", {}, `${check}: ${detail}`),
    h("span", {}, fix ?? ""));

const findingList = (findings) => h("ul", { className: "notices" }, findings.map(finding));

/** Errors come first, then warnings. The checks that are well are folded, unless all are. */
function showChecks(findings) {
  const of = (wanted) => findings.filter(({ level }) => level === wanted);
  const wrong = [...of("error"), ...of("warning")];
  const well = of("ok");
  byId("checks-count").textContent = ` ${wrong.length} of ${findings.length} to look at`;
  byId("checks").replaceChildren(
    findingList(wrong),
    h("details", { className: "more", open: !wrong.length },
      h("summary", {}, `Without a fault: ${well.length}`), findingList(well)));
}

/** They call providers, so they are made when they are asked for. */
async function check() {
  const found = await attempt(() => read("/api/v1/doctor"));
  if (found) showChecks(found.findings);
}

/* Jobs and addresses */

function jobLine(job, workers) {
  const leader = workers.find((one) => one.id === job.leader);
  const name = leader ? `process ${leader.pid}, term ${job.term}` : `term ${job.term}`;
  return h("li", {},
    h("div", {}, h("b", {}, job.name), small(job.description)),
    h("div", { className: "by" },
      job.leader ? [leader?.machine ?? job.leader, small(name)] : badge("nobody does it", "warn", "warn")));
}

const urls = (list) => (list.length ? list.map((one) => h("div", {}, h("code", {}, one))) : none("None"));

const addressFacts = ({ proxy, admin, metrics, base_domain: domain }) =>
  facts([
    ["Proxy", urls(proxy)],
    ["Admin API", urls(admin)],
    ["Metrics", urls(metrics)],
    ["Tenants", h("code", {}, `{subdomain}.${domain}`)],
  ]);

/* Settings */

function written({ is_secret: isSecret, is_set: isSet, value }) {
  if (isSecret && isSet) return badge("set, not shown", "accent", "lock");
  if (value == null) return none("not set");
  if (Array.isArray(value)) return h("code", { className: "written" }, value.join(", ") || "[]");
  if (typeof value === "object") {
    return h("code", { className: "written long", tabIndex: 0 }, JSON.stringify(value, null, 1));
  }
  return h("code", { className: "written" }, String(value) || '""');
}

const origin = (one) =>
  h("div", { className: "origin" },
    badge(SOURCES[one.source], one.is_changed ? "accent" : ""),
    one.origin && small(one.origin));

const query = new URLSearchParams(location.search);
let settings = null;

const settingTable = dataTable({
  label: "Settings",
  columns: [
    {
      key: "name",
      title: "Setting",
      cell: (one) =>
        h("div", { className: "setting" },
          h("b", { className: "mono" }, one.name),
          h("small", {}, prose(one.description)),
          h("div", { className: "phone" }, written(one), origin(one))),
    },
    { key: "value", title: "Value", opt: true, cell: written },
    { key: "source", title: "Source", opt: true, sort: (one) => one.source, cell: origin },
  ],
});

const changedOnly = () => byId("which").querySelector(":checked").value === "changed";

function showSettings() {
  const wanted = byId("find").value.trim().toLowerCase();
  const text = (one) => `${one.name} ${one.value} ${one.origin} ${one.description}`.toLowerCase();
  const found = settings.filter((one) => (!changedOnly() || one.is_changed) && text(one).includes(wanted));
  settingTable.show(found, { none: noSettings(wanted) });
  byId("settings-count").textContent = ` ${found.length} of ${settings.length}`;
}

function noSettings(wanted) {
  if (!wanted) return { title: "Nothing was changed.", text: "All settings have their defaults." };
  const button = { type: "button", className: "button small", onclick: clear };
  const action = h("button", button, "Clear the filter");
  return { title: "No setting matches.", text: "Look for another word, or clear the filter.", action };
}

function clear() {
  byId("find").value = "";
  byId("find").focus(); // rows with the focus are not drawn again
  filter();
}

/** Show what is wanted, and keep it in the address. */
function filter() {
  const kept = new URLSearchParams();
  if (!changedOnly()) kept.set("settings", "all");
  if (byId("find").value) kept.set("find", byId("find").value);
  history.replaceState(null, "", kept.size ? `?${kept}` : location.pathname);
  if (settings) showSettings();
}

function watchFilter() {
  byId("find").value = query.get("find") ?? "";
  if (query.get("settings") === "all") byId("which").querySelector("[value=all]").checked = true;
  byId("find").addEventListener("input", filter);
  byId("which").addEventListener("change", filter);
}

/* The page */

function show(status) {
  byId("version").textContent = `Version ${status.version}`;
  byId("parts").replaceChildren(
    partsTile(status.parts), workersTile(status.workers), configurationTile(status), redisTile(status.store));
  showWorkers(status.workers);
  byId("store").replaceChildren(...[notices(status.warnings), storeFacts(status.store)].filter(Boolean));
  byId("jobs").replaceChildren(h("ul", { className: "jobs" },
    status.jobs.map((job) => jobLine(job, status.workers.listed))));
  byId("addresses").replaceChildren(addressFacts(status.addresses));
}

/** Without Redis there is no status, and the probe still tells the parts. */
async function showParts() {
  try {
    await call("GET", "/readyz");
  } catch (error) {
    if (error instanceof Rejected && error.problem.parts) {
      byId("parts").firstElementChild.replaceWith(partsTile(error.problem.parts));
    }
  }
}

/** The platform's own key has no scopes, and may do everything. */
async function mayChangeTokens() {
  const { scopes } = await me;
  return !scopes.length || scopes.includes("admin");
}

async function load() {
  if (!settings) {
    ({ settings } = await read("/api/v1/settings"));
    byId("settings").replaceChildren(settingTable.node);
    showSettings();
  }
  try {
    show(await read("/api/v1/status"));
  } catch (error) {
    if (error.status === 503) await showParts();
    throw error;
  }
  if (workerTable.node.isConnected) return;
  byId("workers").replaceChildren(workerTable.node);
  const webhooks = webhooksCard({ base: "/api/v1", ...(await mayChange()) });
  await webhooks.load();
  byId("webhooks").replaceWith(webhooks.node);
  await showTokens(byId("tokens"), byId("tokens-head"), await mayChangeTokens());
}

function showLocked() {
  const why = "A tenant's key sees its own tenant. Log in with the platform's token.";
  byId("version").remove();
  byId("actions").remove();
  byId("page").replaceChildren(
    h("section", { className: "card" }, empty("This page is the platform's.", why)));
  ready();
}

watchFilter();
byId("check").addEventListener("click", () => busy(byId("check"), check));
if ((await me).is_platform) poll(load, { seconds: SECONDS });
else showLocked();
