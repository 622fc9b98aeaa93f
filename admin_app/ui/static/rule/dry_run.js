// The panel "Test a request" of a rule: a dry run of the rule as it is edited.
import { readAll, write } from "../kit/api.js";
import { h } from "../kit/dom.js";
import { showErrors } from "../kit/fields.js";
import { openPanel } from "../kit/panel.js";
import { banner } from "../kit/states.js";
import { requestForm } from "../explain/request_form.js";

let kept; // what was typed last

/** Errors of the call: those of the draft are shown by the page of the rule. */
const isOfRequest = ({ pointer }) => !pointer.startsWith("/rule");

/**
 * Open the panel. `draft()` gives the rule to try, or null for the stored one. `done` gets the explanation,
 * `failed` what the API rejects in the draft.
 */
export async function openDryRun({ tenantId, rule, mayCall, draft, done, failed }) {
  const keys = await readAll(`/api/v1/tenants/${tenantId}/api-keys`, "api_keys");
  const form = requestForm({ keys, rule, mayCall, start: kept });
  const said = h("div", {});
  const fill = () => form.fill(rule);
  const preset = h("button", { type: "button", className: "button small", onclick: fill }, "Chat completion");

  async function submit(node) {
    kept = form.keep();
    const sent = draft() ? { ...form.read(), rule: draft() } : form.read();
    try {
      done(await write("POST", `/api/v1/tenants/${tenantId}/explain`, sent));
      return true;
    } catch (error) {
      if (!error.errors) throw error;
      if (error.errors.some((one) => !isOfRequest(one))) {
        failed(error);
        return true;
      }
      const left = showErrors(node, error.errors);
      said.replaceChildren(...(left.length || !error.errors.length ? [banner("bad", error.message)] : []));
      return false;
    }
  }

  openPanel({
    title: "Test a request",
    text: "A dry run: no upstream is called and no limit is charged.",
    body: [
      said,
      h("div", { className: "actions" }, h("span", { className: "label" }, "Fill in:"), preset),
      form.node,
    ],
    save: "Run",
    submit,
  });
}
