// Small helpers to build pages. Text is always set as text, so nothing that a tenant typed becomes markup.
export * from "./formats.js";

const SVG = "http://www.w3.org/2000/svg";
const ICONS = new URL("../icons.svg", import.meta.url).pathname;
const ATTRIBUTES = new Set(["list", "form", "role"]); // of the same name, and not set as a property
// The prefix that a proxy removes from the path (X-Forwarded-Prefix).
const PREFIX = document.documentElement.dataset.prefix ?? "";

/** The address of `path` as this browser reaches it. `h` applies it to `href`. */
export const address = (path) => (path.startsWith("/") ? PREFIX + path : path);

/** Where this page is, without the prefix: what `?next=` of the login takes. */
export const here = () => location.pathname.slice(PREFIX.length) + location.search;

export const byId = (id) => document.getElementById(id);

/** The ids in the address of the page: `page.tenant`, `page.rule`, `page.request`. */
export const page = byId("main").dataset;

function fill(node, props, children) {
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value == null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "href" && node instanceof HTMLElement) node.href = address(value);
    else if (key in node && !(node instanceof SVGElement) && !ATTRIBUTES.has(key)) node[key] = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return node;
}

/** An element: h("p", {className: "muted"}, "text", child). Properties with "on" are listeners. */
export const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);

/** The same for SVG. */
export const s = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

/** An icon of icons.svg. It is decoration: a word stands beside it. */
export const icon = (name, more = "") =>
  s("svg", { class: `icon ${more}`, "aria-hidden": "true" }, s("use", { href: `${ICONS}#${name}` }));

/** A text in which backticks mark code. */
export const prose = (text) =>
  text.replaceAll("\n", " ").split("`").map((part, at) => (at % 2 ? h("code", {}, part) : part));

/** A word in a badge; `tone` is good, warn, bad, accent or nothing. */
export const badge = (text, tone = "", picture = "") =>
  h("span", { className: `badge ${tone}` }, picture && icon(picture), text);

/** A share as a bar; the number stands beside it. */
export function meter(share) {
  const full = h("span", { className: share >= 1 ? "full" : share >= 0.8 ? "near" : "" });
  full.style.setProperty("width", `${Math.min(100, Math.max(0, 100 * share)).toFixed(1)}%`);
  return h("span", { className: "meter", "aria-hidden": "true" }, full);
}

let last = 0;
/** An id that no other element has. */
export const newId = (prefix) => `${prefix}-${++last}`;

/** The title of the window: `thing · tenant · AI Gateway`. */
export const setTitle = (...parts) =>
  (document.title = [...parts.filter(Boolean), "AI Gateway"].join(" · "));

/** Say something once, at the corner of the page and to screen readers. */
export function toast(text) {
  const node = h("div", { className: "toast" }, text);
  byId("toasts").append(node);
  setTimeout(() => node.remove(), 5000);
}

/** A button that copies `text`. */
export const copyButton = (text, label = "Copy") =>
  h("button", {
    type: "button",
    className: "button small",
    onclick: async () => {
      await navigator.clipboard.writeText(text);
      toast("Copied.");
    },
  }, icon("copy"), label);
