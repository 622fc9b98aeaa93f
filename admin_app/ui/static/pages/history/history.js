// The versions of the platform: every state of its providers, models and prices.
import { byId, h } from "../../kit/dom.js";
import { me } from "../../kit/shell.js";
import { empty, fail, ready } from "../../kit/states.js";
import { showTabs } from "./tabs.js";
import { showVersions } from "./versions.js";

const context = { base: "/api/v1/platform", may: true, reason: "", refresh: start };

/** A tenant's key is led to the versions of its tenant. */
const elsewhere = (tenant) =>
  h("section", { className: "card" },
    empty("This history is the platform's.", "The versions of your tenant are on its own page.",
      h("a", { className: "button", href: `/ui/tenants/${tenant.id}?tab=history` }, "Open them")));

async function start() {
  const { is_platform: isPlatform, tenant } = await me;
  if (!isPlatform) return byId("page").replaceChildren(elsewhere(tenant));
  showTabs("history");
  return showVersions(byId("page"), context);
}

start().then(ready, fail);
