// The tab Rules: where requests go, by path.
import { badge, h, icon } from "../../kit/dom.js";
import { readAll } from "../../kit/api.js";
import { text } from "../../kit/fields.js";
import { locked } from "../../kit/states.js";
import { dataTable } from "../../kit/table.js";
import { addRule } from "./add_rule.js";

const MANY = 10; // rules; from here on there is a filter
const NO_RULE = "Requests to this tenant get 404.";

const hostOf = (url) => new URL(url).host;

/** Where a rule leads, in a few words. */
function goesTo({ target, targets, ai }) {
  if (target) return h("code", { className: "clip", title: target }, target);
  if (targets) return [`${targets.length} targets`, h("span", { className: "sub" }, hostOf(targets[0].url))];
  const names = ai.providers.length ? ai.providers.join(", ") : "all providers";
  return [badge("AI", "accent"), " ", h("span", { className: "clip" }, names)];
}

function methodsOf({ methods }) {
  return methods.length
    ? methods.map((one) => [h("code", {}, one), " "])
    : h("span", { className: "muted" }, "All");
}

function accessOf({ public: isPublic, credential }) {
  if (isPublic) return badge("Public", "warn");
  return credential === "client" ? "Gateway key and the client's own" : "API key";
}

function warningsOf(found) {
  if (!found.length) return h("span", { className: "muted" }, "None");
  const isBroken = found.some((one) => one.rejects);
  const words = isBroken
    ? "Rejects requests"
    : `${found.length} ${found.length === 1 ? "warning" : "warnings"}`;
  const made = badge(words, isBroken ? "bad" : "warn", "warn");
  made.title = found.map((one) => one.detail).join("\n");
  return made;
}

function columns({ id, known }) {
  const found = (rule) => known.warnings.filter((one) => one.rule_id === rule.id);
  return [
    {
      key: "path",
      title: "Path",
      sort: (rule) => rule.path,
      cell: (rule) => [
        h("a", { className: "name mono", href: `/ui/tenants/${id}/rules/${rule.id}` }, rule.path),
        rule.match === "exact" && [" ", badge("Exact")],
      ],
    },
    { key: "name", title: "Name", opt: true, sort: (rule) => rule.name, cell: (rule) => rule.name },
    { key: "methods", title: "Methods", opt: true, cell: methodsOf },
    { key: "to", title: "Goes to", cell: goesTo },
    { key: "access", title: "Access", opt: true, cell: accessOf },
    {
      key: "plugins",
      title: "Plugins",
      num: true,
      opt: true,
      cell: (rule) => rule.plugin_chain.filter((one) => one.enabled).length,
    },
    {
      key: "active",
      title: "State",
      cell: ({ active }) => (active ? badge("Active", "good") : badge("Off")),
    },
    { key: "warnings", title: "Warnings", cell: (rule) => warningsOf(found(rule)) },
  ];
}

/** Whether a rule has the words of the filter in its path or where it goes. */
function matches(rule, words) {
  const whole = [
    rule.path,
    rule.name,
    rule.target,
    ...(rule.targets ?? []).map((one) => one.url),
    ...(rule.ai?.providers ?? []),
  ];
  return whole.filter(Boolean).join(" ").toLowerCase().includes(words);
}

/** Fill `host` with the rules of the tenant. */
export async function showRules(host, context) {
  const { may, reason } = context;
  const rules = await readAll(`${context.base}/rules`, "rules");
  const add = () =>
    h(
      "button",
      { type: "button", className: "button primary", disabled: !may, onclick: () => addRule(context) },
      icon("plus"),
      "Add a rule",
    );
  const none = { title: "No rules yet.", text: NO_RULE, action: add() };
  const noMatch = { title: "No rule matches.", text: "Change or clear the filter." };
  const table = dataTable({ label: "Rules", columns: columns(context), none });
  const filter = text("", { type: "search", placeholder: "Path or target", ariaLabel: "Filter rules" });
  const draw = () => {
    const words = filter.value.trim().toLowerCase();
    table.show(
      rules.filter((rule) => matches(rule, words)),
      words ? { none: noMatch } : {},
    );
  };
  filter.addEventListener("input", draw);
  draw();
  host.replaceChildren(
    h(
      "section",
      { className: "card flush", "aria-label": "Rules" },
      h(
        "div",
        { className: "card-head" },
        h("h2", {}, "Rules", h("span", { className: "count" }, rules.length)),
        rules.length >= MANY && h("div", { className: "search" }, filter),
        !may && locked(reason),
        rules.length > 0 && add(),
      ),
      table.node,
    ),
  );
}
