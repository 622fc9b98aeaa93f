// The waterfall of a request: a table whose rows are bars over one axis of time.
import { h, millis } from "../../kit/dom.js";
import { spansOf } from "./spans.js";

const KINDS = {
  gateway: "Gateway",
  client: "Client",
  plugin: "Plugin",
  connect: "Connect",
  wait: "Wait",
  stream: "Response",
  failed: "Failed",
};
const OURS = ["gateway", "client"]; // their names are words, the others' are as they were typed
const TICKS = 4;

/** Round times from 0 to `end`, about four of them. */
function ticks(end) {
  const raw = end / TICKS;
  const power = 10 ** Math.floor(Math.log10(raw || 1));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= raw) ?? raw;
  const found = [];
  for (let at = 0; at <= end * 1.0001 && step > 0; at += step) found.push(at);
  return found;
}

const share = (part, whole) => `${Math.min(100, (100 * part) / whole).toFixed(3)}%`;

function bar({ kind, from, to }, total) {
  const node = h("span", { className: `span ${kind}` });
  node.style.setProperty("inset-inline-start", share(from, total));
  node.style.setProperty("width", share(to - from, total));
  return node;
}

function axis(total) {
  return ticks(total).map((at) => {
    const tick = h("span", {}, at === 0 ? "0" : millis(at));
    tick.style.setProperty("inset-inline-start", share(at, total));
    return tick;
  });
}

const line = (one, total) =>
  h(
    "tr",
    {},
    h(
      "th",
      { scope: "row" },
      h("span", { className: OURS.includes(one.kind) ? "what" : "what mono", title: one.name }, one.name),
      h("span", { className: "about", title: one.about }, one.about),
    ),
    h("td", { className: "track" }, bar(one, total)),
    h("td", { className: "num" }, millis(one.to - one.from)),
  );

function legend(spans) {
  const used = Object.keys(KINDS).filter((kind) => spans.some((one) => one.kind === kind));
  return h(
    "ul",
    { className: "span-legend", "aria-hidden": "true" },
    used.map((kind) => h("li", {}, h("span", { className: `span ${kind}` }), KINDS[kind])),
  );
}

/** The waterfall of a request as a card. */
export function waterfall(row) {
  const spans = spansOf(row);
  const total = Math.max(row.milliseconds, ...spans.map((one) => one.to), 0.001);
  const isTraced = row.decision.traced || !row.rule_id;
  return h(
    "section",
    { className: "card flush", "aria-labelledby": "time-title" },
    h("div", { className: "card-head" }, h("h2", { id: "time-title" }, "Time"), legend(spans)),
    h(
      "div",
      { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Parts of the request by time" },
      h(
        "table",
        { className: "waterfall" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "col" }, "Part"),
            h(
              "th",
              { scope: "col", className: "axis" },
              h("span", { className: "hidden" }, "When"),
              axis(total),
            ),
            h("th", { scope: "col", className: "num" }, "Duration"),
          ),
        ),
        h(
          "tbody",
          {},
          spans.map((one) => line(one, total)),
        ),
      ),
    ),
    !isTraced &&
      h(
        "p",
        { className: "help foot" },
        "The plugins of this request were not timed one by one. They are for the first requests of each " +
          "second, and for requests with X-Gateway-Trace: 1 whose key has the scope admin.",
      ),
  );
}
