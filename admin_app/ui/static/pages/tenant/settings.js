// The tab Settings: the fields of a tenant, where its providers are, and how it is disabled or deleted.
import { address, dateTime, h, icon, toast } from "../../kit/dom.js";
import { read, readAll, write } from "../../kit/api.js";
import {
  chips, field, isSame, lineList, lines, nodesOf, numberOrText, segments, text, valuesOf,
} from "../../kit/fields.js";
import { confirm } from "../../kit/panel.js";
import { accepted, reasonField } from "../../kit/saving.js";
import { attempt, busy, locked } from "../../kit/states.js";
import { tierField } from "../tenants/add.js";
import { webhooksCard } from "../webhooks/table.js";

const BY_PLATFORM = "Set by the platform.";
const ALL_OR_SOME = [
  ["all", "All plugins"],
  ["some", "Only these"],
];
const CORS = [
  ["none", "No web page"],
  ["some", "These web pages"],
];
const TEN_MINUTES = 600;

/** A choice between nothing special and a part that is shown for the other one. Returns {node, read}. */
function withPart(title, options, isOpen, part, read) {
  const [closed, open] = options.map(([key]) => key);
  part.hidden = !isOpen;
  const choice = segments(title, isOpen ? open : closed, options, {
    onchange: (value) => (part.hidden = value === closed),
  });
  const node = h(
    "div",
    { className: "field w12" },
    h("span", { className: "label" }, title),
    h("div", {}, choice.node),
    part,
  );
  return { node, read: () => (choice.read() === closed ? null : read()) };
}

function pluginsField(value, names) {
  const some = chips(
    "Allowed plugins",
    value ?? names,
    names.map((name) => [name, name]),
    {
      pointer: "/enabled_plugins",
      help: "The tenant and its rules may use these. Plugins that the platform requires run in any case.",
    },
  );
  return withPart("Plugins", ALL_OR_SOME, value !== null, some.node, some.read);
}

function corsField(value) {
  const [origins, headers] = [
    lineList(value?.origins, { placeholder: "https://app.example.com" }),
    lineList(value?.headers),
  ];
  const age = text(value?.max_age ?? TEN_MINUTES, { placeholder: "10m" });
  const part = h(
    "div",
    { className: "fields group" },
    field("Origins", origins, { pointer: "/cors/origins", help: "One per line; * is every web page." }).node,
    field("Headers", headers, {
      pointer: "/cors/headers",
      width: "w6",
      required: false,
      help: "Headers that a page may send. Empty: all.",
    }).node,
    field("Browsers remember this for", age, {
      pointer: "/cors/max_age",
      width: "w6",
      help: "Seconds, or 10m.",
    }).node,
  );
  const read = () => ({ origins: lines(origins), headers: lines(headers), max_age: numberOrText(age.value) });
  return withPart("Web pages that may call the rules", CORS, value !== null, part, read);
}

/** The fields by their names in the API. Those that only the platform may write are locked for others. */
function fieldsOf({ tenant, may, isPlatform }, tiers, plugins) {
  const help = isPlatform ? "" : BY_PLATFORM;
  const fixed = { disabled: !isPlatform };
  const tier = isPlatform
    ? tierField(tiers, tenant.tier)
    : field("Tier", text(tenant.tier, fixed), { pointer: "/tier", help: BY_PLATFORM });
  tier.node.classList.replace("w12", "w6");
  return {
    name: field("Name", text(tenant.name, { maxLength: 200, disabled: !may }), {
      pointer: "/name",
      width: "w6",
    }),
    subdomain: field("Subdomain", text(tenant.subdomain, { className: "mono", ...fixed }), {
      pointer: "/subdomain",
      width: "w6",
      help: help || "Clients that call the old host name get 404 when it changes.",
    }),
    tier,
    ...(isPlatform ? { enabled_plugins: pluginsField(tenant.enabled_plugins, plugins) } : {}),
    cors: corsField(tenant.cors),
  };
}

/** The fields that differ from `before`. */
function changes(fields, before) {
  const now = Object.entries(valuesOf(fields));
  return Object.fromEntries(now.filter(([name, value]) => !isSame(value, before[name])));
}

const stay = (event) => event.preventDefault();

/** The form with its bar for what is not saved. Returns {node, stop}. */
function form(context, fields) {
  const { base, may, reason, refresh } = context;
  const before = valuesOf(fields);
  const save = h("button", { className: "button primary" }, "Save");
  const discard = h("button", { type: "button", className: "button", onclick: () => refresh() }, "Discard");
  const why = reasonField();
  const bar = h(
    "div",
    { className: "save", hidden: true },
    h("p", {}, "Changes are not saved."),
    why.node,
    h("div", { className: "actions" }, discard, save),
  );
  const node = h(
    "form",
    { className: "card settings", noValidate: true, "aria-label": "Settings" },
    h("div", { className: "card-head" }, h("h2", {}, "Settings"), !may && locked(reason)),
    h("fieldset", { className: "fields", disabled: !may }, nodesOf(fields)),
    bar,
  );
  const stop = () => removeEventListener("beforeunload", stay);
  const look = () => {
    bar.hidden = isSame(changes(fields, before), {});
    stop();
    if (!bar.hidden) addEventListener("beforeunload", stay);
  };
  node.addEventListener("input", look);
  node.addEventListener("change", look);
  node.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(save, async () => {
      const body = changes(fields, before);
      const send = () => write("PATCH", base, body, { reason: why.read() });
      if (!(await accepted(node, send, { newest: () => refresh() }))) return;
      stop();
      toast("Saved.");
      await refresh();
    });
  });
  return { node, stop };
}

function setStatus({ base, tenant, refresh }, button) {
  const isActive = tenant.status === "active";
  return busy(button, async () => {
    const text = "All its requests are rejected, and its keys do not log in, until it is enabled again.";
    if (
      isActive &&
      !(await confirm({ title: `Disable ${tenant.name}?`, text, action: "Disable the tenant" }))
    )
      return;
    await attempt(async () => {
      await write("PATCH", base, { status: isActive ? "disabled" : "active" });
      toast(isActive ? "The tenant is disabled." : "The tenant is enabled.");
      await refresh();
    });
  });
}

function remove({ base, tenant }, button) {
  return busy(button, async () => {
    const text =
      "Its rules, keys, providers and models are deleted. This cannot be undone. Its subdomain stays " +
      "reserved for a time.";
    if (!(await confirm({ title: `Delete ${tenant.name}?`, text, action: "Delete the tenant" }))) return;
    await attempt(async () => {
      await write("DELETE", base);
      location.assign(address("/ui/tenants"));
    });
  });
}

function danger(context) {
  const isActive = context.tenant.status === "active";
  const line = (title, text, word, work, picture) =>
    h(
      "li",
      {},
      h("div", {}, h("b", {}, title), h("p", {}, text)),
      h(
        "button",
        {
          type: "button",
          className: "button danger",
          onclick: (event) => work(context, event.currentTarget),
        },
        icon(picture),
        word,
      ),
    );
  return h(
    "section",
    { className: "card", "aria-label": "Disable or delete" },
    h("div", { className: "card-head" }, h("h2", {}, "Disable or delete")),
    h(
      "ul",
      { className: "choices" },
      line(
        isActive ? "Disable this tenant" : "Enable this tenant",
        isActive ? "All its requests are rejected. Nothing is deleted." : "Its requests are served again.",
        isActive ? "Disable" : "Enable",
        setStatus,
        isActive ? "lock" : "check",
      ),
      line("Delete this tenant", "With its rules, keys, providers and models.", "Delete", remove, "trash"),
    ),
  );
}

function elsewhere({ id, tenant, isPlatform }) {
  const query = isPlatform ? `?tenant=${id}` : "";
  return h(
    "section",
    { className: "card", "aria-label": "More of this tenant" },
    h("div", { className: "card-head" }, h("h2", {}, "More of this tenant")),
    h(
      "div",
      { className: "actions" },
      h("a", { className: "button", href: `/ui/providers${query}` }, icon("providers"), "Providers"),
      h("a", { className: "button", href: `/ui/models${query}` }, icon("models"), "Models"),
    ),
    h(
      "p",
      { className: "help" },
      `Created ${dateTime(tenant.created_at)}, changed ${dateTime(tenant.updated_at)}. `,
      `Version ${tenant.version}.`,
    ),
  );
}

/** Fill `host` with the settings of the tenant. Returns what ends the question about unsaved changes. */
export async function showSettings(host, context) {
  const { isPlatform } = context;
  const [{ tiers }, plugins] = isPlatform
    ? await Promise.all([read("/api/v1/tiers"), readAll("/api/v1/plugins", "plugins")])
    : [{ tiers: [] }, []];
  const made = form(
    context,
    fieldsOf(
      context,
      tiers,
      plugins.map((one) => one.name),
    ),
  );
  const webhooks = webhooksCard(context);
  await webhooks.load();
  const cards = [made.node, webhooks.node, elsewhere(context), isPlatform && danger(context)];
  host.replaceChildren(...cards.filter(Boolean));
  return made.stop;
}
