// The states of a page: ready, empty, failed, locked.
import { byId, h, icon } from "./dom.js";
import { Rejected } from "./api.js";

const ICONS = { bad: "warn", warn: "warn", fine: "check", info: "info" };

/** Mark the page as one that has its data. */
export const ready = () => (document.documentElement.dataset.ready = "");

/** A box with a sentence. `tone` is bad, warn, fine or info; `more` are nodes or texts below the title. */
export const banner = (tone, title, ...more) =>
  h("div", { className: `banner ${tone}`, role: tone === "bad" ? "alert" : null },
    icon(ICONS[tone]),
    h("div", {}, h("b", {}, title), more.map((one) => (typeof one === "string" ? h("p", {}, one) : one))));

/** Warnings of a response, {pointer, detail}, in a banner that stays. Nothing when there are none. */
export const warnings = (list) =>
  (list?.length ?? 0) > 0 &&
  banner("warn", "Saved, with warnings.", h("ul", {}, list.map((one) => h("li", {}, one.detail))));

/** The missing thing, why or what next, and one button or link. */
export const empty = (title, text, action) =>
  h("div", { className: "empty" }, h("b", {}, title), h("p", {}, text), action);

/** The reason why something cannot be changed here. */
export const locked = (reason) => h("p", { className: "locked" }, icon("lock"), reason);

/** Show an error above the content, or remove it with null. Other errors than `Rejected` are thrown. */
export function showProblem(error, ...more) {
  if (error && !(error instanceof Rejected)) throw error;
  byId("problem").replaceChildren(...(error ? [banner("bad", error.message, ...more)] : []));
}

/** Await `work`; what the API rejects is shown above the content. Resolves to undefined then. */
export async function attempt(work) {
  try {
    const result = await work();
    showProblem(null);
    return result;
  } catch (error) {
    showProblem(error);
    byId("problem").scrollIntoView({ block: "nearest" });
    return undefined;
  }
}

/** Do `work` while `button` shows that it is busy. */
export async function busy(button, work) {
  if (button.getAttribute("aria-busy") === "true") return undefined;
  button.setAttribute("aria-busy", "true");
  try {
    return await work();
  } finally {
    button.removeAttribute("aria-busy");
  }
}

/** Show an error that leaves the page without its data. */
export function fail(error) {
  showProblem(error);
  ready();
}
