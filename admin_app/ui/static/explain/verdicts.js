// The verdicts of a dry run: their words, and the entries that they belong to.
import { badge, millis } from "../kit/dom.js";

const WORDS = {
  continue: ["good", "check", "Passes"],
  patch: ["accent", "edit", "Changes it"],
  respond: ["accent", "check", "Responds"],
  reject: ["bad", "warn", "Rejects"],
  fault: ["bad", "warn", "Fails"],
  cancelled: ["", "close", "Canceled"],
  not_run: ["", "close", "Not run"],
  not_called: ["", "info", "Not called"],
};

/** A verdict with its time. In shadow mode it only says what would have happened. */
export function verdictBadge({ verdict, milliseconds, mode }) {
  const [tone, picture, word] = WORDS[verdict] ?? ["", "info", verdict];
  const time = milliseconds == null ? "" : ` ${millis(milliseconds)}`;
  return badge(`${word}${time}`, mode === "shadow" ? "" : tone, picture);
}

const keyOf = (stage, name, mode, { origin, priority, parallel }) =>
  [stage, name, mode, origin, priority, parallel].join("/");

/** The plugins of a plan by the keys of their entries, in the order of the plan. */
function byEntry(plan) {
  const found = new Map();
  for (const { stage, groups } of plan) {
    for (const plugin of groups.flatMap((group) => group.plugins)) {
      for (const entry of plugin.entries) {
        const key = keyOf(stage, plugin.name, plugin.mode, entry);
        found.set(key, [...(found.get(key) ?? []), plugin]);
      }
    }
  }
  return found;
}

/** The result of a dry run for each of `items`, {entry, origin}: item -> plugin of the plan. */
export function verdictsOf(explained, items) {
  const left = byEntry(explained.plan);
  const found = new Map();
  for (const item of items.filter(({ entry }) => entry.enabled)) {
    const { stage, name, mode, priority, parallel } = item.entry;
    const key = keyOf(stage, name, mode, { origin: item.origin, priority, parallel });
    const plugin = left.get(key)?.shift();
    if (plugin) found.set(item, plugin);
  }
  return found;
}
