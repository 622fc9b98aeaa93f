// Dialogs: the side panel in which things are edited, confirmations, and secrets that are shown once.
import { copyButton, h, icon, newId } from "./dom.js";
import { busy } from "./states.js";

/** A <dialog> of `className` that is removed when it closes. Focus goes back to what opened it. */
function dialog(className, title, content) {
  const opener = document.activeElement;
  const node = h("dialog", { className, "aria-labelledby": title.id }, content);
  node.addEventListener("close", () => {
    node.remove();
    if (opener?.isConnected) opener.focus();
  });
  document.body.append(node);
  node.showModal();
  return node;
}

/**
 * Open the side panel. `body` are nodes; `actions` stand at its foot. With `submit` the body is a form: the
 * primary button, named by `save`, awaits `submit(form)`, and the panel closes unless that returns false.
 * Returns {node, form, close}.
 */
export function openPanel({ title, text = "", body, save = "Save", submit, actions = [], onclose }) {
  const heading = h("h2", { id: newId("panel") }, title);
  const close = h("button", {
    type: "button",
    className: "button quiet only-icon",
    "aria-label": "Close",
    onclick: () => node.close(),
  }, icon("close"));
  const cancel = h("button", { type: "button", className: "button", onclick: () => node.close() },
    submit ? "Cancel" : "Close");
  const primary = submit && h("button", { className: "button primary" }, save);
  const form = h("form", { method: "dialog", noValidate: true },
    h("header", { className: "panel-head" }, h("div", {}, heading, text && h("p", {}, text)), close),
    h("div", { className: "panel-body" }, body),
    h("footer", { className: "panel-foot" }, h("div", { className: "actions" }, actions), cancel, primary));
  const node = dialog("panel", heading, form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(primary, async () => (await submit(form)) !== false && node.close());
  });
  if (onclose) node.addEventListener("close", onclose);
  form.querySelector(".panel-body :is(input, select, textarea)")?.focus();
  return { node, form, close: () => node.close() };
}

/** Ask before something that cannot be undone; `title` names the thing. Resolves to true or false. */
export function confirm({ title, text, action, danger = true }) {
  return new Promise((resolve) => {
    const heading = h("h2", { id: newId("confirm") }, title);
    const choose = (value) => () => {
      resolve(value);
      node.close();
    };
    const node = dialog("confirm", heading, [
      heading,
      h("p", {}, text),
      h("div", { className: "actions" },
        h("button", { className: "button", autofocus: true, onclick: choose(false) }, "Cancel"),
        h("button", { className: `button ${danger ? "danger" : "primary"}`, onclick: choose(true) }, action)),
    ]);
    node.addEventListener("close", () => resolve(false));
  });
}

/** Show a secret once. Only "I have stored it" closes the dialog; resolves then. */
export function showOnce({ title, text, secret }) {
  return new Promise((resolve) => {
    const heading = h("h2", { id: newId("secret") }, title);
    const node = dialog("confirm", heading, [
      heading,
      h("p", {}, text),
      h("div", { className: "secret" }, h("code", { tabIndex: 0 }, secret), copyButton(secret)),
      h("div", { className: "actions" },
        h("button", { className: "button primary", onclick: () => node.close() }, "I have stored it")),
    ]);
    node.addEventListener("cancel", (event) => event.preventDefault());
    node.addEventListener("close", resolve);
  });
}
