// The versions of a tenant or of the platform, and one of them in a panel with its differences.
import { badge, byId, h, icon } from "../../kit/dom.js";
import { read, write } from "../../kit/api.js";
import { choice, field } from "../../kit/fields.js";
import { openPanel } from "../../kit/panel.js";
import { accepted } from "../../kit/saving.js";
import { attempt, busy, locked } from "../../kit/states.js";
import { dataTable } from "../../kit/table.js";
import { differenceList } from "./differences.js";
import { openRollback } from "./rollback.js";
import { authorOf, keyNames, moment, namesIn, sourceOf, thingNames } from "./words.js";

const NONE = {
  title: "No versions yet.",
  text: "A change makes the first one.",
};
const KEPT = "makes one. Up to 200 are kept, and those that are pinned.";

/** The version in the address, so that a link shows the same. Null: none. */
function putInAddress(version) {
  const query = new URLSearchParams(location.search);
  if (version === null) query.delete("version");
  else query.set("version", version);
  const text = query.toString();
  history.replaceState(null, "", location.pathname + (text && `?${text}`));
}

const pinned = (yes) => (yes ? [badge("Pinned", "accent", "pin")] : []);

/** The message of a rollback. */
const restoredFrom = ({ restored }) => restored !== null && [" ", badge(`Back to ${restored}`)];

/** The list of versions, read page by page. */
class Versions {
  rows = [];
  cursor = null;

  constructor(context, keys) {
    Object.assign(this, { ...context, keys });
    this.table = dataTable({
      label: "Versions",
      columns: this.columns(),
      none: NONE,
      onMore: () => attempt(() => this.more()),
    });
  }

  get present() {
    return this.rows[0]?.version;
  }

  async more() {
    const query = new URLSearchParams({ limit: 50, ...(this.cursor ? { cursor: this.cursor } : {}) });
    const page = await read(`${this.base}/versions?${query}`);
    this.rows.push(...page.versions);
    this.cursor = page.next_cursor;
    this.table.show(this.rows, { more: this.cursor });
  }

  columns() {
    return [
      { key: "version", title: "Version", cell: (row) => this.nameOf(row) },
      { key: "at", title: "When", cell: ({ at }) => moment(at) },
      { key: "author", title: "Author", opt: true, cell: (row) => h("bdi", {}, authorOf(row, this.keys)) },
      { key: "summary", title: "Changes", cell: summaryCell, wide: true },
      { key: "message", title: "Reason", opt: true, cell: ({ message }) => reasonCell(message) },
      { key: "source", title: "Made with", opt: true, cell: sourceOf },
    ];
  }

  nameOf(row) {
    const open = () => attempt(() => this.open(row.version));
    return [
      h("button", { type: "button", className: "linklike name", onclick: open }, row.version),
      row.version === this.present && [" ", badge("Present", "good")],
      restoredFrom(row),
      h("span", { className: "pinned", id: `pin-${row.version}` }, pinned(row.pinned)),
    ];
  }

  node() {
    return h("section", { className: "card flush history", "aria-label": "Versions" },
      h("div", { className: "card-head" },
        h("div", {}, h("h2", {}, "Versions"),
          h("p", { className: "help" }, `Each change of ${this.parts} ${KEPT}`)),
        !this.may && locked(this.reason)),
      this.table.node);
  }

  /** Open a version in the panel. The address names it as long as it is open. */
  async open(version) {
    const detail = await read(`${this.base}/versions/${version}`);
    const comparison = new Comparison(this, detail);
    await comparison.show("");
    putInAddress(version);
    this.panel(detail, comparison);
  }

  panel(detail, comparison) {
    const pin = h("button", { type: "button", className: "button" });
    const say = () => pin.replaceChildren(icon("pin"), detail.pinned ? "Unpin" : "Pin");
    say();
    const back = h("button", { type: "button", className: "button primary" }, icon("history"), "Roll back…");
    const isOld = detail.version !== this.present;
    const { form, close } = openPanel({
      title: `Version ${detail.version}`,
      text: detail.summary,
      body: [facts(detail, this.keys), comparison.node],
      actions: this.may ? [pin, isOld && back] : [],
      onclose: () => putInAddress(null),
    });
    pin.addEventListener("click", () =>
      busy(pin, () => accepted(form, async () => {
        detail.pinned = await this.pin(detail);
        say();
      })));
    back.addEventListener("click", () =>
      busy(back, () =>
        accepted(form, () => openRollback(this, detail.version, comparison.names, close))));
  }

  /** Pin a version, or unpin it. Resolves to whether it is pinned now. */
  async pin({ version, pinned: isPinned }) {
    const made = await write("POST", `${this.base}/versions/${version}/pin`, { pinned: !isPinned });
    const row = this.rows.find((one) => one.version === version);
    if (row) row.pinned = made.pinned;
    byId(`pin-${version}`)?.replaceChildren(...pinned(made.pinned));
    return made.pinned;
  }
}

const summaryCell = ({ summary }) => h("span", { title: summary }, summary);

const reasonCell = (message) => message && h("span", { className: "clip", title: message }, message);

function facts(detail, keys) {
  const all = [
    ["When", moment(detail.at)],
    ["Author", h("bdi", {}, authorOf(detail, keys))],
    ["Made with", sourceOf(detail)],
    ["Reason", detail.message],
    ["Restores", detail.restored !== null && `version ${detail.restored}`],
    ["File", detail.file],
  ].filter(([, value]) => value);
  return h("dl", { className: "facts" },
    all.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** A version beside another one: the differences from the older of both to the newer one. */
class Comparison {
  turn = 0;

  constructor({ base, own, rows, present }, detail) {
    Object.assign(this, { base, own, present, version: detail.version, names: namesIn(detail.document) });
    const others = rows.filter((row) => row.version !== this.version);
    const options = others.map(({ version }) => [
      String(version),
      `Version ${version}${version === present ? ", the present" : ""}`,
    ]);
    this.choice = choice("", [["", "The version before"], ...options]);
    this.choice.addEventListener("change", () => attempt(() => this.show(this.choice.value)));
    this.place = h("div", { className: "comparison", role: "status" });
    this.node = h("section", { className: "section" },
      h("div", { className: "compare" },
        field("Compared with", this.choice).node,
        this.version !== present && this.button()),
      this.place);
  }

  button() {
    const compare = () => {
      this.choice.value = String(this.present);
      this.choice.dispatchEvent(new Event("change"));
    };
    return h("button", { type: "button", className: "button", onclick: compare }, "Compare with the present");
  }

  /** Show the differences from or to `other`, a text; empty: from the version before. */
  async show(other) {
    const turn = ++this.turn;
    const number = Number(other);
    const [older, newer] = number > this.version ? [this.version, number] : [number, this.version];
    const query = older ? `?against=${older}` : "";
    const [diff, names] = await Promise.all([
      read(`${this.base}/versions/${newer}/diff${query}`),
      newer === this.version ? this.names : thingNames(this.base, newer),
    ]);
    if (turn !== this.turn) return;
    const { against, version } = diff;
    const from = against === null ? "What it has" : `From version ${against} to version ${version}`;
    this.place.replaceChildren(
      h("h3", {}, from),
      differenceList(diff, new Map([...this.names, ...names]), this.own));
  }
}

/**
 * Fill `host` with the versions. The context is {base, may, reason, refresh, id}: `base` is where they are in
 * the API, `id` is that of the tenant, undefined for the platform, and `refresh()` shows all of it anew.
 */
export async function showVersions(host, context) {
  const keys = context.id ? await keyNames(context.id) : new Map();
  const [own, parts] = context.id
    ? ["Tenant", "rules, chains, providers, models or settings"]
    : ["Platform", "providers, models or prices"];
  const list = new Versions({ ...context, own, parts }, keys);
  await list.more();
  host.replaceChildren(list.node());
  const asked = new URLSearchParams(location.search).get("version");
  if (/^\d+$/.test(asked ?? "")) await list.open(Number(asked));
}
