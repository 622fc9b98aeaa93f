// A webhook is added and changed in a side panel. Its secret is never shown.
import { h, toast } from "../../kit/dom.js";
import { write } from "../../kit/api.js";
import { chips, field, nodesOf, secretField, text, toggle, valuesOf } from "../../kit/fields.js";
import { openPanel } from "../../kit/panel.js";
import { accepted } from "../../kit/saving.js";

/** The events, and what they are called here. */
export const EVENTS = [
  ["budget.reached", "Budget reached"],
  ["rule.faulted", "Rule faulted"],
  ["key.rejected", "Key rejected"],
  ["breaker.opened", "Target not called"],
];
const EXAMPLE = "https://hooks.example.com/gateway";
const URL_HELP = "It is called by POST. It is shown here, so it must hold no secret.";
const SECRET_HELP = "Signs what is sent, in X-Gateway-Signature. At least 16 characters.";

function secretOf(webhook) {
  const outside = webhook?.secret.env ?? webhook?.secret.file;
  const help = outside ? `Kept in ${outside}. A secret that is typed here takes its place.` : SECRET_HELP;
  const made = secretField("Secret", Boolean(webhook) && !outside, { pointer: "/secret", help });
  return { ...made, read: () => made.control.value || undefined };
}

function fieldsOf(webhook) {
  const name = field("Name", text(webhook?.name, { maxLength: 63, placeholder: "on-call" }), {
    pointer: "/name",
    required: false,
    help: "In lower case. Empty: one is made of the host.",
  });
  return {
    name: { ...name, read: () => name.control.value || null },
    url: field("URL", text(webhook?.url, { className: "mono", placeholder: EXAMPLE }), {
      pointer: "/url",
      help: URL_HELP,
    }),
    events: chips("Events", webhook?.events ?? EVENTS.map(([key]) => key), EVENTS, { pointer: "/events" }),
    secret: secretOf(webhook),
    active: toggle("Active", webhook?.active ?? true, { help: "Off: nothing is sent.", pointer: "/active" }),
  };
}

/** Open the panel for a webhook of the owner at `base`; without one, for a new one. `done` gets warnings. */
export function editWebhook(base, webhook, done) {
  const all = fieldsOf(webhook);
  const path = webhook ? `${base}/webhooks/${webhook.id}` : `${base}/webhooks`;
  openPanel({
    title: webhook ? `Change ${webhook.name}` : "Add a webhook",
    text: "An address that is called when something happens that people should know of.",
    body: h("div", { className: "fields" }, nodesOf(all)),
    save: webhook ? "Save" : "Add the webhook",
    submit: async (form) => {
      let stored;
      const work = async () => (stored = await write(webhook ? "PATCH" : "POST", path, valuesOf(all)));
      if (!(await accepted(form, work))) return false;
      toast(`${stored.name} is saved.`);
      await done(stored.warnings);
      return true;
    },
  });
}
