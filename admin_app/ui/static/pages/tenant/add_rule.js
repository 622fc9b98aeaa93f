// The side panel in which a rule is added: the few fields that it needs. The page of the rule has all others.
import { address, h } from "../../kit/dom.js";
import { read, write } from "../../kit/api.js";
import { chips, field, lineList, lines, segments, text, toggle } from "../../kit/fields.js";
import { openPanel } from "../../kit/panel.js";
import { accepted } from "../../kit/saving.js";
import { attempt, banner } from "../../kit/states.js";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"].map((one) => [one, one]);
const KINDS = [
  ["plain", "A service"],
  ["ai", "AI models"],
];
const LONGEST_PATH = 2048;

const pathField = (value, help) =>
  field("Path", text(value, { className: "mono", placeholder: "/v1", maxLength: LONGEST_PATH }), {
    pointer: "/path",
    required: true,
    help,
  });

/** The fields of a rule that forwards to one address. */
function plain() {
  const path = pathField("", "Requests with this path, and all paths below it, go to the target.");
  const target = field(
    "Target",
    text("", { className: "mono", placeholder: "https://api.example.com", type: "url" }),
    {
      pointer: "/target",
      required: true,
      help: "The http or https address of the service. The path of the request is added to it.",
    },
  );
  const strip = toggle("Remove the path of the rule", false, {
    pointer: "/strip_path",
    width: "w12",
    help: "The target gets only what follows the path of the rule.",
  });
  const methods = chips("Methods", [], METHODS, { pointer: "/methods", help: "None chosen: all methods." });
  const open = toggle("Public", false, {
    pointer: "/public",
    width: "w12",
    help: "Requests need no API key.",
  });
  return {
    node: h(
      "div",
      { className: "fields" },
      [path, target, methods, strip, open].map((one) => one.node),
    ),
    read: () => ({
      path: path.read(),
      target: target.read(),
      methods: methods.read(),
      strip_path: strip.read(),
      public: open.read(),
    }),
  };
}

/** The fields of a rule that serves models of providers. */
function ai(names, { id, isPlatform }) {
  const path = pathField("/v1", "SDKs of OpenAI and Anthropic call paths below /v1.");
  const providers = names.length
    ? chips(
        "Providers",
        [],
        names.map((name) => [name, name]),
        {
          pointer: "/ai/providers",
          help: "None chosen: all providers that the tenant may use.",
        },
      )
    : {
        node: banner(
          "info",
          "This tenant has no provider yet.",
          "Without one, the rule has no models.",
          h("a", { href: `/ui/providers${isPlatform ? `?tenant=${id}` : ""}` }, "Add a provider"),
        ),
        read: () => [],
      };
  const list = lineList([], { placeholder: "gpt-*\nclaude-*" });
  const models = field("Models", list, {
    pointer: "/ai/models",
    required: false,
    help: "Names that clients may ask for, one per line; * is any text. Empty: all models.",
    read: () => (lines(list).length ? lines(list) : null),
  });
  const model = field("Default model", text("", { className: "mono" }), {
    pointer: "/ai/default_model",
    required: false,
    help: "For requests that name no model.",
    read: () => model.control.value.trim() || null,
  });
  return {
    node: h(
      "div",
      { className: "fields" },
      path.node,
      h("div", { className: "w12" }, providers.node),
      models.node,
      model.node,
    ),
    read: () => ({
      path: path.read(),
      ai: { providers: providers.read(), models: models.read(), default_model: model.read() },
    }),
  };
}

/** Open the panel. Afterwards the page of the rule opens. */
export async function addRule(context) {
  const found = await attempt(() => read(`${context.base}/providers?limit=500`));
  if (!found) return;
  const names = [...new Set([...found.providers, ...found.shared].map((one) => one.name))].sort();
  const forms = { plain: plain(), ai: ai(names, context) };
  let kind = names.length ? "ai" : "plain";
  const place = h("div", {}, forms[kind].node);
  const kinds = segments("Where requests go", kind, KINDS, {
    onchange: (value) => {
      kind = value;
      place.replaceChildren(forms[kind].node);
    },
  });

  async function submit(form) {
    let made;
    const work = async () => (made = await write("POST", `${context.base}/rules`, forms[kind].read()));
    if (!(await accepted(form, work))) return false;
    location.assign(address(`/ui/tenants/${context.id}/rules/${made.id}`));
    return true;
  }
  openPanel({
    title: "Add a rule",
    text: "Which requests go where. Plugins, timeouts and more are on the page of the rule.",
    body: [kinds.node, place],
    save: "Add the rule",
    submit,
  });
}
