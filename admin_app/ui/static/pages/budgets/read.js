// The budgets of a tenant, and the names of what they count.
import { read, readAll } from "../../kit/api.js";
import { shareOf } from "./words.js";

/** The owner of the budgets that the tier gives each of its tenants. */
export const OF_TIER = "tier";

/** All budgets of a tenant, those of its tier included, the fullest first. */
export async function budgetsOf(base) {
  const [own, { of_tier: ofTier }] = await Promise.all([
    readAll(`${base}/budgets`, "budgets"),
    read(`${base}/budgets?limit=1`),
  ]);
  const all = [...own, ...ofTier.map((one) => ({ ...one, owner: OF_TIER }))];
  return all.sort((a, b) => shareOf(b.state) - shareOf(a.state));
}

/** The names of keys and rules by their ids; `lines` has active keys by the ids that budgets name. */
export async function namesOf(base) {
  const [keys, rules] = await Promise.all([
    readAll(`${base}/api-keys`, "api_keys"),
    readAll(`${base}/rules`, "rules"),
  ]);
  const lineOf = (key) => key.first ?? key.id;
  const nameOf = (key) => key.name || `${key.prefix}…`;
  const active = keys.filter((key) => key.status === "active");
  return {
    key: new Map(keys.flatMap((key) => [[lineOf(key), nameOf(key)], [key.id, nameOf(key)]])),
    lines: new Map(active.map((key) => [lineOf(key), nameOf(key)])),
    rule: new Map(rules.map((rule) => [rule.id, rule.path])),
  };
}
