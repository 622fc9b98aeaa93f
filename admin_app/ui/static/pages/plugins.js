// The catalogue of plugins: what each does, its settings from their schema, and an example.
import { readAll } from "../kit/api.js";
import { badge, byId, copyButton, h, plural, prose, setTitle } from "../kit/dom.js";
import { words } from "../kit/fields.js";
import { attempt, empty, ready } from "../kit/states.js";
import { plainTable } from "../kit/table.js";

const STREAMS = {
  events: ["Judges streams event by event", "good", "check"],
  whole: ["Needs whole responses", "warn", "info"],
  any: ["Streams pass", "", "check"],
};
const FAILURES = {
  closed: "If it fails: rejects the request",
  open: "If it fails: lets the request pass",
  local: "If it fails: counts on each machine",
};

/** The type of a setting in words. */
function typeOf(schema) {
  if (schema.enum) return schema.enum.filter((one) => one !== null).join(" | ");
  if (schema.anyOf) return [...new Set(schema.anyOf.map(typeOf))].join(" or ");
  const types = [schema.type ?? "any"].flat().filter((type) => type !== "null");
  if (types[0] === "array") return `list of ${typeOf(schema.items ?? {})}`;
  if (schema.format) return schema.format;
  const inner = schema.additionalProperties;
  if (types[0] === "object" && inner?.type) return `map of ${typeOf(inner)}`;
  return types.map((type) => (type === "string" ? "text" : type)).join(" or ");
}

function defaultOf(schema, isRequired) {
  if (isRequired) return badge("Required", "accent");
  return schema.default == null ? "—" : h("code", {}, JSON.stringify(schema.default));
}

function settingRow(plugin, name, schema) {
  const isRequired = plugin.settings_schema.required?.includes(name) ?? false;
  const secret = plugin.secret_settings.includes(name) && [" ", badge("Secret", "", "lock")];
  return [
    [h("code", {}, name), secret],
    typeOf(schema),
    defaultOf(schema, isRequired),
    prose(schema.description ?? ""),
  ];
}

function settings(plugin) {
  const rows = Object.entries(plugin.settings_schema.properties ?? {});
  if (!rows.length) return h("p", { className: "inset muted" }, "It has no settings.");
  const heads = ["Setting", "Type", "Default", ["Meaning", "wrap"]];
  return h("details", { className: "more inset" },
    h("summary", {}, plural(rows.length, "setting")),
    plainTable(
      `Settings of ${plugin.name}`, heads, rows.map(([name, schema]) => settingRow(plugin, name, schema))));
}

function about(plugin) {
  const parts = (list) => list.join(" and ") || "nothing";
  return h("p", { className: "tags" },
    plugin.stages.map((stage) => badge(stage, "accent")),
    badge(`Reads ${parts(plugin.reads)}`),
    badge(`Changes ${parts(plugin.changes)}`),
    badge(...STREAMS[plugin.streams]),
    badge(FAILURES[plugin.default_on_error] ?? `If it fails: ${plugin.default_on_error}`),
    plugin.merges_entries && badge("All its entries are one step"));
}

function card(plugin) {
  const example = JSON.stringify(plugin.example, null, 2);
  const text = plugin.description.slice(plugin.summary.length).trim();
  const title = `t-${plugin.name}`;
  return h("section", { className: "card flush", id: plugin.name, "aria-labelledby": title },
    h("div", { className: "card-head" },
      h("div", {},
        h("h2", { id: title }, words(plugin.name), " ", h("code", { className: "muted" }, plugin.name)),
        h("p", { className: "muted" }, plugin.summary))),
    h("div", { className: "inset section" },
      about(plugin),
      text.split("\n\n").filter(Boolean).map((one) => h("p", {}, prose(one))),
      h("details", { className: "more" },
        h("summary", {}, "An entry to copy"),
        h("div", { className: "example" }, h("pre", { tabIndex: 0 }, example), copyButton(example)))),
    settings(plugin));
}

const matches = (plugin, word) =>
  [plugin.name, plugin.description, ...plugin.stages].join(" ").toLowerCase().includes(word);

function draw(plugins) {
  const list = h("div", { className: "section" });
  const none = h("section", { className: "card" },
    empty("No plugin matches.", "Clear the filter to see all."));
  const show = (word) => {
    const found = plugins.filter((plugin) => matches(plugin, word));
    list.replaceChildren(...(found.length ? found.map(card) : [none]));
  };
  const filter = h("input", {
    type: "search",
    id: "filter",
    placeholder: "Filter by name, stage or text",
    autocomplete: "off",
    oninput: () => show(filter.value.trim().toLowerCase()),
  });
  byId("actions").replaceChildren(h("div", { className: "search" },
    h("label", { className: "hidden", htmlFor: "filter" }, "Filter plugins"), filter));
  byId("page").replaceChildren(list);
  show("");
}

async function start() {
  setTitle("Plugins");
  const plugins = await attempt(() => readAll("/api/v1/plugins", "plugins"));
  if (plugins) draw(plugins);
  if (location.hash) byId(location.hash.slice(1))?.scrollIntoView();
  ready();
}
start();
