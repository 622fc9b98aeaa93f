import { byId, h } from "../kit/dom.js";
import { empty, ready } from "../kit/states.js";

byId("page").replaceChildren(h("section", { className: "card" }, empty("Nothing here.", "This page has no data.")));
ready();
