// Form fields, each marked with its JSON pointer, so that the API's errors find their place.
import { h, icon, newId } from "./dom.js";
export { schemaForm } from "./schema.js";

const ABBREVIATIONS = /\b(json|ip|ips|url|id|ca|api|http)\b/gi;

/** The name of a setting as a label: `max_ips` is "Max IPs". */
export const words = (name) =>
  (name.charAt(0).toUpperCase() + name.slice(1))
    .replaceAll("_", " ")
    .replace(ABBREVIATIONS, (word) => (word.toLowerCase() === "ips" ? "IPs" : word.toUpperCase()));

/** A field of every form is {node, read, control}: `read` gives its value, undefined for what is not set. */

/** A labeled control. `required: false` says "optional"; `width` is w3 to w12 of twelve columns. */
export function field(label, control, options = {}) {
  const { help = "", pointer, required, width = "w12", read = () => control.value } = options;
  const id = (control.id ||= newId("f"));
  control.setAttribute("aria-describedby", `${id}-help ${id}-error`);
  if (required) control.setAttribute("aria-required", "true");
  const node = h("div", { className: `field ${width}`, "data-pointer": pointer },
    h("label", { htmlFor: id }, label, required === false && optional()),
    control,
    h("p", { className: "help", id: `${id}-help` }, help),
    h("p", { className: "error", id: `${id}-error` }));
  return { node, read, control };
}

const optional = () => h("span", { className: "optional" }, "optional");

/** The nodes of named fields. */
export const nodesOf = (parts) => Object.values(parts).map((part) => part.node);

/** The values of named fields. */
export const valuesOf = (parts) =>
  Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, part.read()]));

/** A part of a form, with a title. */
export const section = (title, ...nodes) =>
  h("section", { className: "section" }, h("h3", {}, title), h("div", { className: "fields" }, nodes));

/** Whether two values of fields are the same JSON. */
export const isSame = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** A typed text as a number if it is one: for what may also be written as 500ms or 20MB. */
export const numberOrText = (typed) => (typed.trim() === "" || isNaN(typed) ? typed : Number(typed));

/** A switch for yes or no. */
export function toggle(label, checked, { help, pointer, width = "w6", disabled } = {}) {
  const control = h("input", { type: "checkbox", role: "switch", checked, disabled, id: newId("f") });
  control.setAttribute("aria-describedby", `${control.id}-error`);
  const node = h("div", { className: `field ${width}`, "data-pointer": pointer },
    h("label", { className: "switch" }, control, h("span", {}, label, help && h("small", {}, help))),
    h("p", { className: "error", id: `${control.id}-error` }));
  return { node, read: () => control.checked, control };
}

/** A line of text. */
export const text = (value, props) =>
  h("input", { type: "text", value: value ?? "", spellcheck: false, autocomplete: "off", ...props });

/** A choice of `options`, [value, name] each. */
export const choice = (value, options, props) =>
  h("select", props, options.map(([key, name]) =>
    h("option", { value: key, selected: key === value }, name)));

/** A text area with one word per line. `lines(control)` reads it. */
export const lineList = (value, props) =>
  h("textarea", {
    className: "mono",
    value: (value ?? []).join("\n"),
    rows: Math.min(6, Math.max(2, (value ?? []).length + 1)),
    placeholder: "One per line",
    spellcheck: false,
    ...props,
  });

/** The lines of a text area, without empty ones. */
export const lines = (control) => control.value.split("\n").map((line) => line.trim()).filter(Boolean);

/** One of a few choices, [value, name] each, as segments. Returns {node, read}; `onchange` gets the value. */
export function segments(label, value, options, { small = false, onchange = () => {} } = {}) {
  const name = newId("s");
  const node = h("fieldset", { className: `segments ${small ? "small" : ""}` },
    h("legend", { className: "hidden" }, label),
    options.map(([key, title]) =>
      h("label", {},
        h("input", { type: "radio", name, value: key, checked: key === value }), h("span", {}, title))));
  node.addEventListener("change", (event) => onchange(event.target.value));
  return { node, read: () => node.querySelector(":checked")?.value };
}

/** Any of a few choices, [value, name] each, as chips. Returns {node, read}; `read` gives a list. */
export function chips(label, values, options, { help = "", pointer, width = "w12" } = {}) {
  const node = h("fieldset", { className: `field ${width}`, "data-pointer": pointer },
    h("legend", { className: "label" }, label),
    h("div", { className: "chips" }, options.map(([key, title]) =>
      h("label", {},
        h("input", { type: "checkbox", value: key, checked: values.includes(key) }), h("span", {}, title)))),
    h("p", { className: "help" }, help),
    h("p", { className: "error" }));
  return { node, read: () => [...node.querySelectorAll(":checked")].map((one) => one.value) };
}

/** Rows that can be added and removed. `make(item)` gives {node, read}; what reads undefined is left out. */
export function rows(items, make, adding) {
  const list = h("div", { className: "rows" });
  const all = new Set();
  const add = (item) => {
    const one = make(item);
    const remove = () => {
      all.delete(one);
      row.remove();
      more.focus();
    };
    const look = { type: "button", className: "button quiet only-icon", "aria-label": "Remove" };
    const button = h("button", { ...look, onclick: remove }, icon("close"));
    const row = h("div", { className: "row" }, one.node, button);
    all.add(one);
    list.append(row);
    return row;
  };
  const more = h("button", {
    type: "button",
    className: "button small",
    onclick: () => add().querySelector("input, select, textarea")?.focus(),
  }, icon("plus"), adding);
  items.forEach((item) => add(item));
  return {
    node: h("div", { className: "rows" }, list, h("div", {}, more)),
    read: () => [...all].map((one) => one.read()).filter((value) => value !== undefined),
  };
}

/** Names and values. Values that are stored encrypted, {set: true}, are not shown, only kept or replaced. */
export function pairs(value, { label, help, pointer, secret, width = "w12" }) {
  const id = newId("f");
  const make = ([key, stored] = ["", ""]) => pair(key, stored, { pointer, secret });
  const inner = rows(Object.entries(value ?? {}), make, "Add");
  const node = h("div",
    { className: `field ${width}`, role: "group", "aria-labelledby": id, "data-pointer": pointer },
    h("span", { className: "label", id }, label),
    help && h("p", { className: "help" }, help),
    inner.node,
    h("p", { className: "error" }));
  return { node, read: () => Object.fromEntries(inner.read()) };
}

function pair(key, stored, { pointer, secret }) {
  const isKept = typeof stored === "object";
  const name = text(key, { className: "mono", placeholder: "Name", ariaLabel: "Name" });
  const value = text(isKept ? "" : stored, {
    className: "mono",
    type: secret ? "password" : "text",
    autocomplete: "new-password",
    placeholder: isKept ? "•••••• kept" : "Value",
    ariaLabel: isKept ? "Value; the stored one is kept when empty" : "Value",
  });
  const read = () =>
    name.value ? [name.value, isKept && !value.value ? { set: true } : value.value] : undefined;
  return { node: h("div", { className: "pair", "data-pointer": `${pointer}/${key}` }, name, value), read };
}

/** A secret: a password field that keeps what is stored when it is left empty. */
export function secretField(label, isSet, options = {}) {
  const control = text("", {
    type: "password",
    className: "mono",
    autocomplete: "new-password",
    placeholder: isSet ? "•••••• kept" : options.placeholder ?? "",
  });
  const help = isSet ? `${options.help ?? ""} Leave it empty to keep the stored one.`.trim() : options.help;
  const read = () => control.value || (isSet ? { set: true } : undefined);
  return field(label, control, { ...options, help, read });
}

const fieldsOf = (root) => [...root.querySelectorAll("[data-pointer]"), root];

/** The field with the longest pointer that `pointer` begins with. */
export function placeOf(root, pointer) {
  for (let rest = pointer; rest; rest = rest.slice(0, rest.lastIndexOf("/"))) {
    const found = fieldsOf(root).find((node) => node.dataset?.pointer === rest);
    if (found) return found;
  }
  return null;
}

/** Show each error, {pointer, detail}, at its field. Returns those that found none. */
export function showErrors(root, errors, { focus = true } = {}) {
  for (const old of root.querySelectorAll(".error")) old.textContent = "";
  for (const old of root.querySelectorAll("[aria-invalid]")) old.removeAttribute("aria-invalid");
  const left = errors.filter(({ pointer, detail }) => {
    const place = placeOf(root, pointer);
    if (!place) return true;
    for (let node = place; node && node !== root; node = node.parentElement) {
      if (node.tagName === "DETAILS") node.open = true;
    }
    const line = place.querySelector(":scope > .error") ?? place.appendChild(h("p", { className: "error" }));
    line.textContent = line.textContent ? `${line.textContent} ${detail}` : detail;
    place.querySelector("input, select, textarea")?.setAttribute("aria-invalid", "true");
    return false;
  });
  if (focus) root.querySelector("[aria-invalid]")?.focus();
  return left;
}
