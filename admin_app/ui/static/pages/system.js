import { byId, h } from "../kit/dom.js";
import { empty, ready } from "../kit/states.js";

const nothing = empty("Nothing here.", "This page has no data.");
byId("page").replaceChildren(h("section", { className: "card" }, nothing));
ready();
