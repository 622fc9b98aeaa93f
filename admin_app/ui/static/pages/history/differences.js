// Differences of two states as lines: by thing, with words, icons and colors for what was added and removed.
import { badge, h, icon, plural } from "../../kit/dom.js";

const KINDS = {
  rules: "Rule",
  providers: "Provider",
  models: "Model",
  prices: "Prices of",
  api_keys: "API key",
};
const MARKS = {
  add: ["Added", "good", "plus"],
  remove: ["Removed", "bad", "minus"],
  change: ["Changed", "", "edit"],
};

const isSecret = (value) => typeof value?.set === "boolean" && Object.keys(value).length <= 2;
const isScalar = (value) => value === null || typeof value !== "object";

/** A value in words. That of an object has a line for each member: "settings › limit: 50". */
function shown(value) {
  if (value === null || value === undefined) return "nothing";
  if (value === "") return "an empty text";
  if (isSecret(value)) return "a secret";
  if (isScalar(value)) return String(value);
  if (Array.isArray(value) && value.every(isScalar)) return value.length ? value.join(", ") : "none";
  const members = membersOf(value, []).filter(([, one]) => one !== null);
  return members.map(([steps, one]) => `${placeOf(steps)}: ${shown(one)}`).join("\n") || "none";
}

/** The members of an object, and those of what is in it: pairs of steps and a value that is none. */
const membersOf = (value, steps) =>
  Object.entries(value).flatMap(([name, one]) => {
    const isPlain = isScalar(one) || isSecret(one) || (Array.isArray(one) && one.every(isScalar));
    return isPlain ? [[[...steps, name], one]] : membersOf(one, [...steps, name]);
  });

/** The steps of a JSON pointer. */
const stepsOf = (path) =>
  path.slice(1).split("/").map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));

/** The steps of a place within a thing: entries of lists are counted from 1. */
const placeOf = (steps) =>
  steps.map((step) => (/^\d+$/.test(step) ? `#${Number(step) + 1}` : step)).join(" › ");

const text = (tag, words, value) => h(tag, {}, h("span", { className: "hidden" }, words), shown(value));

function values({ op, before, after }) {
  if (op === "add") return text("ins", "", after);
  if (op === "remove") return text("del", "", before);
  if (after?.changed) return h("span", { className: "muted" }, "Another secret was stored.");
  return [text("del", "Before: ", before), icon("arrow"), text("ins", "After: ", after)];
}

function mark({ op, after }) {
  const [word, tone, picture] = after?.changed ? ["Stored again", "", "key"] : MARKS[op];
  return badge(word, tone, picture);
}

const line = (one) =>
  h("li", {},
    h("div", { className: "place" }, mark(one), h("code", {}, placeOf(one.steps))),
    h("div", { className: "values" }, values(one)));

/** The members of a whole thing that has come or gone, those that say nothing left out. */
function whole({ op, before, after }) {
  const tag = op === "add" ? "ins" : "del";
  const document = after ?? before;
  const members = isScalar(document) ? [] : Object.entries(document);
  const said = members.filter(([, value]) => !["nothing", "none", "false"].includes(shown(value)));
  if (!said.length) return false;
  return h("details", { className: "more" },
    h("summary", {}, plural(said.length, "value")),
    h("dl", { className: "members" }, said.map(([name, value]) => [
      h("dt", {}, h("code", {}, name)),
      h("dd", {}, text(tag, "", value)),
    ])));
}

/** Differences by thing: {title, whole, lines}. Differences without an id are of the tenant itself. */
function grouped(differences, names, own) {
  const found = new Map();
  for (const difference of differences) {
    const [kind, id, ...rest] = stepsOf(difference.path);
    const isThing = kind in KINDS && id !== undefined;
    const key = isThing ? `${kind}/${id}` : "";
    const document = difference.after ?? difference.before;
    const name = names.get(key) ?? (rest.length ? id : document?.path ?? document?.name ?? id);
    const group = found.get(key) ?? { title: isThing ? [KINDS[kind], name] : [own], lines: [] };
    found.set(key, group);
    if (isThing && !rest.length) group.whole = difference;
    else group.lines.push({ ...difference, steps: isThing ? rest : stepsOf(difference.path) });
  }
  return [...found.values()];
}

function thing({ title: [kind, name], whole: one, lines }) {
  return h("section", { className: "thing" },
    h("h3", {}, kind, name !== undefined && [" ", h("bdi", { className: "mono" }, name)], one && mark(one)),
    one && whole(one),
    lines.length > 0 && h("ul", { className: "differences" }, lines.map(line)));
}

/**
 * The differences, {op, path, before, after}, as nodes. `cut` tells that there are more. `names` are those of
 * things by kind and id, such as "rules/rule_1"; `own` is what has no id.
 */
export function differenceList({ differences, cut }, names, own = "Tenant") {
  if (!differences.length && !cut) return h("p", { className: "muted" }, "Nothing differs.");
  return h("div", { className: "things" }, grouped(differences, names, own).map(thing),
    cut && h("p", { className: "locked" }, icon("info"), "There are more differences than are shown."));
}
