// Webhooks of the platform or of a tenant: what each is told, and what became of its last call.
import { ago, badge, dateTime, h, icon, millis, toast } from "../../kit/dom.js";
import { readAll, write } from "../../kit/api.js";
import { confirm } from "../../kit/panel.js";
import { attempt, banner, busy, locked } from "../../kit/states.js";
import { dataTable } from "../../kit/table.js";
import { EVENTS, editWebhook } from "./form.js";

const NAMES = Object.fromEntries(EVENTS);
const STATES = {
  delivered: ["Delivered", "good"],
  failed: ["Sent again soon", "warn"],
  dropped: ["Not delivered", "bad"],
};

function lastOf({ active, last_delivery: last }) {
  if (!active) return badge("Off");
  if (!last) return h("span", { className: "muted" }, "Nothing yet");
  const [name, tone] = STATES[last.state];
  const text = `${ago(last.at)}: ${last.error ?? `status ${last.status}`}`;
  return [badge(name, tone), h("span", { className: "sub wraps", title: dateTime(last.at) }, text)];
}

/** The result of a test, as a sentence. */
const resultOf = ({ ok, status, milliseconds, error }) =>
  ok ? `Status ${status} after ${millis(milliseconds)}.` : error;

function columns(may, { edit, test, remove }) {
  const button = (webhook, title, name, work, more = "") =>
    h(
      "button",
      {
        type: "button",
        className: `button small quiet ${more}`,
        disabled: !may,
        "aria-label": `${title} ${webhook.name}`,
        onclick: (event) => work(webhook, event.currentTarget),
      },
      icon(name),
      title,
    );
  return [
    {
      key: "name",
      title: "Webhook",
      sort: (webhook) => webhook.name,
      cell: (webhook) => [
        may
          ? h(
              "button",
              { type: "button", className: "linklike name", onclick: () => edit(webhook) },
              webhook.name,
            )
          : h("span", { className: "name" }, webhook.name),
        h("span", { className: "sub clip", title: webhook.url }, webhook.url),
      ],
    },
    {
      key: "events",
      title: "Events",
      opt: true,
      cell: ({ events }) => events.map((one) => [badge(NAMES[one] ?? one), " "]),
    },
    { key: "last", title: "Last call", cell: lastOf },
    {
      key: "actions",
      title: h("span", { className: "hidden" }, "Actions"),
      cell: (webhook) =>
        h(
          "div",
          { className: "row-actions" },
          button(webhook, "Test", "test", test),
          button(webhook, "Delete", "trash", remove, "danger"),
        ),
    },
  ];
}

/** The card with the webhooks of the owner at `base`: {node, load}. `may`: the caller may change them. */
export function webhooksCard({ base, may, reason }) {
  const outcome = h("div", { className: "notes", role: "status" });
  const count = h("span", { className: "count" });
  const heading = h("h2", { tabIndex: -1 }, "Webhooks", count);
  const none = {
    title: "No webhook.",
    text: "Add one to be told when a budget is reached, or a rule, a key or a target fails.",
  };
  const tell = (tone, title) => outcome.replaceChildren(banner(tone, title));
  const saved = async (warnings) => {
    outcome.replaceChildren(...warnings.map((one) => banner("warn", one.detail)));
    await load();
  };
  const edit = (webhook) => editWebhook(base, webhook, saved);
  const test = (webhook, button) =>
    busy(button, () =>
      attempt(async () => {
        const found = await write("POST", `${base}/webhooks/${webhook.id}/test`, {});
        tell(found.ok ? "fine" : "bad", `${webhook.name}: ${resultOf(found)}`);
      }),
    );
  async function remove(webhook, button) {
    const text = "It is told nothing more, and what was not sent yet is dropped.";
    if (!(await confirm({ title: `Delete ${webhook.name}?`, text, action: "Delete the webhook" }))) return;
    await busy(button, () =>
      attempt(async () => {
        await write("DELETE", `${base}/webhooks/${webhook.id}`);
        toast(`${webhook.name} is deleted.`);
        await load();
      }),
    );
  }
  const table = dataTable({ label: "Webhooks", columns: columns(may, { edit, test, remove }), none });
  async function load() {
    const webhooks = await readAll(`${base}/webhooks`, "webhooks");
    count.textContent = webhooks.length;
    if (table.node.contains(document.activeElement)) heading.focus();
    table.show(webhooks);
  }
  const add = h(
    "button",
    { type: "button", className: "button", disabled: !may, onclick: () => edit(null) },
    icon("plus"),
    "Add a webhook",
  );
  const head = h("div", { className: "card-head" }, heading, !may && locked(reason), add);
  const look = { className: "card flush webhooks", "aria-label": "Webhooks" };
  const node = h("section", look, head, outcome, table.node);
  return { node, load };
}
