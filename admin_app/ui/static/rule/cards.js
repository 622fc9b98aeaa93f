// The cards of a chain: one an entry, with what it does, where it comes from, and what is wrong with it.
import { badge, h, plural } from "../kit/dom.js";
import { words } from "../kit/fields.js";
import { verdictBadge } from "../explain/verdicts.js";
import { summary } from "./summary.js";

const ORIGINS = { tier: ["lock", "Tier"], required: ["lock", "Required"], tenant: ["tenants", "Tenant"] };
const KEYS = "Alt+ArrowLeft Alt+ArrowRight Alt+P Delete";

function failure(entry, plugin) {
  if (!plugin || entry.on_error === plugin.default_on_error) return false;
  return badge(entry.on_error === "open" ? "Fails open" : `If it fails: ${entry.on_error}`);
}

function tags({ entry, origin }, { plugin, verdict, problems }) {
  const [picture, word] = ORIGINS[origin] ?? [];
  return [
    verdict && verdictBadge(verdict),
    word && badge(word, "", picture),
    !entry.enabled && badge("Off"),
    entry.mode === "shadow" && badge("Shadow", "warn", "ghost"),
    failure(entry, plugin),
    !plugin && badge("Not installed", "bad", "warn"),
    problems.length > 0 && badge(plural(problems.length, "problem"), "bad", "warn"),
  ];
}

function look({ entry, origin }, { verdict, problems }) {
  const acts = entry.mode !== "shadow";
  const isBad = problems.length > 0 || (acts && ["reject", "fault"].includes(verdict?.verdict));
  const isOff = !entry.enabled || ["not_run", "cancelled"].includes(verdict?.verdict);
  const classes = ["entry", origin !== "rule" && "fixed", !acts && "shadow", isOff && "off", isBad && "bad"];
  return classes.filter(Boolean).join(" ");
}

/**
 * The card of `item`. `verdict` is that of a dry run. `on` has the listeners: onclick, and for an entry that
 * can be changed onkeydown, ondragstart and ondragend.
 */
export function card(item, model, { verdict, on }) {
  const { entry, origin } = item;
  const index = model.chain.indexOf(entry);
  const isOwn = origin === "rule";
  const plugin = model.plugins.get(entry.name);
  const problems = isOwn ? model.problemsOf(index) : [];
  const settings = summary(entry, plugin?.settings_schema, plugin?.secret_settings);
  const shown = { plugin, verdict, problems };
  return h("button", {
    type: "button",
    className: look(item, shown),
    draggable: isOwn && !model.locked,
    "data-index": isOwn ? index : null,
    "aria-describedby": isOwn ? "chain-keys" : "chain-fixed",
    "aria-keyshortcuts": isOwn && !model.locked ? KEYS : null,
    ...on,
  },
  h("span", { className: "title" }, words(entry.name)),
  h("span", { className: "what" }, verdict?.detail ?? problems[0]?.detail ?? settings),
  h("span", { className: "tags" }, tags(item, shown)));
}
