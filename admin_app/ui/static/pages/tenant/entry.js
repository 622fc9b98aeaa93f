// The form of one entry of a chain: when it runs, what happens if it fails, and the settings of its plugin.
import { h } from "../../kit/dom.js";
import { choice, field, schemaForm, text, toggle } from "../../kit/fields.js";

const ON_ERROR = {
  closed: "Reject the request",
  open: "Let it pass",
  local: "Count on this machine alone",
};
const MODES = [
  ["enforce", "Its verdict applies"],
  ["shadow", "It is only logged"],
];
const HIGHEST = 999;

const number = (value) =>
  h("input", { type: "number", min: 0, max: HIGHEST, step: 1, value, inputMode: "numeric" });

/** A form for `entry` of `plugin`. `pointer` is that of the entry in the document. Returns {node, read}. */
export function entryForm(plugin, entry, pointer) {
  const at = (name, more) => ({ pointer: `${pointer}/${name}`, ...more });
  const errors = plugin.on_error_choices.map((one) => [one, ON_ERROR[one] ?? one]);
  const parts = {
    enabled: toggle("Enabled", entry.enabled ?? true, at("enabled", { width: "w12" })),
    stage: field(
      "Stage",
      choice(
        entry.stage ?? plugin.default_stage,
        plugin.stages.map((one) => [one, one]),
      ),
      at("stage", { width: "w6" }),
    ),
    mode: field("Mode", choice(entry.mode ?? "enforce", MODES), at("mode", { width: "w6" })),
    on_error: field(
      "If it fails",
      choice(entry.on_error ?? plugin.default_on_error, errors),
      at("on_error", { width: "w6" }),
    ),
    timeout: field(
      "Timeout",
      text(entry.timeout ?? plugin.default_timeout, { placeholder: "500ms" }),
      at("timeout", { width: "w6", help: "Seconds, or text such as 500ms." }),
    ),
    priority: field(
      "Priority",
      number(entry.priority ?? 100),
      at("priority", { width: "w6", help: "Lower ones run first." }),
    ),
    parallel: toggle(
      "In parallel",
      entry.parallel ?? false,
      at("parallel", { width: "w6", help: "With the other parallel ones of its priority." }),
    ),
  };
  const settings = schemaForm(plugin.settings_schema, entry.settings ?? {}, {
    pointer: `${pointer}/settings`,
    secrets: plugin.secret_settings,
  });
  const seconds = (value) => (/^\d+(\.\d+)?$/.test(value) ? Number(value) : value);
  return {
    node: h(
      "div",
      { className: "section" },
      h("p", { className: "muted" }, plugin.summary),
      h("h3", {}, "Settings"),
      settings.node,
      h("h3", {}, "How it runs"),
      h(
        "div",
        { className: "fields" },
        Object.values(parts).map((one) => one.node),
      ),
    ),
    read: () => ({
      name: plugin.name,
      enabled: parts.enabled.read(),
      stage: parts.stage.read(),
      mode: parts.mode.read(),
      on_error: parts.on_error.read(),
      timeout: seconds(parts.timeout.read()),
      priority: Number(parts.priority.read()),
      parallel: parts.parallel.read(),
      settings: settings.read(),
    }),
  };
}
