// The cards of the page Providers: state, figures, keys, targets, and what can be done with them.
import {
  ago, badge, dateTime, day, h, icon, latency, millis, percent, plural, seconds, whole,
} from "../../kit/dom.js";
import { banner } from "../../kit/states.js";

const STATES = {
  ok: ["good", "Serving", "check"],
  degraded: ["warn", "Degraded", "warn"],
  down: ["bad", "Down", "warn"],
  disabled: ["", "Off", ""],
};
const KEY_STATES = {
  ok: ["good", "Ok"],
  cooling: ["warn", "Cooling"],
  rejected: ["bad", "Rejected"],
  disabled: ["", "Off"],
};
const BY = { calls: "its calls failed", probe: "its probes failed", operator: "by an operator" };
const OLD_DAYS = 60;
const DAY_MS = 86_400_000;

const stateBadge = ({ state, calls }) => {
  const [tone, word, picture] = STATES[state];
  return badge(state === "ok" && !calls ? "Ready, no calls yet" : word, tone, picture);
};

const figure = (name, value, tone = "", about = null) =>
  h("div", { title: about }, h("dt", {}, name), h("dd", { className: tone }, value));

function figures(health, minutes) {
  const { calls, failed, keys } = health;
  const share = calls ? failed / calls : 0;
  return h("dl", { className: "facts" },
    figure(`Calls, ${minutes} min`, whole(calls)),
    figure("Failed", calls ? percent(share) : "—", share > 0.05 ? "worse" : ""),
    figure("p95", millis(health.p95_ms), "", "Time to the first content, of 95 % of the calls"),
    figure("429 / min", calls ? whole(health.rate_limited_per_minute) : "—",
      health.rate_limited_per_minute >= 1 ? "worse" : ""),
    keys && figure("Keys", `${keys.usable} of ${keys.total}`, keys.usable < keys.total ? "worse" : ""));
}

/** A button of a card, off with the reason if the caller may change nothing. */
function action(context, id, text, onclick, more = {}) {
  const { may, reason } = context.owner;
  const right = may ? {} : { disabled: true, title: reason };
  return h("button", { type: "button", id, className: "button small", onclick, ...right, ...more }, text);
}

function shownSecret({ env, file, hint }) {
  if (env) return `Variable ${env}`;
  return file ? `File ${file}` : hint ?? "••••••";
}

function keyRow(context, provider, key) {
  const [tone, word] = KEY_STATES[key.status];
  const about = [
    key.cooling_until && key.status !== "disabled" && `until ${seconds(key.cooling_until)}`,
    key.expires_at && `replaced, used until ${dateTime(key.expires_at)}`,
    key.status !== "ok" && key.status !== "disabled" && key.last_error,
  ].filter(Boolean).join(" · ");
  const models = key.models ? key.models.join(", ") : "all models";
  return h("li", { className: "line" },
    h("span", { className: "state" }, h("span", { className: `dot ${tone}` }), word),
    h("div", { className: "what" },
      h("b", {}, key.name || "Unnamed key"), " ", h("code", {}, shownSecret(key.secret)),
      h("p", {}, `Weight ${key.weight}, ${models}`, about && ` · ${about}`)),
    h("div", { className: "actions" },
      !key.expires_at && action(context, `rotate-${key.id}`, "Rotate", () => context.rotate(provider, key),
        { ariaLabel: `Rotate the key ${key.name}` }),
      action(context, `remove-${key.id}`, icon("trash"), () => context.removeKey(provider, key),
        { ariaLabel: `Remove the key ${key.name}`, className: "button small quiet only-icon" })));
}

function keyList(context, provider) {
  const rows = provider.keys.map((key) => keyRow(context, provider, key));
  return h("section", { className: "part", "aria-label": `Keys of ${provider.name}` },
    h("div", { className: "part-head" }, h("h3", {}, "Keys"),
      action(context, `add-key-${provider.id}`, [icon("plus"), "Add a key"], () => context.addKey(provider))),
    rows.length
      ? h("ul", { className: "lines" }, rows)
      : h("p", { className: "muted" }, context.kinds.get(provider.kind)?.needs_key
        ? "No keys. Its models cannot be called without one."
        : "No keys. A server without a login needs none."));
}

function targetRow(context, provider, target) {
  const model = target.target.slice(provider.id.length + 1);
  const isOpen = target.state === "open";
  const [error] = target.last_errors;
  const about = isOpen
    ? `Since ${ago(target.since)}, ${BY[target.by]}: ${target.reason}. Closes at ${seconds(target.until)}.`
    : [
        latency(target.ewma),
        target.in_flight != null && `${target.in_flight} under way`,
        target.open_for_tenants > 0 && `not called for ${plural(target.open_for_tenants, "tenant")}`,
        error && `last error ${ago(error.at)}: ${error.reason}`,
      ].filter(Boolean).join(" · ") || "no calls in the last hour";
  return h("li", { className: "line" },
    h("span", { className: "state" },
      h("span", { className: `dot ${isOpen ? "bad" : "good"}` }), isOpen ? "Open" : "Closed"),
    h("div", { className: "what" }, h("b", { className: "mono" }, model), h("p", {}, about)),
    h("div", { className: "actions" }, isOpen || target.open_for_tenants
      ? action(context, `close-${target.target}`, "Close",
          (event) => context.close(provider, target, event.currentTarget),
          { ariaLabel: `Close the breaker of ${model}` })
      : action(context, `open-${target.target}`, "Open…", () => context.open(provider, target, model),
          { ariaLabel: `Open the breaker of ${model}` })));
}

const targetList = (context, provider, targets) => targets.length > 0 &&
  h("section", { className: "part", "aria-label": `Targets of ${provider.name}` },
    h("div", { className: "part-head" },
      h("h3", {}, "Targets"), h("p", { className: "help" }, "An open breaker keeps calls away.")),
    h("ul", { className: "lines" }, targets.map((target) => targetRow(context, provider, target))));

/** How old the prices are, and what uses the provider. */
function about(context, known) {
  if (!known) return null;
  const { source, date } = context.prices;
  const days = Math.floor((Date.now() - Date.parse(date)) / DAY_MS);
  const unpriced = known.models.filter((one) => !Object.keys(one.prices).length).length;
  const uses = [
    known.used_by_models.length && plural(known.used_by_models.length, "model"),
    known.used_by_rules.length && plural(known.used_by_rules.length, "rule"),
    known.used_by_tenants.length && plural(known.used_by_tenants.length, "tenant"),
  ].filter(Boolean);
  return h("p", { className: "help" },
    plural(known.count, "known model"),
    known.checked_at && `, its list read ${ago(known.checked_at)}`, " · ",
    uses.length ? `used by ${uses.join(", ")}` : "not used yet", " · ",
    h("span", { title: source }, `prices of ${day(date)}`),
    days > OLD_DAYS && ` (${days} days old)`,
    unpriced > 0 && `, ${plural(unpriced, "model")} without a price`);
}

/** The result of the last test, with the errors of the provider as the API shows them. */
function tested(result) {
  if (!result) return null;
  if (!result.ok) {
    const status = result.status ? `Status ${result.status}: ` : "";
    return h("p", { className: "tested bad" }, icon("warn"), `${status}${result.error}`);
  }
  const models = result.models == null ? "" : `, ${plural(result.models, "model")}`;
  return h("p", { className: "tested good" },
    icon("check"), `Works: ${whole(result.milliseconds)} ms${models}.`);
}

function problem({ state, since, reason }) {
  if (!reason) return null;
  const title = since ? `${STATES[state][1]}, since ${seconds(since)} (${ago(since)}).` : "It cannot serve.";
  return banner(state === "down" ? "bad" : "warn", title, reason);
}

function title(context, name, kind, health) {
  const id = `provider-${name}`;
  const preset = kind === "custom" ? "Custom server" : context.kinds.get(kind)?.title ?? kind;
  return [id, h("div", { className: "card-head" },
    h("div", {}, h("h2", { id }, name), h("p", { className: "help" }, preset)), stateBadge(health))];
}

/** The card of a provider that the owner may change. */
export function ownCard(context, provider, health, known) {
  const [id, head] = title(context, provider.name, provider.kind, health);
  const url = provider.base_url ?? context.kinds.get(provider.kind)?.base_url ?? "";
  return h("section", { className: "card provider", "aria-labelledby": id },
    head,
    h("p", { className: "mono url", title: url }, url),
    problem(health),
    figures(health, context.minutes),
    keyList(context, provider),
    targetList(context, provider, health.targets),
    h("div", { className: "provider-end" }, about(context, known), tested(context.tests.get(provider.id)),
      h("div", { className: "actions" },
        action(context, `test-${provider.id}`, "Test",
          (event) => context.test(provider, event.currentTarget, false)),
        action(context, `deep-${provider.id}`, "Test with one token",
          (event) => context.test(provider, event.currentTarget, true), { className: "button small quiet" }),
        action(context, `edit-${provider.id}`, [icon("edit"), "Edit"], () => context.edit(provider)),
        action(context, `delete-${provider.id}`, [icon("trash"), "Delete"], () => context.remove(provider),
          { className: "button small quiet danger" }))));
}

/** The card of a provider that the platform shares with a tenant: no address, no key, no error. */
export function sharedCard(context, health, known) {
  const [id, head] = title(context, health.name, health.kind, health);
  return h("section", { className: "card provider", "aria-labelledby": id },
    head, problem(health), figures(health, context.minutes),
    h("div", { className: "provider-end" }, about(context, known),
      h("p", { className: "help" }, known && `Speaks ${known.apis.join(", ")}.`)));
}
