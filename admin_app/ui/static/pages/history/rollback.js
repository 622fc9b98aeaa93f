// Rolling back: what will change is shown before, with a field for the reason.
import { byId, h, toast } from "../../kit/dom.js";
import { read, write } from "../../kit/api.js";
import { field } from "../../kit/fields.js";
import { openPanel } from "../../kit/panel.js";
import { accepted } from "../../kit/saving.js";
import { warnings } from "../../kit/states.js";
import { differenceList } from "./differences.js";
import { thingNames } from "./words.js";

const MAX_REASON = 500;
const STAYS = {
  Tenant: "API keys, status and subdomain stay as they are. So do secrets, where they are still stored.",
  Platform: "Secrets stay as they are, where they are still stored. Deleted keys do not come back.",
};

/** Show what is there now, and what the rollback says of it. */
async function finish({ refresh }, made, version) {
  await refresh();
  byId("main").focus({ preventScroll: true });
  const found = warnings(made.warnings);
  if (found) byId("problem").replaceChildren(found);
  const done = `Version ${made.version} has the content of version ${version}.`;
  toast(made.unchanged ? "Nothing has changed." : done);
}

/**
 * Ask before the rollback to a version whose things have `names`. `done()` is called when it was made. The
 * context is that of the list of versions.
 */
export async function openRollback(context, version, names, done) {
  const { base, own, id } = context;
  const path = `${base}/versions/${version}`;
  if (id) await read(base); // its ETag: what is changed from here on is not overwritten
  const { versions: [present] } = await read(`${base}/versions?limit=1`);
  const [diff, newer] = await Promise.all([
    read(`${path}/diff?against=${present.version}`),
    thingNames(base, present.version),
  ]);
  const control = h("textarea", { maxLength: MAX_REASON, rows: 2, placeholder: "Why, for the history" });
  const why = field("Reason", control, { pointer: "/message", required: false });
  const send = async () => {
    const made = await write("POST", `${path}/rollback`, { message: control.value.trim() }, { match: base });
    done();
    await finish(context, made, version);
  };
  const newest = () => {
    panel.close();
    done();
    context.refresh();
  };
  const panel = openPanel({
    title: `Roll back to version ${version}?`,
    text: STAYS[own],
    body: [
      why.node,
      h("section", { className: "section" },
        h("h3", {}, `What changes in version ${present.version}`),
        differenceList(diff, new Map([...newer, ...names]), own)),
    ],
    save: "Roll back",
    submit: (diff.cut || diff.differences.length > 0) && ((form) => accepted(form, send, { newest })),
  });
}
