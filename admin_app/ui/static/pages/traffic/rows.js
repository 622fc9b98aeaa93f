// The rows of the live list: a fixed pool of nodes that are filled again and again, so memory does not grow.
import { address, h, millis, money, seconds, whole } from "../../kit/dom.js";
import { requestPath } from "./names.js";

/** Rows that the list has at most. */
export const MOST = 200;
// Rows that are drawn in one frame.
const PER_FRAME = 10;
// An SDK waits at most a minute before it sends a request again.
const RETRY_SECONDS = 120;

const short = (id) => (id.length > 14 ? `${id.slice(0, 12)}…` : id);
/** The tone of a badge with a status; without one, the client got none. */
export const toneOf = (status) => (status == null || status >= 500 ? "bad" : status >= 400 ? "warn" : "good");

/** The words for the source of a response: upstream, gateway, or the name of a plugin. */
export const sourceOf = (row) => row.source.replace("plugin:", "");

/** The model as it was asked for, and as it was served. */
export function modelOf({ model_asked: asked, model }) {
  if (!asked || !model || asked === model) return asked ?? model ?? "";
  return `${asked} > ${model}`;
}

/** The key of requests that may fold into one row. It does not tell two requests of the same length apart. */
function foldKey(row) {
  if (row.retry_count == null) return null;
  return [row.tenant_id, row.key_id, row.method, row.path, row.length].join("\n");
}

const timeOf = (row) => Date.parse(row.time) / 1000;

/** Whether `row` repeats the request of `before`. `row.from` counts the first call that it stands for. */
export function repeats(row, before) {
  const first = row.from ?? row.retry_count;
  return (
    first > 0 &&
    before.retry_count === first - 1 &&
    foldKey(row) === foldKey(before) &&
    timeOf(row) - timeOf(before) < RETRY_SECONDS
  );
}

/** Rows, the newest first, without those that an SDK has sent again. */
export function folded(rows) {
  const kept = [];
  const newest = new Map(); // by what may fold
  for (const row of rows) {
    const key = foldKey(row);
    const newer = key && newest.get(key);
    if (newer && repeats(newer, row)) newer.from = row.retry_count;
    else {
      kept.push(row);
      if (key) newest.set(key, row);
    }
  }
  return kept;
}

/** The nodes of one row. Their texts are set, and nothing else changes. */
function makeNode() {
  const text = (className = "") => h("span", { className });
  const node = {
    time: h("a", { className: "name cover" }),
    badge: h("span", { className: "badge" }),
    source: text("muted"),
    path: text("path"),
    tenant: h("bdi"), // its own direction: a name may have marks of right-to-left text
    note: text(),
    model: text("model"),
    key: text("ellipsis"),
    tokens: text(),
    cost: text("under"),
    duration: text(),
    first: text("under"),
  };
  const cell = (className, ...parts) => h("td", { className }, parts);
  node.root = h(
    "tr",
    { hidden: true },
    cell("", node.time),
    cell("status", node.badge, node.source),
    cell("request", node.path, h("span", { className: "note" }, node.tenant, node.note)),
    cell("opt-col", node.model),
    cell("opt-col", node.key),
    cell("num opt-col", node.tokens, node.cost),
    cell("num opt-col", node.duration, node.first),
  );
  return node;
}

function noteOf(row) {
  const retries =
    row.retry_count > 0 && `x${row.retry_count} SDK ${row.retry_count === 1 ? "retry" : "retries"}`;
  const calls = row.attempts > 1 && `${row.attempts} attempts`;
  return [row.code, retries, calls].filter(Boolean).join(" · ");
}

const set = (node, text) => {
  node.textContent = text;
  node.title = text;
};

function fillNode(node, row, names, showsTenant) {
  node.row = row;
  node.root.hidden = false;
  node.time.textContent = seconds(row.time);
  node.time.title = row.time;
  node.time.href = address(requestPath(row, showsTenant));
  node.badge.textContent = row.status ?? "none";
  node.badge.className = `badge ${toneOf(row.status)}`;
  node.source.textContent = sourceOf(row);
  set(node.path, `${row.method} ${row.path}`);
  set(node.tenant, !showsTenant ? "" : row.tenant_id ? names.tenant(row.tenant_id) : "No tenant");
  const note = noteOf(row);
  node.note.textContent = node.tenant.textContent && note ? ` · ${note}` : note;
  set(node.model, modelOf(row));
  node.key.textContent = row.key_id ? (names.key(row.key_id) ?? short(row.key_id)) : "";
  node.key.title = row.key_id ?? "";
  node.tokens.textContent = row.usage ? `${whole(row.usage.input)} / ${whole(row.usage.output)}` : "";
  node.cost.textContent = row.cost_usd == null ? "" : money(row.cost_usd);
  node.duration.textContent = millis(row.milliseconds);
  node.first.textContent = row.ttft_ms == null ? "" : `first byte ${millis(row.ttft_ms)}`;
}

/** The pool of nodes in `body`, the one with the newest row first. */
function makePool(body) {
  const nodes = Array.from({ length: MOST }, makeNode);
  const byKey = new Map(); // of requests that an SDK may send again
  body.replaceChildren(...nodes.map((node) => node.root));

  function forget(node) {
    const key = node.row && foldKey(node.row);
    if (key && byKey.get(key) === node) byKey.delete(key);
    node.row = null;
  }

  return {
    /** Fill a node with `row`, and put it first: that of the call that the row repeats, or the last one. */
    put(row, fill) {
      const key = foldKey(row);
      const before = key && byKey.get(key);
      const node = before && repeats(row, before.row) ? before : nodes.at(-1);
      forget(node);
      nodes.splice(nodes.indexOf(node), 1);
      nodes.unshift(node);
      fill(node);
      body.prepend(node.root);
      if (key) byKey.set(key, node);
    },
    clear() {
      for (const node of nodes) {
        forget(node);
        node.root.hidden = true;
      }
    },
    get isEmpty() {
      return !nodes[0].row;
    },
  };
}

/**
 * The live list in `body`. `names` gives the words for ids: {tenant(id), key(id)}.
 *
 * `add` takes rows, the newest first, and draws them in frames. While `isHeld()`, they wait, up to `resume`.
 */
export function liveRows(body, names, isHeld) {
  const pool = makePool(body);
  let waiting = []; // the oldest first
  let frame = 0;
  let showsTenant = false;

  function draw() {
    frame = 0;
    if (isHeld()) return;
    for (const row of waiting.splice(0, PER_FRAME)) {
      pool.put(row, (node) => fillNode(node, row, names, showsTenant));
    }
    resume();
  }

  function resume() {
    if (!frame && waiting.length) frame = requestAnimationFrame(draw);
  }

  return {
    add(rows) {
      waiting = [...waiting, ...rows.toReversed()].slice(-MOST);
      resume();
    },
    clear(withTenant) {
      showsTenant = withTenant;
      waiting = [];
      pool.clear();
    },
    resume,
    get isEmpty() {
      return !waiting.length && pool.isEmpty;
    },
  };
}
