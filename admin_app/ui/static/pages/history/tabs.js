// The tabs of the pages Audit and History, for the platform. A tenant has its versions on its own page.
import { byId, h } from "../../kit/dom.js";

const TABS = [
  ["audit", "All changes"],
  ["history", "Versions of the platform"],
];

/** Show the tabs; `current` is the one of this page. */
export function showTabs(current) {
  byId("tabs").replaceChildren(
    ...TABS.map(([name, title]) =>
      h("a", { href: `/ui/${name}`, "aria-current": name === current ? "page" : null }, title)));
  byId("tabs").hidden = false;
}
