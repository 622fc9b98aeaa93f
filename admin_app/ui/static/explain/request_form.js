// The form of a request to explain, and of the response that the upstream would send.
import { h } from "../kit/dom.js";
import { choice, field, nodesOf, text, toggle, valuesOf } from "../kit/fields.js";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"].map((name) => [name, name]);
const JSON_TYPE = "Content-Type: application/json";
const ANY_MODEL = "gpt-5.6";
const indented = (value) => JSON.stringify(value, null, 2);
const chat = (model) => indented({ model, messages: [{ role: "user", content: "Hello!" }] });
const COMPLETION = indented({
  object: "chat.completion",
  choices: [
    { index: 0, message: { role: "assistant", content: "Hello! How can I help?" }, finish_reason: "stop" },
  ],
});

/** Lines of `Name: value` as the API takes them: a header that is there twice has a list. */
function headersOf(lines) {
  const found = {};
  for (const line of lines.split("\n").filter((one) => one.includes(":"))) {
    const at = line.indexOf(":");
    const [name, value] = [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    found[name] = name in found ? [found[name], value].flat() : value;
  }
  return found;
}

const area = (value, rows) => h("textarea", { className: "mono", value, rows, spellcheck: false });

/** The path of a chat completion below a rule. */
function chatPath(rule) {
  const base = rule?.path && rule.path !== "/" ? rule.path : "/v1";
  return base.endsWith("/chat/completions") ? base : `${base}/chat/completions`;
}

function responseFields() {
  const status = h("input", { type: "number", min: 200, max: 599, value: 200 });
  const read = () => Number(status.value);
  return {
    status: field("Status", status, { pointer: "/response/status", width: "w4", read }),
    headers: field("Headers", area(JSON_TYPE, 2), { pointer: "/response/headers" }),
    body: field("Body", area(COMPLETION, 6), { pointer: "/response/body" }),
  };
}

function requestFields({ keys, rule, start }) {
  const method = start.method ?? rule?.methods[0] ?? "POST";
  const ownKey = start.key_id ?? keys.find((key) => key.scopes.includes("proxy"))?.id ?? "";
  const names = keys.map((key) => [key.id, `${key.name || "Without a name"} (${key.prefix}…)`]);
  const path = text(start.path ?? rule?.path ?? "/v1", { className: "mono" });
  const client = text(start.client ?? "127.0.0.1", { className: "mono" });
  const about = (name, width, more) => ({ pointer: `/${name}`, width, ...more });
  return {
    method: field("Method", choice(method, METHODS), about("method", "w4")),
    path: field("Path", path, about("path", "w8", { required: true, help: "With the query, if any." })),
    key_id: field("As the key", choice(ownKey, [["", "No key"], ...names]), about("key_id", "w6")),
    client: field("From the address", client, about("client", "w6")),
    headers: field("Headers", area(start.headers ?? "", 3),
      about("headers", "w12", { help: "One per line: Name: value" })),
    body: field("Body", area(start.body ?? "", 10), about("body", "w12")),
  };
}

/** The model that a request for the rule asks for. */
const modelOf = (rule) =>
  rule?.ai?.default_model ?? rule?.ai?.models?.find((name) => !name.includes("*")) ?? ANY_MODEL;

/** A chat completion for a rule, as values of the form. */
export const chatRequest = (rule, model = modelOf(rule)) =>
  ({ method: "POST", path: chatPath(rule), headers: JSON_TYPE, body: chat(model) });

/**
 * The form: {node, read, keep, fill}. `keys` are those of the tenant, `rule` the one whose path is suggested,
 * `start` what `keep` gave of an earlier form. With `mayCall` outside services can be called. `fill(rule)`
 * fills in a chat completion.
 */
export function requestForm({ keys, rule, start = {}, mayCall }) {
  const [parts, response] = [requestFields({ keys, rule, start }), responseFields()];
  const responds = toggle("The upstream responds", start.responds ?? false,
    { width: "w12", help: "Explains the stages of the response, too." });
  const outside = toggle("Call external validators", start.outside ?? false,
    { pointer: "/call_outside", width: "w12", help: "Else they are listed, and not called." });
  const given = h("div", { className: "fields group w12", hidden: !responds.read() }, nodesOf(response));
  responds.control.addEventListener("change", () => (given.hidden = !responds.read()));

  function fill(chosen) {
    for (const [name, value] of Object.entries(chatRequest(chosen))) parts[name].control.value = value;
  }

  function read() {
    const { key_id, body, headers, ...values } = valuesOf(parts);
    const sent = { ...values, headers: headersOf(headers) };
    if (key_id) sent.key_id = key_id;
    if (body) sent.body = body;
    if (mayCall && outside.read()) sent.call_outside = true;
    if (responds.read()) {
      const upstream = valuesOf(response);
      sent.response = { ...upstream, headers: headersOf(upstream.headers) };
    }
    return sent;
  }

  return {
    node: h("div", { className: "fields" }, nodesOf(parts), responds.node, given, mayCall && outside.node),
    read,
    fill,
    keep: () => ({ ...valuesOf(parts), responds: responds.read(), outside: outside.read() }),
  };
}
