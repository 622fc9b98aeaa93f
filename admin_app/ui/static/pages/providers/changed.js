// The result of a change: its warnings, and the page as it is now.
import { byId } from "../../kit/dom.js";
import { showProblem, warnings } from "../../kit/states.js";

/** Show the warnings of a change, and read the page again. The error of another action stays. */
export async function showChanged(changed, load) {
  showProblem(null);
  byId("warnings").replaceChildren(...[warnings(changed?.warnings)].filter(Boolean));
  try {
    await load();
  } catch (error) {
    showProblem(error);
  }
}
