// Saving: what the API rejects stands at the fields of the form, and in a list above them.
import { h } from "./dom.js";
import { Rejected } from "./api.js";
import { field, placeOf, showErrors, text } from "./fields.js";
import { banner } from "./states.js";

const CHANGED_SINCE = 412;
const MAX_REASON = 500;

/** A field for the reason of a change, for the bar with Save: {node, read}. It is no change of the form. */
export function reasonField() {
  const control = text("", { maxLength: MAX_REASON, placeholder: "Why, for the history" });
  const label = h("span", {}, "Reason", h("span", { className: "optional" }, "optional"));
  const node = h("label", { className: "reason" }, label, control);
  for (const kind of ["input", "change"]) node.addEventListener(kind, (event) => event.stopPropagation());
  return { node, read: () => control.value.trim() };
}

/** The same for a panel, in which all else is a field, too. */
export function panelReason() {
  const control = text("", { maxLength: MAX_REASON, placeholder: "Why, for the history" });
  return field("Reason", control, { pointer: "/message", required: false, read: () => control.value.trim() });
}

/** The label of the field that an error is shown at. */
function labelOf(place) {
  const label = place.querySelector(":scope > label, :scope > legend, :scope > .label, :scope > summary");
  return (label?.firstChild?.data ?? label?.textContent ?? place.dataset.pointer.slice(1)).trim();
}

/** One error as a link to its field, or as a sentence. */
function line(form, { pointer, detail }) {
  const place = placeOf(form, pointer);
  if (!place) return h("li", {}, detail);
  const go = () => place.querySelector("input, select, textarea, button")?.focus();
  return h(
    "li",
    {},
    h("button", { type: "button", className: "linklike", onclick: go }, labelOf(place)),
    `: ${detail}`,
  );
}

function summary(form, error, newest) {
  if (error.status === CHANGED_SINCE) {
    const load =
      newest &&
      h("button", { type: "button", className: "button small", onclick: newest }, "Load the newest");
    return banner("bad", "Somebody has changed this since you opened it.", "Nothing was saved.", load || "");
  }
  if (!error.errors.length) return banner("bad", error.message);
  const title = error.errors.length === 1 ? "Nothing was saved." : `${error.errors.length} fields are wrong.`;
  return banner(
    "bad",
    title,
    h(
      "ul",
      {},
      error.errors.map((one) => line(form, one)),
    ),
  );
}

/**
 * Do `work` for a form. Resolves to true, or to false if the API rejects it: then the form says
 * what is wrong.
 * `newest` is called to load what somebody else has changed.
 */
export async function accepted(form, work, { newest } = {}) {
  const place = form.querySelector(".panel-body") ?? form;
  place.querySelector(":scope > .banner.bad")?.remove();
  try {
    await work();
    showErrors(form, []);
    return true;
  } catch (error) {
    if (error instanceof SyntaxError) return false; // the field that is not JSON says so itself
    if (!(error instanceof Rejected)) throw error;
    const left = showErrors(form, error.errors);
    const box = summary(form, error, newest);
    place.prepend(box);
    box.scrollIntoView({ block: "nearest" });
    if (left.length || error.errors.length !== 1) {
      box.tabIndex = -1;
      box.focus();
    }
    return false;
  }
}
