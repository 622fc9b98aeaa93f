// Log in: the key goes to the server once, and comes back as a cookie that no script can read.
import { address, byId } from "../kit/dom.js";
import { call, Rejected } from "../kit/api.js";
import { busy, ready } from "../kit/states.js";

const [form, key] = [byId("login"), byId("key")];

function show(problem) {
  byId("key-error").textContent = problem;
  key.setAttribute("aria-invalid", problem !== "");
  key.focus();
}

/** The page that led here; only pages of the dashboard. */
function next() {
  const given = new URLSearchParams(location.search).get("next") ?? "";
  if (!URL.canParse(given, location.origin)) return "/ui/";
  const { origin, pathname, search } = new URL(given, location.origin);
  return origin === location.origin && pathname.startsWith("/ui/") ? pathname + search : "/ui/";
}

async function logIn() {
  if (!key.value) return show("Type a key.");
  try {
    await call("POST", "/ui/session", { body: { key: key.value }, login: false });
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
    return show(error.message);
  }
  return location.assign(address(next()));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  busy(form.querySelector("button"), logIn);
});
ready();
