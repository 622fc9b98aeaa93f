// The nested members of a rule, for forms: their names are those of the API.
const seconds = (title, description, placeholder = "") => ({
  type: ["number", "string"],
  title,
  description,
  format: "duration",
  unit: "seconds",
  examples: [placeholder],
});
const size = (title, description, placeholder = "") => ({
  type: ["integer", "string"],
  title,
  description,
  format: "size",
  unit: "bytes",
  examples: [placeholder],
});
const count = (title, description, minimum = 1) => ({ type: "integer", title, description, minimum });
const share = (title, description) => ({ type: "number", title, description });
const words = (title, description) => ({ type: "array", items: { type: "string" }, title, description });
const object = (properties) => ({ type: "object", properties });

export const TIMEOUTS = object({
  connect: seconds("Connect", "To connect to the upstream, TLS included.", "Default"),
  first_byte: seconds("First byte", "From the end of the request to the head of the response.", "Default"),
  idle: seconds("Idle", "Between two reads of the response body.", "Default"),
  total: seconds("Total", "For the whole exchange with the upstream.", "Default"),
});

export const LIMITS = object({
  request_body: size("Request body", "The largest body of a request, such as 20MB.", "Default"),
  response_body: size("Response body", "The largest response that plugins read as a whole.", "Default"),
});

export const CORS = object({
  origins: words("Origins", "Such as https://app.example.com, or * for every page."),
  headers: words("Headers", "The request headers that a page may send. None: all."),
  max_age: seconds("Kept for", "How long a browser keeps the response to a preflight.", "600"),
});

const AFFINITY = object({
  by: words("By", "The first that a request has counts: header:<name>, prompt_cache_key, user_id, prefix."),
  spill: share("Spill", "A target takes more than this multiple of the mean load only if all others do."),
});

const FAILURES = [
  ...["connect", "reset", "timeout", "rate_limit"],
  ...["overloaded", "server_error", "auth", "stream_start"],
];

const RETRY = object({
  attempts: count("Attempts", "The most calls that reach a target for one request."),
  on: {
    type: "array",
    items: { enum: FAILURES },
    title: "After",
    description: "After reset and timeout the first target may bill its response, too.",
  },
  within: seconds("Within", "The longest wait before a target is tried again.", "10s"),
  backoff: seconds("Backoff", "The wait before a target is tried again; it doubles each time.", "500ms"),
});

const BREAKER = object({
  consecutive: count("Failures in a row", "So many open it."),
  rate: share("Rate", "So large a part of failures among the last calls opens it, such as 0.5."),
  of: count("Calls", "The fewest calls within the window for the rate to count."),
  window: seconds("Window", "The time that a call counts.", "30s"),
  open: seconds("Open", "The time that it is open at first; it doubles each time.", "10s"),
  longest: seconds("Longest", "The longest time that it is open.", "5m"),
});

const STREAM = object({
  hold: {
    enum: ["content", "head"],
    title: "Hold",
    description: "content: up to the first text. head: not at all.",
  },
  hold_bytes: size("Bytes", "No more is held back.", "64KB"),
  hold_time: seconds("Time", "It is not held back for longer.", "10s"),
});

const HEALTH = object({
  path: {
    type: "string",
    title: "Path",
    description: "The path to get. None: no probes.",
    examples: ["/health"],
  },
  interval: seconds("Interval", "The time between two probes.", "10s"),
  timeout: seconds("Timeout", "The longest time of a probe.", "2s"),
  ok: {
    type: "array",
    items: { type: "integer" },
    title: "Statuses",
    description: "The status codes of a target that can serve.",
  },
});

/** The members of a rule that say how one of several targets is chosen: name, label, help, schema. */
export const POLICY = [
  ["affinity", "Affinity", "How calls of a conversation are kept at one target.", AFFINITY],
  ["retry", "Retries", "When another target is tried.", RETRY],
  ["breaker", "Breaker", "When a target is no longer tried.", BREAKER],
  ["stream", "Streams", "How long the beginning of a stream is held back.", STREAM],
  ["health", "Probes", "Probes of the targets.", HEALTH],
];
