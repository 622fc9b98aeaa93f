// Tables: plain ones; and those with sorted columns, an empty state, and more rows by the API's cursor.
import { h, icon } from "./dom.js";
import { empty } from "./states.js";

const text = (value) => (typeof value === "string" ? value.toLowerCase() : value ?? -Infinity);

function compare(a, b) {
  const [left, right] = [text(a), text(b)];
  if (typeof left === "string" && typeof right === "string") return left.localeCompare(right);
  return left < right ? -1 : left > right ? 1 : 0;
}

/** A table that does not change, with `rows` of cells. Each of `heads` is a text, or [text, class]. */
export function plainTable(label, heads, rows) {
  const columns = heads.map((head) => [head].flat());
  const head = columns.map(([title, look]) => h("th", { scope: "col", className: look ?? "" }, title));
  const cell = (content, at) => h("td", { className: columns[at][1] ?? "" }, content);
  return h("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": label },
    h("table", {},
      h("thead", {}, h("tr", {}, head)),
      h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map(cell))))));
}

/** The head of a column. Its button asks `onSort` to sort by it. */
function head(column, sorted, onSort) {
  const isSorted = sorted?.key === column.key;
  const title = column.sort
    ? h("button", { type: "button", onclick: () => onSort(column.key), "data-dir": isSorted },
        column.title, icon(isSorted && !sorted.down ? "up" : "down"))
    : column.title;
  return h("th", {
    scope: "col",
    className: classes(column),
    "aria-sort": isSorted ? (sorted.down ? "descending" : "ascending") : null,
  }, title);
}

const classes = ({ num, opt, wide }) =>
  [num && "num", opt && "opt-col", wide && "wide"].filter(Boolean).join(" ");

/**
 * A table. Each of `columns` is {key, title, cell(row), sort(row), num, opt, wide}: `cell` makes the content,
 * `sort` the value to sort by; `num` is for numbers, `opt` columns go on phones, one `wide` column takes the
 * rest of the width and cuts long texts. `sort` is {key, down}. `none` is what stands there without rows:
 * {title, text, action}. `onMore` reads the next page, by a button while `more`.
 *
 * Returns {node, show(rows, {more, none})}. `show` leaves the rows alone while the focus is inside of them.
 */
export function dataTable({ label, columns, sort = null, none, onMore }) {
  let sorted = sort;
  let rows = [];
  let options = {};
  const body = h("tbody", {});
  const heads = h("tr", {});
  const foot = h("div", { className: "more-rows", hidden: true },
    h("button", { type: "button", className: "button small", onclick: () => onMore() }, "Show more"));
  const node = h("div", {},
    h("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": `${label}, table` },
      h("table", {}, h("thead", {}, heads), body)),
    foot);

  function onSort(key) {
    const column = columns.find((one) => one.key === key);
    sorted = { key, down: sorted?.key === key ? !sorted.down : Boolean(column.num) };
    draw();
    heads.querySelector("[aria-sort] button").focus();
  }

  function draw() {
    heads.replaceChildren(...columns.map((column) => head(column, sorted, onSort)));
    const by = sorted && columns.find((one) => one.key === sorted.key)?.sort;
    const shown = by ? [...rows].sort((a, b) => compare(by(a), by(b)) * (sorted.down ? -1 : 1)) : rows;
    body.replaceChildren(...(shown.length ? shown.map(line) : [nothing()]));
    heads.parentNode.hidden = !shown.length; // a head wider than a phone would push the text aside
    foot.hidden = !options.more;
  }

  const line = (row) =>
    h("tr", {}, columns.map((column) => h("td", { className: classes(column) }, column.cell(row))));

  function nothing() {
    const { title, text: why, action } = options.none ?? none;
    return h("tr", {}, h("td", { colSpan: columns.length }, empty(title, why, action)));
  }

  return {
    node,
    show(found, more = {}) {
      [rows, options] = [found, more];
      if (!body.contains(document.activeElement)) draw();
    },
  };
}
