// Watches for the next call of the tenant, and says what became of it.
import { ago, byId, h, icon, millis, plural, seconds } from "../../kit/dom.js";
import { Rejected, read } from "../../kit/api.js";
import { poll } from "../../kit/poll.js";
import { banner } from "../../kit/states.js";

const SECONDS = 1;
const FAILED = 400;

/** Where a rejected call leads: what to look at, by its code. */
const HINTS = {
  invalid_api_key: "Create a key here, or copy the whole key.",
  missing_api_key: "The call has no key. Copy the example with a key filled in.",
  no_matching_rule: "No rule has this path. Compare it with the base URL of the example.",
  model_not_found: "Choose one of the models of this page.",
  model_not_allowed: "The rule or the API key does not allow this model.",
  rate_limit_exceeded: "Wait, or raise the limit of the rule or tenant.",
};

const link = (tenantId, one, text) =>
  h("a", { href: `/ui/tenants/${tenantId}/requests/${encodeURIComponent(one.id)}` }, text);

const shown = (one) => [one.method, " ", h("code", {}, one.path)];

function served(tenantId, one) {
  const about = [
    one.model && `${one.provider ?? ""}/${one.model}`.replace(/^\//, ""),
    one.usage && plural(one.usage.input + one.usage.output, "token"),
    one.cost_usd && `$${one.cost_usd}`,
  ].filter(Boolean).join(" · ");
  return banner("fine", `The call arrived: ${one.status} in ${millis(one.milliseconds)}.`,
    h("p", {}, shown(one), about && ` · ${about}`), h("p", {}, link(tenantId, one, "Open the request")));
}

function rejected(tenantId, one, why) {
  const status = one.status ?? "no response";
  const hint = HINTS[one.code];
  return banner("warn", `The call was rejected: ${status}${one.code ? ` ${one.code}` : ""}.`,
    why && h("p", {}, why), hint && h("p", {}, hint),
    h("p", {}, shown(one)), h("p", {}, link(tenantId, one, "See why")));
}

const waiting = (tenantId, last) => h("div", { className: "waiting" },
  h("span", { className: "pulse", ariaHidden: "true" }),
  h("div", {}, h("b", {}, last ? "Waiting for the next call…" : "Waiting for the first call…"),
    h("p", { className: "help" }, "Run the example. This page shows the call within two seconds.",
      last && [" The last one was ", link(tenantId, last, ago(last.time)), "."])));

/** The words in which the API says why a call failed; nothing if it cannot be read. */
async function reasonOf(base, one) {
  try {
    return (await read(`${base}/requests/${encodeURIComponent(one.id)}`)).why;
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
    return null;
  }
}

/** Watch the requests of a tenant. Returns the poll. */
export function watchCalls(tenantId) {
  const base = `/api/v1/tenants/${encodeURIComponent(tenantId)}`;
  const host = byId("first-call");
  let newest;

  async function load() {
    if (newest === undefined) {
      const [last] = (await read(`${base}/requests?limit=1`)).requests;
      newest = last?.id ?? "0";
      host.replaceChildren(waiting(tenantId, last));
      return;
    }
    const [one] = (await read(`${base}/requests?limit=1&after=${newest}`)).requests;
    if (!one) return;
    newest = one.id;
    const isServed = one.status !== null && one.status < FAILED;
    const result = isServed ? served(tenantId, one) : rejected(tenantId, one, await reasonOf(base, one));
    host.replaceChildren(result, h("p", { className: "help" }, icon("refresh"),
      ` At ${seconds(one.time)}. The page goes on to watch.`));
  }

  return poll(load, { seconds: SECONDS });
}
