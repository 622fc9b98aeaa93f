// Moves in a chain: the priority and the place that an entry needs to run where somebody wants it.
import { isFixed, stepsOf } from "./steps.js";

const LOWEST = 0;
const HIGHEST = 999;
const NO_ROOM = "There is no priority for this place. Change the priority of a neighbor first.";
/** Why an entry of a plugin that merges its entries is in no place of its own. */
export const ONE_STEP =
  "All entries of this plugin run as one step, in the place of the first, and never in parallel.";

const entriesOf = (steps) => steps.map((step) => step.items.map(({ entry }) => entry));
const isSame = (a, b) =>
  a.length === b.length &&
  a.every((step, i) => step.length === b[i].length && step.every((entry) => b[i].includes(entry)));

/** The priorities that could bring an entry between others: theirs and those beside them, near ones first. */
function priorities(entry, items) {
  const near = items
    .filter((item) => item.entry.stage === entry.stage)
    .flatMap(({ entry: { priority } }) => [priority - 1, priority, priority + 1]);
  const allowed = [entry.priority, ...near].filter((one) => one >= LOWEST && one <= HIGHEST);
  const distance = (one) => Math.abs(one - entry.priority);
  return [...new Set(allowed)].sort((a, b) => distance(a) - distance(b));
}

/** The chains with `entry` in each place, the present one first. */
function orders(chain, entry) {
  const others = chain.filter((one) => one !== entry);
  return [chain, ...chain.map((_, at) => [...others.slice(0, at), entry, ...others.slice(at)])];
}

/**
 * Give `entry` the priority, and its place in the chain, with which the steps of its stage are `wanted`:
 * lists of entries. Returns the chain, or null if no priority does it: then nothing is changed.
 */
function arrange(model, entry, wanted) {
  const before = entry.priority;
  const possible = priorities({ ...entry }, model.items());
  for (const chain of orders(model.chain, entry)) {
    const items = model.items(chain);
    for (const priority of possible) {
      entry.priority = priority;
      if (isSame(entriesOf(stepsOf(entry.stage, items, model.merges)), wanted)) return chain;
    }
  }
  entry.priority = before;
  return null;
}

/** Put `entry` into a step of its own, before the step number `gap`. Returns why it cannot, or nothing. */
export function placeAt(model, entry, stage, gap) {
  const before = { ...entry };
  const steps = entriesOf(stepsOf(stage, model.items(), model.merges));
  const wanted = steps.map((step) => step.filter((one) => one !== entry));
  wanted.splice(gap, 0, [entry]);
  const isAlone = steps.some((step) => isSame([step], [[entry]]));
  Object.assign(entry, { stage, parallel: entry.parallel && isAlone });
  const chain = arrange(model, entry, wanted.filter((step) => step.length));
  if (chain) model.chain = chain;
  else Object.assign(entry, before);
  return chain ? "" : NO_ROOM;
}

/** Move `entry` one step earlier (-1) or later (1). Returns why it cannot move, or nothing. */
export function move(model, entry, by) {
  const steps = stepsOf(entry.stage, model.items(), model.merges);
  const at = steps.findIndex((step) => step.items.some((item) => item.entry === entry));
  if (steps[at].isMerged) return ONE_STEP;
  const isAlone = steps[at].items.length === 1;
  const neighbor = steps[at + by];
  if (isAlone && !neighbor) return by < 0 ? "It is the first step." : "It is the last step.";
  if (isAlone && isFixed(neighbor)) return "A required plugin cannot be passed.";
  const before = at + (isAlone ? Math.min(0, by) : 0);
  const after = at + (isAlone ? 2 : 1);
  return placeAt(model, entry, entry.stage, by < 0 ? before : after);
}

/** Let `entry` run at the same time as a step. Returns why it cannot, or nothing. */
export function joinStep(model, entry, stage, step) {
  const others = step.items.filter((item) => item.entry !== entry);
  if ([entry, ...others.map((item) => item.entry)].some((one) => model.merges(one.name))) return ONE_STEP;
  if (others.some(({ origin, entry: one }) => origin !== "rule" && !one.parallel)) {
    return "That entry is not parallel, and cannot be changed here.";
  }
  for (const item of others.filter(({ origin }) => origin === "rule")) item.entry.parallel = true;
  Object.assign(entry, { stage, priority: step.priority, parallel: true });
  return "";
}
