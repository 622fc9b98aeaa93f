// How numbers and moments are written. Moments are Unix seconds, or texts of ISO 8601.
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const plain = new Intl.NumberFormat("en");
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

const dateOf = (moment) => new Date(typeof moment === "number" ? moment * 1000 : moment);

/** 1.2K, 3.4M. */
export const compact = (n) => short.format(n);

/** 1,234. */
export const whole = (n) => plain.format(n);

/** 0.042 as 4.2%. */
export const percent = (x, digits = 1) => `${(100 * x).toFixed(digits)}%`;

/** Milliseconds with a unit that fits. */
export function millis(n) {
  if (n == null) return "—";
  if (n >= 10_000) return `${(n / 1000).toFixed(1)} s`;
  if (n >= 1000) return `${(n / 1000).toFixed(2)} s`;
  return n >= 10 || n === 0 ? `${Math.round(n)} ms` : `${n.toFixed(n < 1 ? 2 : 1)} ms`;
}

/** The expected time to the first content, in seconds. A failed call counts as its whole timeout. */
export function latency(seconds) {
  if (seconds == null) return null;
  return seconds < 60 ? `first content after ${millis(seconds * 1000)}` : "calls have failed lately";
}

/** An amount of US dollars; the API sends it as text. */
export function money(usd) {
  const amount = Number(usd ?? 0);
  const small = amount !== 0 && Math.abs(amount) < 0.01;
  return `$${amount.toLocaleString("en", {
    minimumFractionDigits: 2,
    maximumFractionDigits: small ? 6 : 2,
  })}`;
}

/** The amount that is left or used of a limit with that unit: a number, or money. */
export const amount = (n, unit) => (unit === "usd" ? money(n) : whole(n));

/** The same with the word of the unit, if it counts tokens. */
export const quantity = (n, unit) =>
  /tokens$/.test(unit) ? `${whole(n)} ${unit.replace("_", " ")}` : amount(n, unit);

/** Bytes with a unit that fits. */
export function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let power = 0;
  let rest = n;
  while (rest >= 1024 && power < units.length - 1) [rest, power] = [rest / 1024, power + 1];
  return `${rest >= 100 || Number.isInteger(rest) ? Math.round(rest) : rest.toFixed(1)} ${units[power]}`;
}

/** 13:51, or with `long` the day, too. */
export const clock = (moment, long) =>
  dateOf(moment).toLocaleString("en-GB", {
    ...(long ? { weekday: "short", day: "numeric" } : {}),
    hour: "2-digit",
    minute: "2-digit",
  });

/** 13:51:02. */
export const seconds = (moment) => dateOf(moment).toLocaleTimeString("en-GB");

/** 30 Nov 2026. */
export const day = (moment) => dateOf(moment).toLocaleDateString("en-GB", { dateStyle: "medium" });

/** 30 Nov 2026, 13:51. */
export const dateTime = (moment) =>
  dateOf(moment).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });

/** A span of seconds in its largest unit: 5 min. */
export function span(count) {
  const [size, unit] = UNITS.find(([one]) => count >= one) ?? UNITS.at(-1);
  return `${Math.floor(count / size)} ${unit}`;
}

/** How long ago a moment was: 5 min ago. */
export function ago(moment) {
  if (moment == null) return "never";
  const passed = (Date.now() - dateOf(moment)) / 1000;
  return passed < 5 ? "just now" : `${span(passed)} ago`;
}

/** `text` as one word of a shell. */
export const shellWord = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** "1 rule", "2 rules". */
export const plural = (count, word, many = `${word}s`) => `${whole(count)} ${count === 1 ? word : many}`;

/** The time until something is free, rounded up, in its largest unit of which it has two at least. */
export function wait(ms) {
  if (ms == null) return "";
  let count = Math.ceil(ms / 1000);
  for (const unit of ["s", "min"]) {
    if (count <= 120) return `${count} ${unit}`;
    count = Math.ceil(count / 60);
  }
  return `${count} h`;
}
