// The menu of plugins that fit a stage.
import { h } from "../kit/dom.js";
import { words } from "../kit/fields.js";

const EDGE = 8;

function place(menu, anchor) {
  const box = anchor.getBoundingClientRect();
  menu.style.left = `${Math.max(EDGE, Math.min(box.left, innerWidth - menu.offsetWidth - EDGE))}px`;
  menu.style.top = `${Math.max(EDGE, Math.min(box.bottom + 6, innerHeight - menu.offsetHeight - EDGE))}px`;
}

/** Open the menu at `anchor`; `choose` gets the plugin. Arrow keys move, Escape closes. */
export function openAddMenu(anchor, plugins, choose) {
  const pick = (plugin) => () => {
    menu.hidePopover();
    choose(plugin);
  };
  const menu = h("div", { className: "menu", popover: "auto", role: "menu", "aria-label": "Plugins" },
    plugins.map((plugin) =>
      h("button", { type: "button", role: "menuitem", onclick: pick(plugin) },
        h("b", {}, words(plugin.name)), h("small", {}, plugin.summary))));
  menu.addEventListener("toggle", (event) => event.newState === "closed" && menu.remove());
  menu.addEventListener("keydown", (event) => {
    const items = [...menu.children];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    items[(items.indexOf(document.activeElement) + step + items.length) % items.length].focus();
  });
  document.body.append(menu);
  menu.showPopover();
  place(menu, anchor);
  menu.firstChild?.focus();
}
