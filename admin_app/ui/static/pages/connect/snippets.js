// The examples of calls: code that runs when it is copied. Pure functions of what the page knows.
import { shellWord } from "../../kit/formats.js";

/** The placeholder of the key until one is known. */
export const PLACEHOLDER = "YOUR_API_KEY";
const PROVIDER_KEY = "YOUR_PROVIDER_KEY";
const GATEWAY_KEY = "X-Gateway-Key";
const CHAT = "openai.chat";
const MESSAGES = "anthropic.messages";
const HELLO = "Hello!";

// JSON is also a literal of Python and of JavaScript.
const quoted = (text) => JSON.stringify(text);
const shell = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : shellWord(text));

const openaiUrl = ({ sdk, rule }) => `${sdk}${rule.base_path}/v1`;
const anthropicUrl = ({ sdk, rule }) => `${sdk}${rule.base_path}`;

/** The credential as arguments, [name, value] each; a rule may want the client's own beside the gateway's. */
function credential({ rule, key }, { name, headers, quote }) {
  if (rule.credential !== "client") return [[name, quoted(key)]];
  return [[name, quoted(PROVIDER_KEY)], [headers, quote(GATEWAY_KEY, key)]];
}

const ofPython = (name, value) => `{${quoted(name)}: ${quoted(value)}}`;

function curl(given) {
  const { address, resolve, rule, model, key, api } = given;
  const isChat = api === CHAT;
  const path = `${rule.base_path}/v1/${isChat ? "chat/completions" : "messages"}`;
  const most = isChat ? "" : '"max_tokens": 100, ';
  const body = `{"model": ${quoted(model)}, ${most}"messages": [{"role": "user", "content": "${HELLO}"}]}`;
  const own = isChat ? `Authorization: Bearer ${PROVIDER_KEY}` : `x-api-key: ${PROVIDER_KEY}`;
  const isClients = rule.credential === "client";
  const headers = isClients ? [`${GATEWAY_KEY}: ${key}`, own] : [`Authorization: Bearer ${key}`];
  return [
    `curl ${shell(address + path)}`,
    ...(resolve ? [`--resolve ${shell(resolve)}`] : []),
    ...headers.map((header) => `-H "${header}"`),
    '-H "Content-Type: application/json"',
    ...(isChat ? [] : ['-H "anthropic-version: 2023-06-01"']),
    `-d ${shell(body)}`,
  ].join(" \\\n  ");
}

function openaiPython(given) {
  const parts = [["base_url", quoted(openaiUrl(given))],
    ...credential(given, { name: "api_key", headers: "default_headers", quote: ofPython })];
  return `# pip install openai
from openai import OpenAI

client = OpenAI(
${parts.map(([name, value]) => `    ${name}=${value},`).join("\n")}
)
response = client.chat.completions.create(
    model=${quoted(given.model)},
    messages=[{"role": "user", "content": "${HELLO}"}],
)
print(response.choices[0].message.content)
`;
}

function openaiJs(given) {
  const parts = [["baseURL", quoted(openaiUrl(given))],
    ...credential(given, { name: "apiKey", headers: "defaultHeaders", quote: ofPython })];
  return `// npm install openai
import OpenAI from "openai";

const client = new OpenAI({
${parts.map(([name, value]) => `  ${name}: ${value},`).join("\n")}
});
const response = await client.chat.completions.create({
  model: ${quoted(given.model)},
  messages: [{ role: "user", content: "${HELLO}" }],
});
console.log(response.choices[0].message.content);
`;
}

function anthropic(given) {
  const parts = [["base_url", quoted(anthropicUrl(given))],
    ...credential(given, { name: "api_key", headers: "default_headers", quote: ofPython })];
  return `# pip install anthropic
from anthropic import Anthropic

client = Anthropic(
${parts.map(([name, value]) => `    ${name}=${value},`).join("\n")}
)
message = client.messages.create(
    model=${quoted(given.model)},
    max_tokens=100,
    messages=[{"role": "user", "content": "${HELLO}"}],
)
print(message.content[0].text)
`;
}

function langchain(given) {
  const parts = [["model", quoted(given.model)], ["base_url", quoted(openaiUrl(given))],
    ...credential(given, { name: "api_key", headers: "default_headers", quote: ofPython })];
  return `# pip install langchain-openai
from langchain_openai import ChatOpenAI

model = ChatOpenAI(
${parts.map(([name, value]) => `    ${name}=${value},`).join("\n")}
)
print(model.invoke("${HELLO}").content)
`;
}

function claudeCode(given) {
  const isClients = given.rule.credential === "client";
  const token = isClients
    ? `export ANTHROPIC_CUSTOM_HEADERS=${shell(`${GATEWAY_KEY}: ${given.key}`)}`
    : `export ANTHROPIC_AUTH_TOKEN=${shell(given.key)}`;
  return `# npm install -g @anthropic-ai/claude-code
export ANTHROPIC_BASE_URL=${shell(anthropicUrl(given))}
${token}
export ANTHROPIC_MODEL=${shell(given.model)}
claude
`;
}

/** The tabs: {id, title, apis, make}. `apis` are those with which the example can work, the best first. */
export const TABS = [
  { id: "curl", title: "curl", apis: [CHAT, MESSAGES], make: curl },
  { id: "openai-python", title: "OpenAI, Python", apis: [CHAT], make: openaiPython },
  { id: "openai-js", title: "OpenAI, JavaScript", apis: [CHAT], make: openaiJs },
  { id: "anthropic", title: "Anthropic, Python", apis: [MESSAGES], make: anthropic },
  { id: "langchain", title: "LangChain", apis: [CHAT], make: langchain },
  { id: "claude-code", title: "Claude Code", apis: [MESSAGES], make: claudeCode },
];

/** The names of a rule's models that can be called by an API. A rule without a list takes any name. */
const modelsFor = (rule, api) =>
  rule.models.filter((one) => one.apis.includes(api)).map((one) => one.name);

/**
 * The example of a tab: {code, api, model}, or {reason} why the rule has none.
 *
 * `given` is {address, sdk, resolve, rule, model, key}. A model that does not speak the API of the tab is
 * replaced by the first one that does.
 */
export function example(tab, given) {
  const { rule } = given;
  const serves = (api) =>
    (rule.models.length ? modelsFor(rule, api).length > 0 : rule.apis?.includes(api) ?? true);
  const api = tab.apis.find(serves);
  if (!api) return { reason: `No model of this rule speaks ${tab.apis.join(" or ")}.` };
  const models = modelsFor(rule, api);
  const model = !models.length || models.includes(given.model) ? given.model : models[0];
  return { api, model, code: tab.make({ ...given, api, model }) };
}
