// What the API rejects of a side panel: at the fields, and else above them.
import { byId, h } from "../../kit/dom.js";
import { Rejected } from "../../kit/api.js";
import { showErrors } from "../../kit/fields.js";
import { banner, showProblem, warnings } from "../../kit/states.js";

/** Do `work` for the form of a panel. Returns false, so that the panel stays, if the API rejects it. */
export async function attemptIn(form, work) {
  try {
    await work();
    return true;
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
    const body = form.querySelector(".panel-body");
    body.querySelector(":scope > .banner")?.remove();
    const left = showErrors(form, error.errors);
    if (left.length || !error.errors.length) {
      const list = left.length > 1 && h("ul", {}, left.map((one) => h("li", {}, one.detail)));
      body.prepend(banner("bad", left.length === 1 ? left[0].detail : error.message, list || ""));
      body.scrollTop = 0;
    }
    return false;
  }
}

/** After a change: show its warnings, and read the page again. The error of another action stays. */
export async function showChanged(changed, load) {
  showProblem(null);
  byId("warnings").replaceChildren(...[warnings(changed?.warnings)].filter(Boolean));
  try {
    await load();
  } catch (error) {
    showProblem(error);
  }
}
