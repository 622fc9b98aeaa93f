// The fields of a rule: path, upstream, and what is seldom changed.
import { h, icon } from "../kit/dom.js";
import {
  chips, choice, field, lineList, lines, nodesOf, numberOrText, pairs, schemaForm, text, toggle, valuesOf,
} from "../kit/fields.js";
import { CORS, LIMITS, TIMEOUTS } from "./schemas.js";
import { folded, HEADERS, upstreamForm } from "./upstream_form.js";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"].map((name) => [name, name]);
const MATCHES = [["prefix", "This path and all below"], ["exact", "This path alone"]];
const CREDENTIALS = [["provider", "The gateway's"], ["client", "The client's own"]];
const IF_INTERNAL = [["", "If the target is internal"], ["yes", "Yes"], ["no", "No"]];
const STREAMS = [["pass", "Pass, event by event"], ["buffer", "Collect, then send"]];
const UPSTREAM_HEADERS = [["drop", "Remove"], ["pass", "Pass"], ["prefix", "Pass as X-Upstream-…"]];
const SLASHES = [["reject", "Reject"], ["allow", "Allow"]];
const MORE = "More settings: credentials, streams, timeouts, sizes, web pages";
/** Fields that a rule for AI does not have; its providers do. */
const NOT_WITH_AI = { strip_path: false, preserve_host: false, headers: {}, ca: null };

const about = (name, help = "", more = {}) => ({ pointer: `/${name}`, width: "w6", help, ...more });

function routeFields(rule) {
  const path = text(rule.path, { className: "mono", placeholder: "/v1" });
  return {
    path: field("Path", path,
      about("path", "The rule with the longest matching path applies.", { required: true })),
    name: field("Name", text(rule.name ?? "", { className: "mono", placeholder: "made from the path" }),
      about("name", "Files and plans name the rule by it.")),
    match: field("Matches", choice(rule.match, MATCHES), about("match")),
    methods: chips("Methods", rule.methods, METHODS,
      about("methods", "None chosen: all methods.", { width: "w12" })),
    active: toggle("Active", rule.active, about("active", "Off: kept, and matches nothing.")),
    public: toggle("Public", rule.public, about("public", "Callers need no API key.")),
  };
}

function targetFields(rule) {
  return {
    strip_path: toggle("Strip the path", rule.strip_path,
      about("strip_path", "Only what follows it goes to the target.")),
    preserve_host: toggle("Keep the client's Host", rule.preserve_host,
      about("preserve_host", "Else the target gets its own name.")),
    headers: pairs(rule.headers, { ...HEADERS, pointer: "/headers" }),
  };
}

/** A time in seconds, or as text such as 15s; null for none. `none` says what that means. */
function duration(label, value, { none, ...options }) {
  const control = text(value, { className: "mono", placeholder: none });
  const read = () => (control.value.trim() ? numberOrText(control.value) : null);
  return field(label, control, { ...options, read });
}

/** The tags of a rule, one per line. */
function tagsField(rule) {
  const control = lineList(rule.tags, { placeholder: "public-api" });
  return field("Tags", control,
    { ...about("tags", "Words to select it by, one per line."), read: () => lines(control) });
}

/** Yes, no, or null: as the operator's networks say. */
function ternary(label, value, options) {
  const control = choice({ true: "yes", false: "no" }[value] ?? "", IF_INTERNAL);
  return field(label, control, { ...options, read: () => ({ yes: true, no: false })[control.value] ?? null });
}

function behavior(rule) {
  return {
    credential: field("Credentials", choice(rule.credential, CREDENTIALS),
      about("credential", "Whose credentials the upstream gets.")),
    identity_headers: ternary("Tell who calls", rule.identity_headers,
      about("identity_headers", "The upstream gets the ids of request, tenant and key.")),
    trace_headers: ternary("Pass the trace", rule.trace_headers,
      about("trace_headers", "The upstream gets traceparent, if the operator allows it.")),
    streams: field("Streamed responses", choice(rule.streams, STREAMS), about("streams")),
    stream_keepalive: duration("Comment after silence", rule.stream_keepalive,
      about("stream_keepalive", "Seconds of a silent stream, or text such as 15s.", { none: "never" })),
    drain_on_disconnect: duration("Read on after the client left", rule.drain_on_disconnect,
      about("drain_on_disconnect", "So that its usage is known. It costs what the model goes on to write.",
        { none: "not at all" })),
    upstream_headers: field("The upstream's rate limit headers",
      choice(rule.upstream_headers, UPSTREAM_HEADERS), about("upstream_headers")),
    encoded_slashes: field("%2F in a path", choice(rule.encoded_slashes, SLASHES), about("encoded_slashes")),
    tags: tagsField(rule),
  };
}

const nested = (rule) => ({
  timeouts: schemaForm(TIMEOUTS, rule.timeouts ?? {}, { pointer: "/timeouts" }),
  limits: schemaForm(LIMITS, rule.limits ?? {}, { pointer: "/limits" }),
  cors: schemaForm(CORS, rule.cors ?? {}, { pointer: "/cors" }),
});

function destination(values, rest) {
  if (values.ai) return [values.ai.providers.join(", ") || "all providers of the tenant", ""];
  const tail = (values.strip_path ? "/" : values.path || "/") + rest;
  if (values.targets) return [`${values.targets.length} targets`, tail];
  return [(values.target ?? "").replace(/\/$/, "") || "…", tail];
}

/** The line that shows where a request goes. */
function preview(values, address) {
  const rest = values.match === "prefix" ? "…" : "";
  const [to, tail] = destination(values, rest);
  const from = ` ${address}${values.path || "/"}${rest}`;
  return [
    h("span", {}, h("em", {}, values.methods.join(" ") || "Any method"), from),
    icon("arrow"),
    h("span", {}, to, h("em", {}, tail)),
  ];
}

/** The settings that are seldom changed, folded. */
function advanced(more, inner, ca) {
  const help = {
    timeouts: "None: those of the gateway. Seconds, or text such as 500ms.",
    limits: "None: those of the gateway. Only the platform may raise them above that.",
    cors: "None: those of the tenant.",
  };
  return h("details", { className: "more" },
    h("summary", {}, MORE),
    h("div", { className: "fields" },
      nodesOf(more),
      folded("Timeouts", help.timeouts, inner.timeouts.node, "/timeouts"),
      folded("Largest bodies", help.limits, inner.limits.node, "/limits"),
      folded("Web pages that may call (CORS)", help.cors, inner.cors.node, "/cors"),
      ca.node));
}

/**
 * The form of `rule`: {node, read}. `read` gives all its members but the chain. `ca` is a field for the
 * platform only; `address` is the one at which clients call the tenant.
 */
export function ruleForm(rule, { providers, address, isPlatform }) {
  const [route, ofTarget] = [routeFields(rule), targetFields(rule)];
  const [more, inner] = [behavior(rule), nested(rule)];
  const placeholder = "-----BEGIN CERTIFICATE-----";
  const certificates = h("textarea", { className: "mono", rows: 3, value: rule.ca ?? "", placeholder });
  const ca = field("Certificates to trust", certificates,
    { pointer: "/ca", help: "PEM, for the targets of this rule only." });
  const upstream = upstreamForm(rule, { providers, onkind: () => refresh() });
  const line = h("p", { className: "route", "aria-live": "polite" });
  const targetNodes = h("div", { className: "fields" }, nodesOf(ofTarget));

  function read() {
    const values = { ...valuesOf(route), ...valuesOf(ofTarget), ...valuesOf(more), ...upstream.read() };
    const nestedValues = valuesOf(inner);
    return {
      ...values,
      name: values.name.trim() || null,
      ...nestedValues,
      cors: "origins" in nestedValues.cors ? nestedValues.cors : null,
      ca: isPlatform ? certificates.value || null : rule.ca,
      ...(upstream.kind === "ai" ? NOT_WITH_AI : {}),
    };
  }

  function refresh() {
    targetNodes.hidden = upstream.kind === "ai";
    ca.node.hidden = !isPlatform || upstream.kind === "ai";
    line.replaceChildren(...preview(read(), address));
  }

  const node = h("div", { className: "section" },
    line,
    h("div", { className: "fields" }, nodesOf(route)),
    h("section", { className: "section", "aria-labelledby": "s-upstream" },
      h("h3", { id: "s-upstream" }, "Upstream"), upstream.node, targetNodes),
    advanced(more, inner, ca));
  node.addEventListener("input", refresh);
  refresh();
  return { node, read };
}
