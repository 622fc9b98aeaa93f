// The side panel in which a tenant is added.
import { address, h, plural } from "../../kit/dom.js";
import { read, write } from "../../kit/api.js";
import { choice, field, text } from "../../kit/fields.js";
import { openPanel, showOnce } from "../../kit/panel.js";
import { accepted } from "../../kit/saving.js";
import { attempt } from "../../kit/states.js";

const LONGEST_LABEL = 63;
const DEFAULT_TIER = "basic";

/** A subdomain made of a name: "Acme & Sons" is acme-sons. */
export const suggested = (name) =>
  name
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, LONGEST_LABEL)
    .replace(/^-|-$/g, "");

const many = (count, word) => (count === null ? `any number of ${word}s` : plural(count, word));

/** The maximums of a tier, in a sentence. */
const allowance = (tier) =>
  `Allows ${many(tier.max_rules, "rule")}, ${many(tier.max_keys, "API key")} and ` +
  `${many(tier.max_providers, "provider")}.`;

/** A choice of a tier that says what it allows. */
export function tierField(tiers, value, props = {}) {
  const names = tiers.map((one) => [one.name, one.name]);
  const isKnown = tiers.some((one) => one.name === value);
  const control = choice(value, isKnown ? names : [[value, `${value} (removed)`], ...names], props);
  const made = field("Tier", control, { pointer: "/tier", help: " " });
  const tell = () => {
    const tier = tiers.find((one) => one.name === control.value);
    made.node.querySelector(".help").textContent = tier
      ? allowance(tier)
      : "Allows nothing: config.yaml lacks it.";
  };
  control.addEventListener("change", tell);
  tell();
  return made;
}

/** Open the panel. Afterwards the key is shown once, and the page of the tenant opens. */
export async function addTenant() {
  const tiers = (await attempt(() => read("/api/v1/tiers")))?.tiers;
  if (!tiers) return;
  const name = field("Name", text("", { placeholder: "Acme", maxLength: 200 }), {
    pointer: "/name",
    required: true,
  });
  const subdomain = field(
    "Subdomain",
    text("", { placeholder: "acme", className: "mono", maxLength: LONGEST_LABEL }),
    {
      pointer: "/subdomain",
      required: true,
      help: "The first part of the host name that clients call. Letters, digits and hyphens.",
    },
  );
  const tier = tierField(
    tiers,
    tiers.some((one) => one.name === DEFAULT_TIER) ? DEFAULT_TIER : tiers[0].name,
  );
  let isOwn = false;
  subdomain.control.addEventListener("input", () => (isOwn = subdomain.control.value !== ""));
  name.control.addEventListener("input", () => isOwn || (subdomain.control.value = suggested(name.read())));

  async function submit(form) {
    const body = { name: name.read(), subdomain: subdomain.read(), tier: tier.read() };
    let made;
    if (!(await accepted(form, async () => (made = await write("POST", "/api/v1/tenants", body)))))
      return false;
    panel.close();
    await showOnce({
      title: `${made.name} is added`,
      text: "This is its first API key, with the scopes admin and proxy. It is shown only this once.",
      secret: made.key,
    });
    location.assign(address(`/ui/tenants/${made.id}`));
    return true;
  }
  const panel = openPanel({
    title: "Add a tenant",
    text: "A customer or a team with its own subdomain, keys, rules and limits.",
    body: h("div", { className: "fields" }, name.node, subdomain.node, tier.node),
    save: "Add the tenant",
    submit,
  });
}
