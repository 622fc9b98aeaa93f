// The admin API, as any client calls it. A rejection becomes a `Rejected` with the problem document.
import { address, here } from "./dom.js";

const tags = new Map();

export class Rejected extends Error {
  /** `status` is 0 when the gateway could not be reached; `errors` are {pointer, detail}. */
  constructor(status, problem) {
    super(problem.detail ?? `The gateway responded with ${status}.`);
    Object.assign(this, { status, problem, errors: problem.errors ?? [] });
  }
}

/**
 * Call the API. `match` sends If-Match with the ETag of this path, or of the path that it names.
 * `login: false` lets a 401 through, else it leads to the login.
 */
export async function call(method, path, { body, match, headers = {}, login = true } = {}) {
  const sent = { Accept: "application/json", ...headers };
  if (body !== undefined) sent["Content-Type"] = "application/json";
  const tag = tags.get(match === true ? path : match);
  if (tag) sent["If-Match"] = tag;
  let response;
  try {
    response = await fetch(address(path), {
      method,
      headers: sent,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Rejected(0, { detail: "The gateway cannot be reached. Check that it runs." });
  }
  const document = response.status === 204 ? null : await response.json().catch(() => ({}));
  if (response.status === 401 && login) return leaveForLogin();
  if (!response.ok) throw new Rejected(response.status, document);
  if (response.headers.has("ETag")) tags.set(path, response.headers.get("ETag"));
  return document;
}

/** The page is left, so the call never ends: nothing is shown of it meanwhile. */
function leaveForLogin() {
  location.assign(address(`/ui/login?next=${encodeURIComponent(here())}`));
  return new Promise(() => {});
}

/** Read a document. Its ETag is kept, so that a later `write` to the path sends If-Match. */
export const read = (path) => call("GET", path);

/** The text as a header can carry it: the bytes of UTF-8. */
const inHeader = (text) => String.fromCharCode(...new TextEncoder().encode(text));

/**
 * Change something: POST, PUT, PATCH or DELETE. 412 if it was changed since it was read. `reason` is kept in
 * the history. `match` names what was read for a POST.
 */
export const write = (method, path, body, { reason, match = method !== "POST" } = {}) =>
  call(method, path, {
    body,
    match,
    headers: reason ? { "X-Gateway-Message": inHeader(reason) } : {},
  });

/** All pages of a list: `name` is the member that holds the items. At most `most` items are read. */
export async function readAll(path, name, most = 2000) {
  const found = [];
  let cursor = null;
  do {
    const query = new URLSearchParams({ limit: 100, ...(cursor ? { cursor } : {}) });
    const document = await read(`${path}${path.includes("?") ? "&" : "?"}${query}`);
    found.push(...document[name]);
    cursor = document.next_cursor;
  } while (cursor && found.length < most);
  return found;
}
