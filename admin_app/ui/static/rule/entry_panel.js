// The side panel of an entry: its settings by their schema, or as JSON, and its place in the chain.
import { h, icon } from "../kit/dom.js";
import {
  choice, field, nodesOf, numberOrText, schemaForm, segments, showErrors, text, toggle, valuesOf, words,
} from "../kit/fields.js";
import { openPanel } from "../kit/panel.js";
import { locked } from "../kit/states.js";

const MODES = [["enforce", "Enforce"], ["shadow", "Shadow: only note"]];
const FAILURES = {
  closed: "Reject the request",
  open: "Let it pass",
  local: "Count on this machine",
};
const LOCKED = {
  tier: "Set by the operator, for all tenants of the tier.",
  required: "Set by the platform, for all rules of the tenant. Only the platform can change it.",
  tenant: "Set by the tenant, for all its rules. Change it on the tenant's page.",
};

/** The fields of an entry that all plugins share. */
function placeForm(entry, plugin, at) {
  const priority = h("input", { type: "number", min: 0, max: 999, value: entry.priority });
  const timeout = text(entry.timeout, { className: "mono" });
  const stages = plugin.stages.map((stage) => [stage, stage]);
  const failures = plugin.on_error_choices.map((one) => [one, FAILURES[one] ?? one]);
  const about = (name, more = {}) => ({ pointer: `${at}/${name}`, width: "w6", ...more });
  const own = {
    stage: field("Stage", choice(entry.stage, stages), about("stage")),
    priority: field("Priority", priority,
      about("priority", { help: "0 runs first, 999 last.", read: () => numberOrText(priority.value) })),
    mode: field("Mode", choice(entry.mode, MODES), about("mode")),
    on_error: field("If it fails", choice(entry.on_error, failures), about("on_error")),
    timeout: field("Timeout", timeout,
      about("timeout", { help: "Seconds, or text such as 500ms.", read: () => numberOrText(timeout.value) })),
    parallel: toggle("Parallel", entry.parallel,
      about("parallel", { help: "Together with others of its priority.", disabled: plugin.merges_entries })),
    enabled: toggle("Enabled", entry.enabled, about("enabled", { help: "Off: kept, and never run." })),
  };
  return { node: h("div", { className: "fields" }, nodesOf(own)), read: () => valuesOf(own) };
}

/** The whole entry as JSON. `read` throws on what is not a JSON object, and says so. */
function jsonForm(entry, at) {
  const value = JSON.stringify(entry, null, 2);
  const control = h("textarea", { className: "mono", rows: 22, spellcheck: false, value });
  const one = field("The entry as JSON", control, { pointer: at });
  one.read = () => {
    try {
      const found = JSON.parse(control.value);
      if (found && typeof found === "object" && !Array.isArray(found)) return found;
    } catch {
      // It is said below.
    }
    const detail = "This is not a JSON object. Check its brackets and quotes.";
    showErrors(one.node, [{ pointer: at, detail }]);
    throw new SyntaxError("not JSON");
  };
  return one;
}

function about(plugin) {
  const reads = plugin.reads.length ? `Reads ${plugin.reads.join(" and ")}` : "Reads nothing of the message";
  const parts = plugin.changes.join(" and ");
  const changes = parts ? `changes ${parts}` : "changes nothing by default";
  const streams = {
    events: "Judges streams event by event.",
    whole: "Needs whole responses: the rule must buffer streams.",
    any: "",
  }[plugin.streams];
  return h("p", { className: "help" }, `${reads}, ${changes}. ${streams}`);
}

/** The two views of an entry in `host`: by the schema of its plugin, or as JSON. Returns {show, read}. */
function views(host, plugin, at) {
  let form;
  function show(kind, value) {
    if (kind === "json") {
      form = jsonForm(value, at);
      return host.replaceChildren(form.node);
    }
    const about = { pointer: `${at}/settings`, secrets: plugin.secret_settings };
    const settings = schemaForm(plugin.settings_schema, value.settings ?? {}, about);
    const place = placeForm(value, plugin, at);
    form = { read: () => ({ ...value, ...place.read(), settings: settings.read() }) };
    return host.replaceChildren(
      h("section", { className: "section" }, h("h3", {}, "Settings"), settings.node),
      h("section", { className: "section" }, h("h3", {}, "Place and failure"), place.node));
  }
  return { show, read: () => form.read() };
}

/** The value of `read`, or null for what is not JSON; that is shown at its field. */
function readable(read) {
  try {
    return read();
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** Segments that switch between the views. */
function switcher(view) {
  const kinds = segments("View", "form", [["form", "Form"], ["json", "JSON"]], {
    small: true,
    onchange(kind) {
      const value = readable(view.read);
      if (value) view.show(kind, value);
      else kinds.node.querySelector('[value="json"]').checked = true;
    },
  });
  return h("div", {}, kinds.node);
}

/**
 * The form of an entry at the pointer `at`: {node, read}; without a plugin it is the entry as JSON. `read`
 * throws SyntaxError on broken JSON. `fixed` forms are only looked at.
 */
export function entryForm(plugin, entry, at, { fixed = false } = {}) {
  const host = h("div", { className: "section" });
  const view = views(host, plugin, at);
  view.show(plugin ? "form" : "json", entry);
  if (fixed) for (const one of host.querySelectorAll("input, select, textarea, button")) one.disabled = true;
  const node = h("div", { className: "section" },
    plugin && about(plugin), plugin && !fixed && switcher(view), host);
  return { node, read: view.read };
}

/**
 * Open the panel of `entry`, at `index` of the chain. `origin` tells where it comes from, `lockedBy` why it
 * cannot be changed. `apply(changed)` gets the changed entry and resolves to its problems; with some the
 * panel stays. `remove()` removes the entry.
 */
export function openEntry({ entry, origin, index, plugin, problems, lockedBy, apply, remove }) {
  const reason = LOCKED[origin] ?? lockedBy;
  const form = entryForm(plugin, entry, `/plugin_chain/${index}`, { fixed: Boolean(reason) });

  async function submit() {
    const changed = readable(form.read);
    const found = changed && (await apply(changed));
    if (found?.length) showErrors(opened.form, found);
    return found?.length === 0;
  }

  function removeIt() {
    opened.close();
    remove();
  }

  const look = { type: "button", className: "button quiet danger", onclick: removeIt };
  const opened = openPanel({
    title: words(entry.name),
    text: plugin?.summary ?? "This plugin is not installed.",
    body: [reason && locked(reason), form.node],
    save: "Apply",
    submit: reason ? undefined : submit,
    actions: reason ? [] : [h("button", look, icon("trash"), "Remove")],
  });
  showErrors(opened.form, problems);
}
