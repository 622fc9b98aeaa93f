// The problems of a draft, by the API: at their fields, in a list, and on the cards of the chain.
import { byId, h } from "../kit/dom.js";
import { placeOf, showErrors, words } from "../kit/fields.js";
import { banner } from "../kit/states.js";

const IN_CHAIN = /^\/plugin_chain\/(\d+)/;

/** The problems with pointers into the rule, as a call with `rule` or a change of the rule tells them. */
export const ofRule = (errors) =>
  errors
    .filter(({ pointer }) => pointer !== "")
    .map((one) => ({ ...one, pointer: one.pointer.replace(/^\/rule(?=\/|$)/, "") }));

const indexOf = (pointer) => {
  const found = IN_CHAIN.exec(pointer);
  return found ? Number(found[1]) : null;
};

/** Show problems at the fields of `form`, and on the cards. Nothing gets the focus. */
export function markProblems(form, model, problems) {
  model.problems = problems;
  showErrors(form, problems.filter(({ pointer }) => indexOf(pointer) === null), { focus: false });
}

function fieldOf(form, pointer) {
  const place = placeOf(form, pointer) ?? form;
  return place.querySelector("input, select, textarea") ?? place;
}

/** A list of links that lead to the problems. `edit(index)` opens an entry of the chain. */
function links(form, model, problems, edit) {
  return h("ul", {}, problems.map(({ pointer, detail }) => {
    const index = indexOf(pointer);
    const entry = index === null ? null : model.chain[index];
    const name = words(pointer.split("/").at(-1) ?? "");
    const label = entry ? `${words(entry.name)} › ${name}` : words(pointer.split("/")[1] ?? "");
    const go = (event) => {
      event.preventDefault();
      if (entry) edit(index);
      else fieldOf(form, pointer).focus();
    };
    return h("li", {}, h("a", { href: "#page", onclick: go }, `${label}: ${detail}`));
  }));
}

/**
 * Say above the content why the rule is not saved, or what `verb` names. `newest()` loads the rule as it is
 * stored now.
 */
export function showRejected(error, { form, model, edit, newest, verb = "saved" }) {
  const problems = ofRule(error.errors);
  markProblems(form, model, problems);
  const count = problems.length === 1 ? "1 field needs" : `${problems.length} fields need`;
  const isStale = error.status === 412;
  const sentence = isStale
    ? `Not ${verb}: somebody else has changed the rule since you read it.`
    : problems.length ? `Not ${verb}: ${count} a change.` : `Not ${verb}. ${error.message}`;
  const again = h("button", { type: "button", className: "linklike", onclick: newest },
    "Load the newest. Your changes are lost.");
  byId("problem").replaceChildren(
    banner("bad", sentence, isStale ? again : links(form, model, problems, edit)));
  byId("problem").focus();
}
