// Keys are created, rotated and looked at in a side panel.
import { ago, badge, dateTime, h } from "../../kit/dom.js";
import { write } from "../../kit/api.js";
import { chips, choice, field, lineList, lines, nodesOf, pairs, text } from "../../kit/fields.js";
import { openPanel, showOnce } from "../../kit/panel.js";
import { accepted } from "../../kit/saving.js";
import { budgetsOf } from "../budgets/read.js";
import { namesKey, usedOf as usedOfBudget } from "../budgets/words.js";

const SCOPES = [
  ["proxy", "proxy"],
  ["read", "read"],
  ["admin", "admin"],
];
const SCOPE_HELP = "proxy calls the rules. read looks at this tenant, admin changes it.";
const DAYS = [
  ["", "Never"],
  ["7", "In 7 days"],
  ["30", "In 30 days"],
  ["90", "In 90 days"],
  ["365", "In a year"],
];
export const OVERLAPS = [
  ["0s", "At once"],
  ["1h", "After an hour"],
  ["1d", "After 24 hours"],
  ["7d", "After 7 days"],
];
const DAY_MS = 86_400_000;
const HOW = "Send it as Authorization: Bearer, as x-api-key or as api-key. It is shown only this once.";

/** A choice of a number of days, or a moment of one's own. */
export function expiryField() {
  const days = choice("", [...DAYS, ["own", "At a time of my own"]]);
  const moment = h("input", { type: "datetime-local", ariaLabel: "Expires at", hidden: true });
  const read = () => {
    if (days.value === "own") return moment.value ? new Date(moment.value).toISOString() : "";
    return days.value ? new Date(Date.now() + Number(days.value) * DAY_MS).toISOString() : null;
  };
  days.addEventListener("change", () => (moment.hidden = days.value !== "own"));
  const made = field("Expires", days, { pointer: "/expires_at", read });
  days.after(moment);
  return made;
}

const globs = (label, pointer, help, example = "gpt-*") => {
  const control = lineList([], { placeholder: example });
  return field(label, control, { pointer, help, required: false, read: () => lines(control) });
};
const orNull = (list) => (list.length ? list : null);

function keyFields() {
  return {
    name: field("Name", text("", { maxLength: 200, placeholder: "production" }), {
      pointer: "/name",
      help: "Its purpose, in your words.",
    }),
    scopes: chips("Scopes", ["proxy"], SCOPES, { pointer: "/scopes", help: SCOPE_HELP }),
    expires_at: expiryField(),
    models: globs("Models", "/models", "Names that it may ask for, one per line; * is any text. Empty: all."),
    deny_models: globs(
      "Denied models",
      "/deny_models",
      "Models that it may not use, whatever name it asks for.",
    ),
    providers: globs(
      "Providers",
      "/providers",
      "Names of the providers that it may use. Empty: all.",
      "openai-main",
    ),
    user: field("User", text("", { maxLength: 128 }), {
      pointer: "/user",
      required: false,
      help: "The person or program that uses it, for reports.",
    }),
    metadata: pairs(
      {},
      { label: "Tags", pointer: "/metadata", help: "Names and values for reports, such as a project." },
    ),
  };
}

/** Open the panel for a new key. `done` is called when it is stored. */
export function createKey({ base }, done) {
  const all = keyFields();
  const { name, scopes, expires_at: expires, models, ...others } = all;
  const body = () => ({
    name: name.read(),
    scopes: scopes.read(),
    expires_at: expires.read(),
    models: orNull(models.read()),
    deny_models: all.deny_models.read(),
    providers: orNull(all.providers.read()),
    user: all.user.read() || null,
    metadata: all.metadata.read(),
  });
  const panel = openPanel({
    title: "Create a key",
    text: "An application needs the scope proxy only.",
    body: [
      h("div", { className: "fields" }, nodesOf({ name, scopes, expires, models })),
      h(
        "details",
        { className: "more" },
        h("summary", {}, "More"),
        h("div", { className: "fields" }, nodesOf(others)),
      ),
    ],
    save: "Create the key",
    submit: async (form) => {
      let made;
      if (!(await accepted(form, async () => (made = await write("POST", `${base}/api-keys`, body())))))
        return false;
      panel.close();
      await showOnce({
        title: made.name ? `The key “${made.name}”` : "The new key",
        text: HOW,
        secret: made.key,
      });
      await done();
      return true;
    },
  });
}

/** Open the panel in which a key is replaced by a new one. */
export function rotateKey({ base }, key, done) {
  const overlap = field("The old key ends", choice("1d", OVERLAPS), {
    pointer: "/overlap",
    help: "Until then both keys work, so that you can change your applications without a gap.",
  });
  const panel = openPanel({
    title: `Rotate ${key.name || key.prefix}`,
    text: "A new key with the same name, scopes and models.",
    body: h("div", { className: "fields" }, overlap.node),
    save: "Rotate the key",
    submit: async (form) => {
      let made;
      const path = `${base}/api-keys/${key.id}/rotate`;
      const work = async () => (made = await write("POST", path, { overlap: overlap.read() }));
      if (!(await accepted(form, work))) return false;
      panel.close();
      const ends = overlap.control.selectedOptions[0].textContent.toLowerCase();
      const text = `${HOW} The old key, ${key.prefix}…, ends ${ends}.`;
      await showOnce({ title: "The new key", text, secret: made.key });
      await done();
      return true;
    },
  });
}

/** When a key was used, as the gateway knows it: about a minute late. */
export const usedOf = ({ last_used_at: moment }) => (moment === null ? "Never" : ago(moment));

const words = (list, empty) => (list?.length ? list.join(", ") : empty);

const budgetsOfKey = (key, budgets, id) =>
  budgets
    .filter((one) => namesKey(one, key))
    .map((one) =>
      h(
        "p",
        {},
        h("a", { href: `/ui/tenants/${id}?tab=budgets` }, one.name),
        ` ${usedOfBudget(one)}`,
      ),
    );

/** Show all that is known of a key, with those of the tenant's budgets that name it. */
export async function showKey({ id, base }, key) {
  const named = budgetsOfKey(key, await budgetsOf(base), id);
  const tags = Object.entries(key.metadata).map(([name, value]) => `${name} = ${value}`);
  const facts = {
    State: badge(key.status === "active" ? "Active" : key.status, key.status === "active" ? "good" : "warn"),
    Begins: h("code", {}, `${key.prefix}…`),
    Id: h("code", {}, key.id),
    Scopes: words(key.scopes, "None"),
    Models: words(key.models, key.models ? "None" : "All"),
    "Denied models": words(key.deny_models, "None"),
    Providers: words(key.providers, key.providers ? "None" : "All"),
    User: key.user ?? "None",
    Tags: words(tags, "None"),
    Budgets: named.length ? named : "None of its own",
    "Last used": usedOf(key),
    Expires: key.expires_at ? dateTime(key.expires_at) : "Never",
    Created: dateTime(key.created_at),
  };
  openPanel({
    title: key.name || "Key without a name",
    body: h(
      "dl",
      { className: "facts" },
      Object.entries(facts).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
    ),
  });
}
