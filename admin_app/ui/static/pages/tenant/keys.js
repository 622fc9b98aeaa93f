// The tab Keys: who may call the tenant and manage it. A key is shown once, when it is made.
import { badge, dateTime, h, icon, plural, span, toast } from "../../kit/dom.js";
import { readAll, write } from "../../kit/api.js";
import { segments } from "../../kit/fields.js";
import { confirm } from "../../kit/panel.js";
import { attempt, banner, busy, locked } from "../../kit/states.js";
import { dataTable } from "../../kit/table.js";
import { createKey, rotateKey, showKey, usedOf } from "./key_forms.js";

const SOON_SECONDS = 7 * 86_400;
const TONES = { admin: "accent", read: "", proxy: "" };
const SHOWN = [
  ["active", "Active"],
  ["all", "All"],
];

/** How a key is called in sentences. */
export const called = (key) => (key.name ? `“${key.name}” (${key.prefix}…)` : `${key.prefix}…`);

const scopesOf = ({ scopes }) => scopes.map((one) => [badge(one, TONES[one]), " "]);

/** When a key or token expires, or that it has ended. */
export function expiryOf({ expires_at: moment, status }) {
  if (status === "revoked") return badge("Revoked", "bad");
  if (status === "expired")
    return [badge("Expired", "warn"), h("span", { className: "sub" }, dateTime(moment))];
  if (moment === null) return h("span", { className: "muted" }, "Never");
  const left = (new Date(moment) - Date.now()) / 1000;
  return left < SOON_SECONDS ? badge(`In ${span(left)}`, "warn") : dateTime(moment);
}

function modelsOf({ models, deny_models: denied }) {
  const allowed = models === null ? "All" : models.length ? models.join(", ") : "None";
  const text = denied.length ? `${allowed} but ${denied.join(", ")}` : allowed;
  return h(
    "span",
    { className: `clip ${models === null && !denied.length ? "muted" : ""}`, title: text },
    text,
  );
}

function columns(may, { open, rotate, revoke }) {
  const button = (key, title, name, work, more = "") =>
    h(
      "button",
      {
        type: "button",
        className: `button small quiet ${more}`,
        disabled: !may,
        "aria-label": `${title} ${key.name || key.prefix}`,
        onclick: (event) => work(key, event.currentTarget),
      },
      icon(name),
      title,
    );
  return [
    {
      key: "name",
      title: "Key",
      sort: (key) => key.name || key.prefix,
      cell: (key) => [
        h(
          "button",
          { type: "button", className: "linklike name", onclick: () => open(key) },
          key.name || "No name",
        ),
        h("span", { className: "sub" }, `${key.prefix}…`),
      ],
    },
    { key: "scopes", title: "Scopes", cell: scopesOf },
    { key: "models", title: "Models", opt: true, cell: modelsOf },
    { key: "used", title: "Last used", opt: true, sort: (key) => key.last_used_at ?? "", cell: usedOf },
    { key: "expires", title: "Expires", opt: true, sort: (key) => key.expires_at ?? "~", cell: expiryOf },
    {
      key: "actions",
      title: h("span", { className: "hidden" }, "Actions"),
      cell: (key) =>
        key.status === "active" &&
        h(
          "div",
          { className: "row-actions" },
          button(key, "Rotate", "refresh", rotate),
          button(key, "Revoke", "trash", revoke, "danger"),
        ),
    },
  ];
}

/** Fill `host` with the keys of the tenant. */
export async function showKeys(host, context) {
  const { base, may, reason } = context;
  let keys = [];
  let shown = "active";
  const outcome = h("div", { className: "notes" });
  const load = () =>
    attempt(async () => {
      keys = await readAll(`${base}/api-keys`, "api_keys");
      draw();
    });

  async function revoke(key, button) {
    const text = "Calls with it are rejected at once, and log-ins with it end. It cannot be brought back.";
    if (!(await confirm({ title: `Revoke ${called(key)}?`, text, action: "Revoke the key" }))) return;
    await busy(button, () =>
      attempt(async () => {
        const done = await write("DELETE", `${base}/api-keys/${key.id}`);
        toast(`${key.name || key.prefix} is revoked.`);
        outcome.replaceChildren(...(done?.warnings ?? []).map((one) => banner("warn", one.detail)));
        await load();
      }),
    );
  }
  const add = () =>
    h(
      "button",
      {
        type: "button",
        className: "button primary",
        disabled: !may,
        onclick: () => createKey(context, load),
      },
      icon("plus"),
      "Create a key",
    );
  const none = {
    title: "No active key.",
    text: "Clients send a key with each request. Only public rules work without one.",
    action: add(),
  };
  const actions = {
    open: (key) => attempt(() => showKey(context, key)),
    rotate: (key) => rotateKey(context, key, load),
    revoke,
  };
  const table = dataTable({ label: "API keys", columns: columns(may, actions), none });
  const count = h("span", { className: "count" });
  const choose = segments("Which keys", shown, SHOWN, {
    small: true,
    onchange: (value) => {
      shown = value;
      draw();
    },
  });

  function draw() {
    const active = keys.filter((key) => key.status === "active");
    const inactive = keys.length - active.length;
    count.textContent = active.length;
    choose.node.hidden = inactive === 0;
    choose.node.title = `${plural(inactive, "key")} revoked or expired`;
    if (table.node.contains(document.activeElement))
      table.node.closest("section").querySelector("h2").focus();
    table.show(shown === "all" ? keys : active);
  }
  host.replaceChildren(
    outcome,
    h(
      "section",
      { className: "card flush", "aria-label": "API keys" },
      h(
        "div",
        { className: "card-head" },
        h("h2", { tabIndex: -1 }, "API keys", count),
        choose.node,
        !may && locked(reason),
        add(),
      ),
      table.node,
    ),
  );
  await load();
}
