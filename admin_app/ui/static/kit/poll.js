// When something is done: again and again while the page is seen, or once somebody has stopped to type.
import { banner, ready, showProblem } from "./states.js";
import { byId } from "./dom.js";
import { Rejected } from "./api.js";

const TYPING_MS = 250;

/** A function that calls `work` once no other call has come for `ms`; `cancel` drops a call that waits. */
export function debounced(work, ms = TYPING_MS) {
  let timer;
  const call = (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...given), ms);
  };
  return Object.assign(call, { cancel: () => clearTimeout(timer) });
}

/**
 * Call `load` now and every `seconds`. A call waits for the one before.
 *
 * While the gateway cannot be reached, the page keeps its data, dimmed, and the calls go on. A call is left
 * out while the focus is inside of `quiet`. Returns {now, first, stop, pause, paused}; `first` is a promise.
 */
export function poll(load, { seconds = 5, quiet } = {}) {
  let timer;
  let isPaused = false;
  let isGone = false;
  const inside = () => quiet?.contains(document.activeElement) ?? false;

  async function now() {
    clearTimeout(timer);
    try {
      await load();
      if (isGone) showProblem(null);
      isGone = false;
    } catch (error) {
      if (!(error instanceof Rejected)) throw error;
      isGone = true;
      byId("problem").replaceChildren(banner("bad", error.message, "The page tries again by itself."));
    } finally {
      byId("main").classList.toggle("stale", isGone);
      clearTimeout(timer); // of another call that was under way
      timer = setTimeout(tick, seconds * 1000);
    }
    ready();
  }

  function tick() {
    if (isPaused || document.hidden || inside()) timer = setTimeout(tick, seconds * 1000);
    else now();
  }

  document.addEventListener("visibilitychange", () => !document.hidden && !isPaused && now());
  const first = now();
  return {
    now,
    first,
    stop: () => clearTimeout(timer),
    pause: (yes = true) => (isPaused = yes),
    get paused() {
      return isPaused;
    },
  };
}
