// The plugin chain as lanes: one a stage, a column a step, and side by side what runs at the same time.
import { h, icon, plural } from "../kit/dom.js";
import { words } from "../kit/fields.js";
import { verdictsOf } from "../explain/verdicts.js";
import { card } from "./cards.js";
import { ONE_STEP, joinStep, move, placeAt } from "./moves.js";
import { isFixed, stepsOf } from "./steps.js";

const STAGES = [
  ["pre_request", "Before the request goes to the upstream. May reject, respond or change it."],
  ["post_request", "The head of the response is here; the client has seen nothing yet."],
  ["pre_response", "Before the response goes to the client, whole or event by event."],
  ["post_response", "After the last byte. Counts and observes."],
];
const BETWEEN = {
  pre_request: ["arrow", "The upstream responds"],
  pre_response: ["check", "The client has the response"],
};

/** "Rate limiter: step 2 of 3, priority 20." */
function placeOf({ model }, entry) {
  const steps = stepsOf(entry.stage, model.items(), model.merges);
  const at = steps.findIndex((step) => step.items.some((item) => item.entry === entry));
  const others = steps[at].items.length - 1;
  const beside = others ? `, together with ${plural(others, "other")}` : "";
  return `${words(entry.name)}: step ${at + 1} of ${steps.length}${beside}, priority ${entry.priority}.`;
}

/** Do `work`, which returns why it cannot be done, and say what happened. */
function change(lanes, entry, work) {
  const why = work();
  if (!why) {
    lanes.model.explained = null;
    lanes.model.problems = [];
    lanes.act.change();
    lanes.draw();
    lanes.focus(entry);
  }
  lanes.say(why || placeOf(lanes, entry), Boolean(why));
}

function toggleParallel({ model }, entry) {
  if (model.merges(entry.name)) return ONE_STEP;
  entry.parallel = !entry.parallel;
  return "";
}

const onkeydown = (lanes, entry) => (event) => {
  const by = event.altKey ? { ArrowLeft: -1, ArrowRight: 1 }[event.key] : 0;
  if (by) change(lanes, entry, () => move(lanes.model, entry, by));
  else if (event.altKey && event.code === "KeyP") change(lanes, entry, () => toggleParallel(lanes, entry));
  else if (event.key === "Delete") lanes.act.remove(entry);
  else return;
  event.preventDefault();
};

/** The handlers of a place of `stage` for an entry that is dropped there; `work` puts it there. */
function drop(lanes, stage, fits, work) {
  if (lanes.model.locked) return {};
  const leave = (event) => event.currentTarget.classList.remove("over");
  const acts = ({ name }) => lanes.model.plugins.get(name)?.stages.includes(stage);
  const isPossible = () => lanes.dragged && acts(lanes.dragged) && fits(lanes.dragged);
  return {
    ondragover: (event) => {
      if (!isPossible()) return;
      event.preventDefault();
      event.currentTarget.classList.add("over");
    },
    ondragleave: leave,
    ondrop: (event) => {
      event.preventDefault();
      leave(event);
      const entry = lanes.dragged;
      change(lanes, entry, () => work(entry));
    },
  };
}

const dropAt = (lanes, stage, gap) =>
  drop(lanes, stage, () => true, (entry) => placeAt(lanes.model, entry, stage, gap));

const dropOn = (lanes, stage, step) =>
  drop(lanes, stage,
    (dragged) => !isFixed(step) && !step.items.some(({ entry }) => entry === dragged),
    (entry) => joinStep(lanes.model, entry, stage, step));

function listeners(lanes, item) {
  const onclick = () => lanes.act.edit(item);
  if (item.origin !== "rule" || lanes.model.locked) return { onclick };
  return {
    onclick,
    onkeydown: onkeydown(lanes, item.entry),
    ondragstart: (event) => {
      lanes.dragged = item.entry;
      event.dataTransfer.effectAllowed = "move";
      event.currentTarget.classList.add("dragging");
    },
    ondragend: (event) => {
      lanes.dragged = null;
      event.currentTarget.classList.remove("dragging");
    },
  };
}

function column(lanes, stage, step, verdicts) {
  const isTogether = step.items.length > 1;
  const priority = step.priority < 0 ? "first" : String(step.priority);
  const how = step.isMerged ? "counted as one" : "together";
  const head = isTogether ? [icon("split"), `${priority} · ${how}`] : priority;
  const cards = step.items.map((item) =>
    card(item, lanes.model, { verdict: verdicts.get(item), on: listeners(lanes, item) }));
  return h("li", { className: `step ${isTogether ? "together" : ""}`, ...dropOn(lanes, stage, step) },
    h("p", { className: "step-head" }, head),
    h("div", { className: "entries" }, cards));
}

function addButton(lanes, stage, gap) {
  const onclick = (event) => lanes.act.add(stage, event.currentTarget);
  const look = { type: "button", className: "add", "aria-label": `Add a plugin to ${stage}` };
  return h("li", {}, h("button", { ...look, onclick, ...dropAt(lanes, stage, gap) }, icon("plus"), "Add"));
}

const gap = (lanes, stage, at) =>
  h("li", { className: "gap", ariaHidden: "true", ...dropAt(lanes, stage, at) }, icon("right", "flow"));

function lane(lanes, [stage, text], items, verdicts) {
  const { model } = lanes;
  const steps = stepsOf(stage, items, model.merges);
  const isPossible = [...model.plugins.values()].some((plugin) => plugin.stages.includes(stage));
  const nothing = isPossible ? "Nothing runs here." : "No installed plugin acts at this stage.";
  const columns = steps.flatMap((step, at) => [
    at ? gap(lanes, stage, at) : [],
    column(lanes, stage, step, verdicts),
  ]);
  const [picture, between] = BETWEEN[stage] ?? [];
  const isLong = steps.length > 3;
  return [
    h("section", { className: "lane", "aria-label": stage },
      h("div", { className: "lane-name" }, h("h3", {}, stage), h("p", {}, text)),
      h("ol", { className: "steps", tabIndex: isLong ? 0 : null, "aria-label": `Steps of ${stage}` },
        columns,
        !steps.length && h("li", { className: "nothing" }, nothing),
        isPossible && !model.locked && addButton(lanes, stage, steps.length))),
    between && h("div", { className: "between" }, h("span", {}, icon(picture), between)),
  ];
}

/**
 * Draw the lanes into `host`. `model` is a chain (chain.js). `act` tells what happens: {edit(item),
 * remove(entry), add(stage, button), change()}. Returns {draw, focus(entry)}.
 */
export function drawLanes(host, model, act) {
  const said = h("p", { className: "said", role: "status" });
  const places = h("div", {});
  const lanes = {
    model,
    act,
    dragged: null,
    say(text, isProblem) {
      said.textContent = text;
      said.classList.toggle("hidden", !isProblem);
    },
    draw() {
      const items = model.items();
      const verdicts = model.explained ? verdictsOf(model.explained, items) : new Map();
      places.replaceChildren(...STAGES.flatMap((one) => lane(lanes, one, items, verdicts)).filter(Boolean));
    },
    focus: (entry) => places.querySelector(`[data-index="${model.chain.indexOf(entry)}"]`)?.focus(),
  };
  lanes.say("", false);
  host.replaceChildren(said, places);
  lanes.draw();
  return lanes;
}
