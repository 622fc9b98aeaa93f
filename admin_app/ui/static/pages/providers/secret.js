// Secrets of providers in forms: typed here, or kept by the operator in a variable or a file.
import { h } from "../../kit/dom.js";
import { secretField, segments } from "../../kit/fields.js";

const SOURCES = [["text", "Stored here"], ["env", "Variable"], ["file", "File"]];
const HELP = {
  text: "Encrypted, and never shown again.",
  env: "The name of a variable in the setting secrets.env.",
  file: "The name of a file in the folder secrets.folder.",
};
const EXAMPLES = { text: "sk-…", env: "OPENAI_API_KEY", file: "openai" };

/** A secret as text; for the platform also the name of a variable or of a file. */
export function secretSource(owner, label, pointer) {
  const secret = secretField(label, false, { pointer, required: true, placeholder: EXAMPLES.text });
  if (owner.id) return { nodes: [secret.node], read: () => secret.control.value };
  const help = h("p", { className: "help" });
  function show(kind) {
    secret.control.type = kind === "text" ? "password" : "text";
    secret.control.placeholder = EXAMPLES[kind];
    help.textContent = HELP[kind];
  }
  const where = segments("Where the secret is", "text", SOURCES, { small: true, onchange: show });
  show("text");
  const read = () => {
    const kind = where.read();
    return kind === "text" ? secret.control.value : { [kind]: secret.control.value };
  };
  return { nodes: [h("div", { className: "w12" }, where.node, help), secret.node], read };
}

/** Whether nothing was typed. */
export const isEmpty = (secret) => secret === "" || Object.values(secret).includes("");
