// The chain of a rule while it is edited, with the entries of its tenant and tier around it.

/** The entry of the limits of a tier, as shared/pipeline/chain.py makes it. */
const ofTier = (tier) =>
  Object.keys(tier.limits).length === 0 ? [] : [{
    name: "rate_limiter",
    enabled: true,
    stage: "pre_request",
    priority: -1,
    parallel: false,
    settings: { limits: tier.limits },
    on_error: "local",
    timeout: 1,
    mode: "enforce",
  }];

/** A new entry of a plugin, behind the others of its stage. */
export function newEntry(plugin, stage, chain) {
  const last = Math.max(90, ...chain.filter((entry) => entry.stage === stage).map((entry) => entry.priority));
  return {
    name: plugin.name,
    enabled: true,
    stage,
    priority: Math.min(999, last + 10),
    parallel: false,
    settings: {},
    on_error: plugin.default_on_error,
    timeout: plugin.default_timeout,
    mode: "enforce",
  };
}

/**
 * The chain as the lanes need it. `chain` holds the entries of the rule, `problems` those of the last check,
 * {pointer, detail}; `explained` is the last dry run, and `locked` tells that nothing may be changed.
 */
export function chainModel({ rule, tenant, tier, plugins, locked }) {
  const given = [
    ...ofTier(tier).map((entry) => ({ entry, origin: "tier" })),
    ...Object.values(tenant.required_plugins).map((entry) => ({ entry, origin: "required" })),
    ...tenant.plugin_chain.map((entry) => ({ entry, origin: "tenant" })),
  ];
  const byName = new Map(plugins.map((plugin) => [plugin.name, plugin]));
  const model = {
    chain: structuredClone(rule.plugin_chain),
    plugins: byName,
    problems: [],
    explained: null,
    locked,
    merges: (name) => byName.get(name)?.merges_entries ?? false,
    items: (chain = model.chain) => [...given, ...chain.map((entry) => ({ entry, origin: "rule" }))],
    problemsOf: (index) => {
      const at = `/plugin_chain/${index}`;
      return model.problems.filter(({ pointer }) => pointer === at || pointer.startsWith(`${at}/`));
    },
    remove(entry) {
      model.chain = model.chain.filter((one) => one !== entry);
      model.problems = [];
    },
  };
  return model;
}
