// The side panels for the keys and targets of a provider.
import { h } from "../../kit/dom.js";
import { write } from "../../kit/api.js";
import { field, lineList, lines, text } from "../../kit/fields.js";
import { openPanel } from "../../kit/panel.js";
import { accepted } from "../../kit/saving.js";
import { secretSource } from "./secret.js";

/** Add a key to a provider. */
export function addKey(owner, provider, done) {
  const name = field("Name", text(""), {
    pointer: "/name", required: false, help: "Its purpose, in your words.",
  });
  const secret = secretSource(owner, "Key of the provider", "/secret");
  const weight = field("Weight", text(1, { inputMode: "numeric" }), { pointer: "/weight", width: "w4" });
  const models = field("Models", lineList([]), {
    pointer: "/models", required: false, help: "Those that it may call, such as gpt-4*. Empty: all.",
  });
  openPanel({
    title: `Add a key to ${provider.name}`,
    save: "Add the key",
    body: h("div", { className: "fields" }, name.node, secret.nodes, weight.node, models.node),
    submit: (form) => accepted(form, async () => {
      const only = lines(models.control);
      await write("POST", `${owner.base}/providers/${provider.id}/keys`, {
        name: name.read(),
        secret: secret.read(),
        weight: Number(weight.read()),
        models: only.length ? only : null,
      });
      done("The key is added.");
    }),
  });
}

/** Replace the secret of a key. */
export function rotateKey(owner, provider, key, done) {
  const secret = secretSource(owner, "New key of the provider", "/secret");
  const overlap = field("The old one is also used for", text("1h", { className: "mono" }),
    { pointer: "/overlap", width: "w6", help: "Such as 30m, 1h or 1d." });
  openPanel({
    title: `Rotate ${key.name || "the key"} of ${provider.name}`,
    text: "Calls use the new one at once.",
    save: "Rotate the key",
    body: h("div", { className: "fields" }, secret.nodes, overlap.node),
    submit: (form) => accepted(form, async () => {
      await write("POST", `${owner.base}/providers/${provider.id}/keys/${key.id}/rotate`,
        { secret: secret.read(), overlap: overlap.read() });
      done("The key is rotated.");
    }),
  });
}

/** Keep calls away from a target for a while. `path` is that of the operation. */
export function openTarget(path, model, done) {
  const duration = field("For", text("30m", { className: "mono" }),
    { pointer: "/duration", help: "Such as 10m or 2h." });
  const reason = field("Reason", text("maintenance"), { pointer: "/reason", help: "Shown with the target." });
  openPanel({
    title: `Keep calls away from ${model}`,
    text: "Pools use their other targets. Without one, requests get 503.",
    save: "Open the breaker",
    body: h("div", { className: "fields" }, duration.node, reason.node),
    submit: (form) => accepted(form, async () => {
      await write("POST", path, { duration: duration.read(), reason: reason.read() });
      done("The breaker is open.");
    }),
  });
}
