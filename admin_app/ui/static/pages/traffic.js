// The last requests, as they come: of all tenants, or of one.
import { address, byId, clock, h, plural, whole } from "../kit/dom.js";
import { read } from "../kit/api.js";
import { poll } from "../kit/poll.js";
import { me } from "../kit/shell.js";
import { empty, fail } from "../kit/states.js";
import { filterForm, isFiltered, queryOf } from "./traffic/filters.js";
import { MOST, folded, liveRows } from "./traffic/rows.js";

const body = byId("list").tBodies[0];
const isHeld = () => body.contains(document.activeElement);
const state = {
  turn: 0,
  newest: null,
  began: 0,
  since: Date.now() / 1000,
  listed: 0,
  passed: 0,
  recorded: 0,
};
let live;
let own; // the tenant whose key the caller has; null for the platform
let filters;
let rows;

/** The path of the API for the filters. */
function pathOf(more) {
  const { tenant: id, ...rest } = filters;
  const tenant = own?.id ?? id;
  const path = tenant ? `/api/v1/tenants/${encodeURIComponent(tenant)}/requests` : "/api/v1/requests";
  return path + queryOf({ ...rest, limit: MOST, ...more });
}

const showsTenant = () => !own && !filters.tenant;

const say = () => (byId("fresh").textContent = summary());

function summary() {
  const since = clock(state.since);
  const came = state.recorded - state.began;
  const held = isHeld() ? " Held while the focus is in the list." : "";
  if (filters.before) return `${plural(state.listed, "older request")}.`;
  if (isFiltered(filters))
    return `${whole(state.listed)} of ${plural(came, "request")} since ${since} match.${held}`;
  const passed = state.passed > 0 ? `, ${whole(state.passed)} of them not listed` : "";
  return `${plural(came, "new request")} since ${since}${passed}.${held}`;
}

function showEmpty() {
  const none =
    isFiltered(filters) || filters.before
      ? empty(
          "No request matches.",
          "Only the newest requests are kept.",
          h("a", { className: "button", href: "/ui/traffic" }, "Clear the filters"),
        )
      : empty("No requests yet.", "A request is listed within a second after its end.");
  byId("none").replaceChildren(...(rows.isEmpty ? [none] : []));
}

function showPages(page) {
  const [older, newest] = [byId("older"), byId("newest")];
  const last = page.requests.at(-1)?.id;
  older.hidden = !page.next_cursor;
  older.href = address(`/ui/traffic${queryOf({ ...filters, before: page.next_cursor ?? last })}`);
  newest.hidden = !filters.before;
  newest.href = address(`/ui/traffic${queryOf({ ...filters, before: "" })}`);
  byId("pages").hidden = older.hidden && newest.hidden;
}

/** Read the list from its beginning. */
async function begin(turn) {
  const page = await read(pathOf({}));
  if (turn !== state.turn) return;
  rows.clear(showsTenant());
  Object.assign(state, { recorded: page.recorded ?? 0, began: page.recorded ?? 0, since: Date.now() / 1000 });
  Object.assign(state, { newest: page.newest ?? "0", listed: 0, passed: 0 });
  if (filters.before) state.listed = page.requests.length;
  rows.add(folded(page.requests));
  showPages(page);
}

/** Read what came since the last time. */
async function follow(turn) {
  const after = state.newest;
  const page = await read(pathOf({ after }));
  if (turn !== state.turn || after !== state.newest) return;
  const before = state.recorded;
  state.recorded = page.recorded ?? before + page.requests.length;
  if (state.recorded < before) state.began = 0; // the list expired, and began anew
  state.listed += page.requests.length;
  if (page.next_cursor) state.passed = Math.max(state.recorded - state.began - state.listed, 0);
  state.newest = page.newest ?? state.newest;
  rows.add(folded(page.requests));
}

async function load() {
  if (state.newest === null) await begin(state.turn);
  else if (!filters.before) await follow(state.turn);
  showEmpty();
  say();
}

/** Begin anew with other filters. Responses to calls for the ones before are left out. */
function restart() {
  state.turn += 1;
  state.newest = null;
  live.now();
}

function press(yes) {
  live.pause(!yes);
  byId("pause").setAttribute("aria-pressed", yes);
  byId("pause").lastChild.textContent = yes ? "Live" : "Paused";
  if (yes) live.now();
}

async function start() {
  own = (await me).tenant;
  const form = await filterForm({ own: own?.id ?? null, onChange: restart });
  filters = form.filters;
  rows = liveRows(body, form.names, isHeld);
  body.addEventListener("focusin", say);
  body.addEventListener("focusout", () =>
    requestAnimationFrame(() => {
      rows.resume();
      say();
    }),
  );
  byId("pause").addEventListener("click", () => press(live.paused));
  byId("pause").hidden = Boolean(filters.before);
  live = poll(load, { seconds: 1 });
}

start().catch(fail);
