// The settings of an entry, in a line.
import { words } from "../kit/fields.js";

const MOST = 2; // values of a list that are named

function ofList(values) {
  const isPlain = values.every((one) => typeof one !== "object");
  return isPlain && values.length <= MOST ? values.join(", ") : String(values.length);
}

function ofValue(value) {
  if (Array.isArray(value)) return ofList(value);
  if (value === null || typeof value !== "object") return String(value);
  if ("limit" in value) {
    const unit = value.unit && value.window ? ` ${words(value.unit).toLowerCase()}` : "";
    return value.window ? `${value.limit}${unit} / ${value.window}` : `${value.limit} at once`;
  }
  const parts = Object.entries(value).map(([name, one]) => `${words(name).toLowerCase()} ${ofValue(one)}`);
  return parts.join(", ");
}

/** The settings of an entry in a few words; `secrets` are not shown. */
export function summary({ settings }, schema, secrets = []) {
  if ("limit" in settings && "window" in settings) return ofValue(settings);
  const shown = Object.entries(settings).filter(([name, value]) => value != null && !secrets.includes(name));
  const parts = shown.map(([name, value]) => {
    const label = schema?.properties?.[name]?.title ?? words(name);
    return value === true ? label : `${label}: ${ofValue(value)}`;
  });
  return parts.join(" · ") || "Default settings";
}
