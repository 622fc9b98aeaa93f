// Forms from JSON Schemas: the settings of every plugin, without a form of their own.
import { h, newId } from "./dom.js";
import {
  chips, choice, field, isSame, lineList, lines, pairs, rows, showErrors, text, toggle, words,
} from "./fields.js";

const NUMBER = /^-?\d+(\.\d+)?$/;
const WHOLE = /^-?\d+$/;
const MONO = ["regex", "cidr", "header", "duration", "size", "uri"];
const SIMPLE = ["string", "integer", "number"];
/** How a value is written that may be a number or a text. */
const WRITTEN = { duration: "seconds, or 1m30s", size: "bytes, or 1MB" };
const typesOf = (schema) => [schema?.type ?? []].flat().filter((type) => type !== "null");
const orUndefined = (value) => (Object.keys(value).length ? value : undefined);

/** The alternative of `anyOf` that `value` looks like, with the texts of the whole. */
function alternative(schema, value) {
  if (!schema.anyOf) return schema;
  const others = schema.anyOf.filter((one) => one.type !== "null");
  const like = others.find((one) => (one.type === "array") === Array.isArray(value)) ?? others[0];
  return { ...like, title: schema.title, description: schema.description, default: schema.default };
}

/** How to make a field for a schema: the first of these that fits. */
const KINDS = [
  [(schema) => schema.enum, ofChoice],
  [(_, types) => types[0] === "boolean", ofYesNo],
  [(_, types) => types.length === 1 && ["integer", "number"].includes(types[0]), ofNumber],
  [(schema, types) => types[0] === "array" && schema.items?.enum, ofChips],
  [(schema, types) => types[0] === "array" && SIMPLE.includes(typesOf(schema.items)[0]), ofLines],
  [(schema, types) => types[0] === "array" && typesOf(schema.items)[0] === "object", ofObjects],
  [(schema, types) => types[0] === "object" && schema.properties, ofObject],
  [(schema, types) => types[0] === "object" && typesOf(schema.additionalProperties)[0] === "string", ofPairs],
  [(_, types) => types[0] === "string" || types.length > 1, ofText],
  [() => true, ofJson],
];

/** A field for `given`: {node, read}. `read` gives undefined for what is not set, and throws on bad JSON. */
function fromSchema(name, given, value, { pointer, required, secret }) {
  const schema = alternative(given, value);
  const types = typesOf(schema);
  const [, make] = KINDS.find(([fits]) => fits(schema, types));
  return make({
    schema,
    types,
    value,
    secret,
    pointer,
    shown: value ?? schema.default,
    label: schema.title ?? words(name),
    about: { help: schema.description ?? "", pointer, required: required ? true : undefined },
  });
}

function ofChoice({ schema, shown, label, about }) {
  const options = schema.enum.filter((one) => one !== null).map((one) => [one, one]);
  const none = about.required || schema.default != null ? [] : [["", "—"]];
  const control = choice(shown, [...none, ...options]);
  return field(label, control, { ...about, read: () => control.value || undefined });
}

function ofYesNo({ shown, label, about }) {
  return toggle(label, Boolean(shown), { ...about, width: "w12" });
}

function ofNumber({ schema, types, shown, label, about }) {
  const control = h("input", {
    type: "number",
    value: shown ?? "",
    min: schema.minimum,
    max: schema.maximum,
    step: types[0] === "integer" ? 1 : "any",
    inputMode: "decimal",
  });
  const read = () => (control.value === "" ? undefined : Number(control.value));
  return field(label, control, { ...about, read });
}

function ofLines({ schema, shown, label, about }) {
  const control = lineList(shown);
  const isText = typesOf(schema.items).includes("string");
  const value = (line) => (!isText && NUMBER.test(line) ? Number(line) : line);
  const read = () => (lines(control).length ? lines(control).map(value) : undefined);
  return field(label, control, { ...about, read });
}

function ofChips({ schema, shown, label, about }) {
  const one = chips(label, shown ?? [], schema.items.enum.map((word) => [word, words(word)]), about);
  return { ...one, read: () => (one.read().length ? one.read() : undefined) };
}

function ofObjects({ schema, shown, label, about, pointer }) {
  let count = 0;
  const make = (item) => {
    const one = schemaForm(schema.items, item ?? {}, { pointer: `${pointer}/${count++}` });
    return { node: h("div", { className: "group" }, one.node), read: one.read };
  };
  const inner = rows(shown ?? [], make, "Add");
  const node = h("fieldset", { className: "field w12", "data-pointer": pointer },
    h("legend", { className: "label" }, label),
    h("p", { className: "help" }, about.help),
    inner.node,
    h("p", { className: "error" }));
  const read = () => {
    const list = inner.read();
    return list.length ? list : undefined;
  };
  return { node, read };
}

function ofObject({ schema, value, label, about, pointer }) {
  const inner = schemaForm(schema, value ?? {}, { pointer });
  const look = { className: "field w12 more group", open: value != null, "data-pointer": pointer };
  const node = h("details", look,
    h("summary", {}, label),
    h("p", { className: "help" }, about.help),
    inner.node,
    h("p", { className: "error" }));
  return { node, read: () => orUndefined(inner.read()) };
}

function ofPairs({ value, label, about, pointer, secret }) {
  const inner = pairs(value, { label, help: about.help, pointer, secret });
  return { node: inner.node, read: () => orUndefined(inner.read()) };
}

function ofText({ schema, types, shown, label, about, secret }) {
  const isKept = secret && typeof shown === "object" && shown !== null;
  const control = text(isKept ? "" : shown, {
    placeholder: isKept ? "•••••• kept" : schema.examples?.[0] ?? schema.example ?? "",
    type: secret ? "password" : "text",
    className: secret || MONO.includes(schema.format) ? "mono" : "",
    autocomplete: secret ? "new-password" : "off",
  });
  const number = types.includes("number") ? NUMBER : types.includes("integer") ? WHOLE : null;
  const read = () => {
    if (control.value === "") return isKept ? shown : undefined;
    return number?.test(control.value) ? Number(control.value) : control.value;
  };
  const how = WRITTEN[schema.format];
  const named = how ? [label, h("span", { className: "optional" }, how)] : label;
  return field(named, control, { ...about, read });
}

function ofJson({ value, label, about, pointer }) {
  const shown = value == null ? "" : JSON.stringify(value, null, 2);
  const control = h("textarea",
    { className: "mono", value: shown, placeholder: "JSON", rows: 3, spellcheck: false, id: newId("f") });
  const read = () => {
    if (!control.value.trim()) return undefined;
    try {
      return JSON.parse(control.value);
    } catch {
      showErrors(one.node, [{ pointer, detail: "This is not JSON. Check its brackets and quotes." }]);
      throw new SyntaxError("not JSON");
    }
  };
  const one = field(label, control, { ...about, read });
  return one;
}

/**
 * A form for an object `schema`: {node, read}. A field at its default that was not set before is left out,
 * and so is what has one value only.
 * `secrets` are the names of settings that are stored encrypted.
 */
export function schemaForm(schema, value, { pointer, secrets = [] }) {
  const properties = Object.entries(schema.properties ?? {});
  const choices = properties.filter(([name, one]) => one.enum?.length !== 1 || name in value);
  const parts = choices.map(([name, one]) => {
    const required = schema.required?.includes(name);
    const about = { pointer: `${pointer}/${name}`, required, secret: secrets.includes(name) };
    return { name, byDefault: one.default, field: fromSchema(name, one, value[name], about) };
  });
  const read = () => {
    const found = parts.map((part) => ({ ...part, value: part.field.read() }));
    const set = found.filter((one) => one.value !== undefined);
    const sent = set.filter((one) => one.name in value || !isSame(one.value, one.byDefault));
    return Object.fromEntries(sent.map((one) => [one.name, one.value]));
  };
  return { node: h("div", { className: "fields" }, parts.map((part) => part.field.node)), read };
}
