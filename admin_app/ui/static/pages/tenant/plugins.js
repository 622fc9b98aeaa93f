// The tab Plugins: the entries that run for all rules of the tenant, and those that the platform requires.
import { badge, h, icon, toast } from "../../kit/dom.js";
import { readAll, write } from "../../kit/api.js";
import { choice, field } from "../../kit/fields.js";
import { confirm, openPanel } from "../../kit/panel.js";
import { accepted, panelReason } from "../../kit/saving.js";
import { attempt, banner, busy, locked } from "../../kit/states.js";
import { dataTable } from "../../kit/table.js";
import { newEntry } from "../../rule/chain.js";
import { entryForm } from "../../rule/entry_panel.js";

const OWN = {
  title: "Plugins of all rules",
  text: "They run for each request of this tenant, before those of its rule.",
  none: "No plugin runs for all rules.",
};
const NOT_INSTALLED = "This plugin is not installed.";
const REQUIRED = {
  title: "Required by the platform",
  text: "They run first, and the tenant cannot change them.",
  none: "The platform requires no plugin.",
};

/** The chain of the tenant: a list in the document. */
const ownChain = ({ tenant }) => ({
  field: "plugin_chain",
  entries: tenant.plugin_chain,
  step: (i) => i,
  changed: (entries) => ({ plugin_chain: entries }),
});

/** The plugins that the platform requires: a map in the document, by the names of the plugins. */
const requiredChain = ({ tenant }) => ({
  field: "required_plugins",
  entries: Object.values(tenant.required_plugins),
  step: (_, entry) => entry.name,
  changed: (entries) => ({ required_plugins: Object.fromEntries(entries.map((one) => [one.name, one])) }),
});

/** The places of the entries in the order in which they run. */
function order(entries) {
  const places = entries.map((_, i) => i);
  const rank = (i) => [entries[i].stage, entries[i].priority, i];
  return places.sort((a, b) => {
    const [left, right] = [rank(a), rank(b)];
    return left[0].localeCompare(right[0]) || left[1] - right[1] || left[2] - right[2];
  });
}

/** The entries after one has changed places with the one that runs before or after it. */
export function moved(entries, i, j) {
  const after = [...entries];
  const [one, other] = [entries[i], entries[j]];
  if (one.priority === other.priority) [after[i], after[j]] = [other, one];
  else
    [after[i], after[j]] = [
      { ...one, priority: other.priority },
      { ...other, priority: one.priority },
    ];
  return after;
}

class Chain {
  constructor(context, catalogue, about, chainOf, { may, reason }) {
    Object.assign(this, { context, catalogue, about, chainOf, may, reason });
  }

  get chain() {
    return this.chainOf(this.context);
  }

  /** Save other entries, and show the tenant anew. */
  async save(entries, reason) {
    const saved = await write("PATCH", this.context.base, this.chain.changed(entries), { reason });
    toast("Saved.");
    await this.context.refresh();
    return saved;
  }

  edit(i) {
    const entry = this.chain.entries[i];
    const plugin = this.catalogue.get(entry.name);
    const form = entryForm(plugin, entry, `/${this.chain.field}/${this.chain.step(i, entry)}`);
    this.open(entry.name, plugin?.summary ?? NOT_INSTALLED, form.node, "Save", () =>
      this.chain.entries.map((one, j) => (j === i ? form.read() : one)),
    );
  }

  add() {
    const taken = this.chain.field === "required_plugins" ? this.chain.entries.map((one) => one.name) : [];
    const allowed = this.context.tenant.enabled_plugins;
    const isOwn = this.chain.field === "plugin_chain";
    const names = [...this.catalogue.keys()].filter(
      (name) => !taken.includes(name) && (!isOwn || allowed === null || allowed.includes(name)),
    );
    if (!names.length) return toast("There is no other plugin to add.");
    const place = h("div", {});
    const at = this.chain.entries.length;
    let form;
    const fill = (name) => {
      const plugin = this.catalogue.get(name);
      const entry = newEntry(plugin, plugin.default_stage, this.chain.entries);
      form = entryForm(plugin, entry, `/${this.chain.field}/${this.chain.step(at, entry)}`);
      place.replaceChildren(h("p", { className: "muted" }, plugin.summary), form.node);
    };
    const control = choice(
      names[0],
      names.map((one) => [one, one]),
      { onchange: () => fill(control.value) },
    );
    fill(names[0]);
    this.open(
      "Add a plugin",
      this.about.text,
      [field("Plugin", control).node, place],
      "Add the plugin",
      () => [...this.chain.entries, form.read()],
    );
    return undefined;
  }

  open(title, text, body, save, entries) {
    const reason = panelReason();
    const panel = openPanel({
      title,
      text,
      body: [body, h("div", { className: "fields" }, reason.node)].flat(),
      save,
      submit: (form) =>
        accepted(form, () => this.save(entries(), reason.read()), {
          newest: () => {
            panel.close();
            this.context.refresh();
          },
        }),
    });
  }

  async remove(i) {
    const { name } = this.chain.entries[i];
    const text = "It no longer runs for the rules of this tenant. Its settings are deleted.";
    if (!(await confirm({ title: `Remove ${name}?`, text, action: "Remove the plugin" }))) return;
    await attempt(() => this.save(this.chain.entries.filter((_, j) => j !== i)));
  }

  move(i, j, button) {
    return busy(button, () => attempt(() => this.save(moved(this.chain.entries, i, j))));
  }

  columns() {
    const { entries } = this.chain;
    const places = order(entries);
    const near = (i, by) => {
      const next = places[places.indexOf(i) + by];
      return next !== undefined && entries[next].stage === entries[i].stage ? next : undefined;
    };
    const tool = (title, picture, entry, work, isOff) =>
      h(
        "button",
        {
          type: "button",
          className: `button small only-icon quiet ${isOff ? "unseen" : ""}`,
          title,
          "aria-label": `${title}: ${entry.name}`,
          disabled: !this.may,
          onclick: (event) => work(event.currentTarget),
        },
        icon(picture),
      );
    return [
      { key: "name", title: "Plugin", cell: ({ i, entry }) => this.nameOf(i, entry) },
      { key: "stage", title: "Stage", opt: true, cell: ({ entry }) => h("code", {}, entry.stage) },
      { key: "priority", title: "Priority", num: true, opt: true, cell: ({ entry }) => entry.priority },
      { key: "state", title: "State", cell: ({ entry }) => stateOf(entry) },
      {
        key: "tools",
        title: h("span", { className: "hidden" }, "Actions"),
        cell: ({ i, entry }) =>
          h(
            "div",
            { className: "row-actions" },
            tool(
              "Run earlier",
              "up",
              entry,
              (button) => this.move(i, near(i, -1), button),
              near(i, -1) === undefined,
            ),
            tool(
              "Run later",
              "down",
              entry,
              (button) => this.move(i, near(i, 1), button),
              near(i, 1) === undefined,
            ),
            tool("Remove", "trash", entry, () => this.remove(i)),
          ),
      },
    ];
  }

  nameOf(i, entry) {
    const edit = () => this.edit(i);
    return [
      this.may
        ? h("button", { type: "button", className: "linklike name", onclick: edit }, entry.name)
        : h("b", {}, entry.name),
      !this.catalogue.has(entry.name) && [" ", badge("Not installed", "bad", "warn")],
    ];
  }

  node() {
    const { title, text, none } = this.about;
    const { entries } = this.chain;
    const add = () =>
      h(
        "button",
        { type: "button", className: "button", disabled: !this.may, onclick: () => this.add() },
        icon("plus"),
        "Add a plugin",
      );
    const table = dataTable({
      label: title,
      columns: this.columns(),
      none: { title: none, text, action: add() },
    });
    table.show(order(entries).map((i) => ({ i, entry: entries[i] })));
    return h(
      "section",
      { className: "card flush", "aria-label": title },
      h(
        "div",
        { className: "card-head" },
        h(
          "div",
          {},
          h("h2", {}, title, h("span", { className: "count" }, entries.length)),
          entries.length > 0 && h("p", { className: "help" }, text),
        ),
        !this.may && locked(this.reason),
        entries.length > 0 && add(),
      ),
      table.node,
    );
  }
}

const stateOf = ({ enabled, mode, parallel }) => [
  enabled ? badge("On", "good") : badge("Off"),
  mode === "shadow" && [" ", badge("Only logged", "warn", "ghost")],
  parallel && [" ", badge("In parallel", "", "split")],
];

/** Fill `host` with the plugins of the tenant. */
export async function showPlugins(host, context) {
  const { may, reason, isPlatform, tenant } = context;
  const plugins = await readAll("/api/v1/plugins", "plugins");
  const catalogue = new Map(plugins.map((one) => [one.name, one]));
  const required = Object.keys(tenant.required_plugins).length || isPlatform;
  const platform = { may: isPlatform, reason: "Only the platform can change these." };
  const chains = [
    new Chain(context, catalogue, OWN, ownChain, { may, reason }),
    required && new Chain(context, catalogue, REQUIRED, requiredChain, platform),
  ].filter(Boolean);
  const allowed = tenant.enabled_plugins;
  host.replaceChildren(
    ...(allowed === null
      ? []
      : [
          banner(
            "info",
            "Only some plugins are allowed.",
            allowed.length
              ? `The tenant and its rules may use ${allowed.join(", ")}.`
              : "The tenant may use none.",
          ),
        ]),
    ...chains.map((one) => one.node()),
  );
}
