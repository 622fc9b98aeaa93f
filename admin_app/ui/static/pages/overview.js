import { address, byId, h } from "../kit/dom.js";
import { me } from "../kit/shell.js";
import { empty, ready } from "../kit/states.js";

const { is_platform, tenant } = await me;
if (is_platform) {
  byId("page").replaceChildren(h("section", { className: "card" }, empty("Nothing here.", "This page has no data.")));
} else {
  location.replace(address(`/ui/tenants/${tenant.id}`));
}
ready();
