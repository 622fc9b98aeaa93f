// The rows of the waterfall of a request. Times are milliseconds since it arrived.

/** A target in words: the provider's name if it is known, and the model. */
export function targetOf(target, { provider, model }) {
  const [first, ...rest] = target.split("/");
  if (!first.startsWith("prv_") || !rest.length) return target;
  return rest.join("/") === model ? `${provider}/${model}` : rest.join("/");
}

const STAGES = {
  pre_request: "request",
  post_request: "head of the response",
  pre_response: "response",
  post_response: "after the response",
};

/** A row; `kind` is gateway, client, plugin, connect, wait, stream or failed. */
const span = (name, kind, from, to, about = "") => ({ name, kind, from, to: Math.max(to, from), about });

/** The steps of plugins that were timed. */
const timed = (decision) => decision.steps.filter((step) => step.at_ms != null && step.milliseconds != null);

function beforeUpstream(row, steps) {
  const { body_ms: body, forwarded_ms: forwarded } = row.decision;
  const end = forwarded ?? row.milliseconds;
  const before = steps.filter((step) => step.at_ms < end && step.stage === "pre_request");
  const found = [];
  const heads = before.filter((step) => step.at_ms < (body ?? end));
  if (heads.length) found.push(span("Admission", "gateway", 0, heads[0].at_ms, "tenant, key and rule"));
  if (body != null) {
    const from = Math.max(0, ...heads.map((step) => step.at_ms + step.milliseconds));
    found.push(span("Body of the request", "client", Math.min(from, body), body, "sent by the client"));
  }
  found.push(...before.map(ofStep));
  if (!before.length) found.push(span("Gateway", "gateway", body ?? 0, end, "admission, plugins and limits"));
  return found;
}

const ofStep = (step) =>
  span(step.plugin, "plugin", step.at_ms, step.at_ms + step.milliseconds, STAGES[step.stage] ?? step.stage);

/** The call that was served, or the only one: connect, wait, stream. */
function served(row, name, from, about) {
  const { connection, head_ms: head, upstream_end_ms: end } = row.decision;
  const found = [];
  const begin = Math.max(from, 0);
  let at = begin;
  if (connection && !connection.is_reused && connection.at_ms >= begin - 1) {
    at = connection.milliseconds == null ? row.milliseconds : connection.at_ms + connection.milliseconds;
    const failed = connection.milliseconds == null;
    found.push(
      span(name, failed ? "failed" : "connect", connection.at_ms, at, failed ? "no connection" : "connect"),
    );
  }
  const reused = connection?.is_reused ? ", connection reused" : "";
  if (head != null) found.push(span(name, "wait", at, head, `wait for the response${reused}${about}`));
  else if (!found.length || connection?.milliseconds != null) {
    found.push(span(name, "failed", at, row.milliseconds, `no response${reused}`));
  }
  if (head != null)
    found.push(span(name, "stream", head, end ?? row.milliseconds, end == null ? "broke off" : "response"));
  return found;
}

function upstream(row) {
  const { attempts, forwarded_ms: forwarded } = row.decision;
  if (forwarded == null) return [];
  if (!attempts.length) return served(row, row.log.upstream ?? "Upstream", forwarded, "");
  return attempts.flatMap((one, index) => {
    const name = targetOf(one.target, row);
    const from = one.at_ms ?? forwarded;
    const key = one.key_id ? `, key ${one.key_id}` : "";
    const isLast = index === attempts.length - 1;
    if (isLast && row.decision.head_ms != null) return served(row, name, from, key);
    return [span(name, "failed", from, from + one.milliseconds, `${one.why || one.status}${key}`)];
  });
}

/** All rows of the waterfall, in order of time. */
export function spansOf(row) {
  const steps = timed(row.decision);
  const end = row.decision.upstream_end_ms;
  const after = steps.filter((step) => step.stage !== "pre_request");
  const found = [...beforeUpstream(row, steps), ...upstream(row), ...after.map(ofStep)];
  if (row.decision.forwarded_ms == null) {
    const last = Math.max(0, ...found.map((one) => one.to));
    if (row.milliseconds > last)
      found.push(span("Gateway", "gateway", last, row.milliseconds, "the response"));
  }
  if (end != null && row.milliseconds > end)
    found.push(span("Gateway", "gateway", end, row.milliseconds, "after the upstream"));
  return found.sort((a, b) => a.from - b.from || a.to - b.to);
}
