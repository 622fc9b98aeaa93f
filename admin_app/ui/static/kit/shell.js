// The common parts of all pages: the menu of small screens, the theme, the health, and the caller.
import { address, byId, h, icon } from "./dom.js";
import { call, read } from "./api.js";

const HEALTH_SECONDS = 15;
const PLATFORM_PAGES = ["overview", "tenants", "system"];

/** Resolves to the caller as GET /api/v1/me describes it. */
export const me = read("/api/v1/me");

/** Whether the caller may change things of its tenant: {may, reason}. */
export async function mayChange() {
  const { is_platform, scopes } = await me;
  const may = is_platform ? !scopes.length || scopes.some((one) => one !== "read") : scopes.includes("admin");
  const needed = is_platform ? "a token with the scope write" : "a key with the scope admin";
  return { may, reason: may ? "" : `Your key has the scope read. Changes need ${needed}.` };
}

function watchMenu() {
  const [nav, menu] = [byId("nav"), byId("menu")];
  const isOpen = () => nav.classList.contains("open");
  const open = (yes) => {
    nav.classList.toggle("open", yes);
    menu.setAttribute("aria-expanded", yes);
    if (yes) nav.querySelector("a").focus();
  };
  menu.addEventListener("click", () => open(!isOpen()));
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !isOpen()) return;
    open(false);
    menu.focus();
  });
  document.addEventListener("click", ({ target }) => {
    if (isOpen() && !nav.contains(target) && !menu.contains(target)) open(false);
  });
}

function watchTheme() {
  const root = document.documentElement;
  for (const input of byId("theme").querySelectorAll("input")) {
    input.checked = input.value === root.dataset.theme;
    input.addEventListener("change", () => {
      root.dataset.theme = input.value;
      localStorage.setItem("theme", input.value);
    });
  }
}

async function showHealth() {
  const show = (tone, text) => byId("health").replaceChildren(h("span", { className: `dot ${tone}` }), text);
  let parts;
  try {
    ({ parts } = await read("/readyz"));
  } catch (error) {
    ({ parts } = error.problem);
    if (!parts) return show("bad", error.status ? error.message : "The gateway cannot be reached");
  }
  const [name, state] = Object.entries(parts).find(([, one]) => one !== "ok") ?? [];
  return name ? show("bad", `${name}: ${state}`) : show("good", "All parts are ready");
}

async function logOut() {
  await call("DELETE", "/ui/session");
  location.assign(address("/ui/login"));
}

/** Say who is logged in. A tenant's key sees its own tenant, and none of the platform's pages. */
async function showCaller() {
  const { actor, is_platform, tenant, session } = await me;
  const name = is_platform ? "Platform" : tenant.name;
  const token = actor === "platform" ? "By its token" : `By the token ${actor.replace("token:", "")}`;
  const about = is_platform ? (session ? token : "This machine") : tenant.subdomain;
  const leave = h("button", { className: "button quiet small", onclick: logOut }, icon("out"), "Log out");
  byId("who").replaceChildren(h("p", { title: name }, name, h("small", {}, about)), session ? leave : "");
  if (!is_platform) showOwnPages(tenant);
}

function showOwnPages(tenant) {
  const own = byId("nav-tenant").querySelector("a");
  own.href = address(`/ui/tenants/${tenant.id}`);
  own.parentNode.hidden = false;
  if (byId("nav-tenants").querySelector("[aria-current]")) own.setAttribute("aria-current", "page");
  for (const key of PLATFORM_PAGES) byId(`nav-${key}`).remove();
  byId("crumb-tenants")?.parentNode.remove();
}

watchMenu();
watchTheme();
showCaller().catch(() => {}); // a 401 leads to the login; the page itself shows other errors
showHealth();
setInterval(() => document.hidden || showHealth(), HEALTH_SECONDS * 1000);
