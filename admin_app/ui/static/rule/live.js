// The live state of a rule: the health of its targets, and what is left of its limits. Read again every 5 s.
import { Rejected, read } from "../kit/api.js";
import { amount, badge, byId, h, latency, plural, quantity, seconds, span, whole } from "../kit/dom.js";
import { poll } from "../kit/poll.js";
import { empty } from "../kit/states.js";
import { healthBadge, showTargetHealth } from "./upstream_form.js";

const MOST = 8; // targets of an AI rule that are listed
const NEAR = 0.9; // of a limit
const NAMES = { global: "all requests", tier: "all requests, by the tier" };

/** "This rule: all requests, 100 per 1m". */
function nameOf(limit) {
  const of = limit.rule_id ? "This rule" : "Tenant";
  const name = NAMES[limit.name] ?? limit.name.replaceAll("_", " ");
  const most = quantity(limit.limit, limit.unit);
  return `${of}: ${name}, ${most} ${limit.window ? `per ${limit.window}` : "at once"}`;
}

function usage(limit) {
  if (limit.used === null) return limit.name === "tier" ? "counted by each worker" : "counted for each value";
  const reset = limit.reset_after_ms ? `, ${span(limit.reset_after_ms / 1000)} until more` : "";
  return `${amount(limit.used, limit.unit)} used${reset}`;
}

function bar(limit) {
  if (limit.used === null || !limit.limit) return false;
  const value = Math.min(1, limit.used / limit.limit);
  const label = `${nameOf(limit)}: ${usage(limit)}`;
  return h("progress", { max: 1, value, className: value >= NEAR ? "near" : "", "aria-label": label });
}

const limitRow = (limit) =>
  h("li", {},
    h("p", {}, h("b", {}, nameOf(limit)), h("span", { className: "muted" }, usage(limit))),
    bar(limit));

function showLimits(limits) {
  const none = empty("No limits.", "Add a rate limiter to limit the requests of this rule.");
  byId("limits").replaceChildren(limits.length ? h("ul", { className: "bars" }, limits.map(limitRow)) : none);
}

function targetRow(target) {
  const figures = [
    latency(target.ewma),
    target.in_flight != null && `${whole(target.in_flight)} in flight`,
    target.reason,
    target.until && `until ${seconds(target.until)}`,
  ].filter(Boolean);
  return h("li", {},
    h("p", {}, h("b", { className: "mono" }, target.name), healthBadge(target)),
    figures.length > 0 && h("p", { className: "muted" }, figures.join(" · ")));
}

function showTargets(targets) {
  const open = targets.filter((target) => target.state === "open");
  const shown = [...open, ...targets.filter((target) => target.state !== "open")];
  const rest = shown.slice(Math.max(MOST, open.length));
  const more = h("li", { className: "muted" }, `and ${plural(rest.length, "other")} that are called.`);
  const count = badge(`${open.length} not called`, "bad", "warn");
  byId("targets").hidden = !targets.length;
  byId("targets-list").replaceChildren(
    ...shown.slice(0, shown.length - rest.length).map(targetRow),
    ...(rest.length ? [more] : []));
  byId("targets-count").replaceChildren(...(open.length ? [count] : []));
  showTargetHealth(targets);
}

const card = (id, title, ...content) =>
  h("section", { className: "card", id, "aria-labelledby": `s-${id}`, hidden: id === "targets" },
    h("div", { className: "card-head" }, h("h2", { id: `s-${id}` }, title), h("span", { id: `${id}-count` })),
    content);

/** The cards; `watch` fills them. */
export const liveCards = () =>
  h("div", { className: "pair-cards" },
    card("limits-card", "Limits in force", h("div", { id: "limits" })),
    card("targets", "Targets", h("ul", { className: "bars", id: "targets-list" })));

/** Without figures the rule can still be edited, so the page shows no error for them. */
function showUnknown(error) {
  if (!(error instanceof Rejected)) throw error;
  byId("limits").replaceChildren(empty("Not known now.", error.message));
  byId("targets").hidden = true;
}

/** Read the state of the rule again and again. */
export function watch(tenantId, ruleId) {
  const base = `/api/v1/tenants/${tenantId}`;
  const load = async () => {
    const [{ limits }, { targets }] = await Promise.all([
      read(`${base}/rate-limits`),
      read(`${base}/rules/${ruleId}/health`),
    ]);
    showLimits(limits.filter((limit) => limit.rule_id === ruleId || limit.rule_id === null));
    showTargets(targets);
  };
  return poll(() => load().catch(showUnknown));
}
