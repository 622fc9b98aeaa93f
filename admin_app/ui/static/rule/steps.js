// The order in which the entries of a chain run: that of shared/pipeline/plan.py, which a test compares.
// An item is {entry, origin}: an entry of a chain, and "tier", "required", "tenant" or "rule".

const isForced = ({ origin }) => origin === "tier" || origin === "required";
const runs = ({ entry }) => entry.enabled;

/** By priority: first the sequential entries one by one, then the parallel ones together. */
function inOrder(items) {
  const sorted = [...items].sort((a, b) => a.entry.priority - b.entry.priority);
  const steps = [];
  for (const priority of new Set(sorted.map(({ entry }) => entry.priority))) {
    const same = sorted.filter(({ entry }) => entry.priority === priority);
    const parallel = same.filter(({ entry }) => entry.parallel);
    for (const item of same.filter(({ entry }) => !entry.parallel)) steps.push({ priority, items: [item] });
    if (parallel.length) steps.push({ priority, items: parallel });
  }
  return steps;
}

/** All entries of a plugin that merges them are one step, in the place of the first that acts. */
function merged(steps, merges) {
  const all = steps.flatMap((step) => step.items).filter(runs);
  return steps.flatMap((step) => {
    const first = step.items.find(runs);
    if (!first || !merges(first.entry.name)) return [step];
    const its = all.filter(({ entry }) => entry.name === first.entry.name);
    const acting = its.filter(({ entry }) => entry.mode !== "shadow");
    if (first !== [...acting, ...its][0]) return [];
    return [{ ...step, items: its, isMerged: its.length > 1 }];
  });
}

/**
 * The steps of `stage`, one after the other: [{priority, items, isMerged}]. The items of a step run together.
 * `merges` tells whether a plugin merges its entries. Disabled entries stand where they would run.
 */
export function stepsOf(stage, items, merges) {
  const here = items.filter(({ entry }) => entry.stage === stage);
  const forced = inOrder(here.filter(isForced));
  const others = inOrder(here.filter((item) => !isForced(item)));
  return merged(stage === "pre_response" ? [...others, ...forced] : [...forced, ...others], merges);
}

/** Whether nothing of a rule can stand before or after a step. */
export const isFixed = (step) => step.items.some(isForced);
