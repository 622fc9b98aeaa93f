// Tokens of the platform: for operators and their programs. A token is shown once, when it is made.
import { badge, h, icon, toast } from "../../kit/dom.js";
import { read, write } from "../../kit/api.js";
import { chips, choice, field, nodesOf, text } from "../../kit/fields.js";
import { confirm, openPanel, showOnce } from "../../kit/panel.js";
import { accepted } from "../../kit/saving.js";
import { attempt, busy } from "../../kit/states.js";
import { dataTable } from "../../kit/table.js";
import { OVERLAPS, expiryField, usedOf } from "../tenant/key_forms.js";
import { expiryOf } from "../tenant/keys.js";

const PATH = "/api/v1/platform/tokens";
const SCOPES = [
  ["read", "read"],
  ["write", "write"],
  ["admin", "admin"],
];
const SCOPE_HELP = "read: see everything. write: also change everything but these tokens. admin: all.";
const TONES = { admin: "accent", write: "", read: "" };
const HOW = "Send it as Authorization: Bearer. It is shown only this once.";

function create(done) {
  const all = {
    name: field("Name", text("", { maxLength: 63, placeholder: "ci" }), {
      pointer: "/name",
      help: "Its holder or purpose, in lower case. The audit log has it as the author.",
    }),
    scopes: chips("Scopes", ["read"], SCOPES, { pointer: "/scopes", help: SCOPE_HELP }),
    expires_at: expiryField(),
  };
  const body = () => Object.fromEntries(Object.entries(all).map(([name, one]) => [name, one.read()]));
  const panel = openPanel({
    title: "Create a token",
    text: "For an operator, or a program such as one that deploys. Tenants get API keys instead.",
    body: h("div", { className: "fields" }, nodesOf(all)),
    save: "Create the token",
    submit: async (form) => {
      let made;
      if (!(await accepted(form, async () => (made = await write("POST", PATH, body()))))) return false;
      panel.close();
      await showOnce({ title: `The token “${made.name}”`, text: HOW, secret: made.token });
      await done();
      return true;
    },
  });
}

function rotate(token, done) {
  const overlap = field("The old token ends", choice("1d", OVERLAPS), {
    pointer: "/overlap",
    help: "Until then both tokens work.",
  });
  const panel = openPanel({
    title: `Rotate ${token.name}`,
    text: "A new token with the same name and scopes.",
    body: h("div", { className: "fields" }, overlap.node),
    save: "Rotate the token",
    submit: async (form) => {
      let made;
      const work = async () =>
        (made = await write("POST", `${PATH}/${token.id}/rotate`, { overlap: overlap.read() }));
      if (!(await accepted(form, work))) return false;
      panel.close();
      await showOnce({ title: "The new token", text: HOW, secret: made.token });
      await done();
      return true;
    },
  });
}

async function revoke(token, button, done) {
  const about = "Calls with it are rejected at once, and log-ins with it end. It cannot be brought back.";
  const title = `Revoke ${token.name} (${token.prefix}…)?`;
  if (!(await confirm({ title, text: about, action: "Revoke the token" }))) return;
  await busy(button, () =>
    attempt(async () => {
      await write("DELETE", `${PATH}/${token.id}`);
      toast(`${token.name} is revoked.`);
      await done();
    }),
  );
}

function columns(may, done) {
  const button = (token, title, name, work, more = "") =>
    h(
      "button",
      {
        type: "button",
        className: `button small quiet ${more}`,
        "aria-label": `${title} ${token.name} ${token.prefix}`,
        onclick: (event) => work(token, event.currentTarget),
      },
      icon(name),
      title,
    );
  const actions = (token) => [
    token.status === "active" && button(token, "Rotate", "refresh", (one) => rotate(one, done)),
    button(token, "Revoke", "trash", (one, pressed) => revoke(one, pressed, done), "danger"),
  ];
  return [
    {
      key: "name",
      title: "Token",
      sort: (token) => token.name,
      cell: (token) => [
        h("span", { className: "name" }, token.name),
        h("span", { className: "sub" }, `${token.prefix}…`),
      ],
    },
    {
      key: "scopes",
      title: "Scopes",
      cell: ({ scopes }) => scopes.map((one) => [badge(one, TONES[one]), " "]),
    },
    { key: "used", title: "Last used", sort: (token) => token.last_used_at ?? "", cell: usedOf },
    { key: "expires", title: "Expires", opt: true, sort: (token) => token.expires_at ?? "~", cell: expiryOf },
    {
      key: "actions",
      title: h("span", { className: "hidden" }, "Actions"),
      cell: (token) => may && h("div", { className: "row-actions" }, actions(token).filter(Boolean)),
    },
  ];
}

/** Fill `host` with the tokens, and `place` with their number. `may`: the caller may change them. */
export async function showTokens(host, place, may) {
  const none = {
    title: "No token.",
    text: "The token of the settings (admin.token) works, and may do everything.",
  };
  const table = dataTable({ label: "Tokens of the platform", columns: columns(may, load), none });
  async function load() {
    const { tokens } = await read(PATH);
    place.querySelector(".count").textContent = tokens.length;
    if (table.node.contains(document.activeElement)) place.querySelector("h2").focus();
    table.show(tokens);
  }
  if (may) {
    place.append(
      h(
        "button",
        { type: "button", className: "button", onclick: () => create(load) },
        icon("plus"),
        "Create a token",
      ),
    );
  }
  await load();
  host.replaceChildren(table.node);
}
