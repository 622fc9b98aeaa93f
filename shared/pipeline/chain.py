"""The effective chain of a rule: the entries of tier, tenant and rule, and what is wrong with them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, groupby
from typing import Any, NamedTuple

from shared.core.errors import Invalid, Problem, did_you_mean
from shared.core.json_pointer import escape_step
from shared.model.config import SHADOW, PluginConfig, Rule, Stage, Tenant, Tier
from shared.model.sealed import Sealed
from shared.pipeline.plugin import BeginAdmission, Plugin, ResolvedEntry

Catalogue = Mapping[str, type[Plugin]]
#: Makes the plugin of an entry. Raises `Invalid`.
type Parse = Callable[[type[Plugin], PluginConfig], Plugin]

#: The most that the plugins of one effective chain may weigh together: 0.1 s to compile (measured).
MAX_WEIGHT = 100_000
_TOO_HEAVY = (
    f"With this entry the patterns of the chain exceed {MAX_WEIGHT:,} RE2 instructions. "
    "Remove patterns, or shorten counted repeats such as {1,500}."
)

# Behind the priorities that entries can have.
_LAST = 1000
_RESPONSE = (Stage.POST_REQUEST, Stage.PRE_RESPONSE)


@dataclass(frozen=True, slots=True)
class ChainEntry:
    """An entry, its origin, and its place in the document of that origin (JSON pointer)."""

    config: PluginConfig
    origin: str
    pointer: str


@dataclass(frozen=True, slots=True)
class ParsedEntry:
    """An entry, parsed once. `plugin` is None when the entry has `problems` of its own.

    `is_too_heavy` marks the entry with which the chain exceeds `MAX_WEIGHT`.
    """

    entry: ChainEntry
    plugin: Plugin | None
    problems: Sequence[Problem] = ()
    is_too_heavy: bool = False


def effective_chain(tenant: Tenant, rule: Rule | None, tier: Tier | None) -> list[ChainEntry]:
    """All entries that run for `rule`, in chain order: tier, required, tenant, rule.

    The limits of the tier become a rate_limiter of their own, before all other entries.
    """
    chain = []
    if tier is not None and tier.limits:
        settings = {"limits": tier.limits}
        ceiling = PluginConfig("rate_limiter", settings=settings, priority=-1, on_error="local")
        chain.append(ChainEntry(ceiling, "tier", ""))
    for name, config in tenant.required_plugins.items():
        chain.append(ChainEntry(config, "required", f"/required_plugins/{escape_step(name)}"))
    for i, config in enumerate(tenant.plugin_chain):
        chain.append(ChainEntry(config, "tenant", f"/plugin_chain/{i}"))
    for i, config in enumerate(rule.plugin_chain if rule else ()):
        chain.append(ChainEntry(config, "rule", f"/plugin_chain/{i}"))
    return chain


def masked(config: PluginConfig) -> Mapping[str, Any]:
    """The settings of the entry with a placeholder for each sealed secret: enough to validate them."""
    return {name: _masked(value) for name, value in config.settings.items()}


def _masked(value: Any) -> Any:
    if isinstance(value, Sealed):
        return "sealed"
    return {name: _masked(inner) for name, inner in value.items()} if isinstance(value, Mapping) else value


def parse_masked(kind: type[Plugin], config: PluginConfig) -> Plugin:
    """The plugin of an entry whose secrets stay sealed: enough to check it."""
    return kind.parse(masked(config))


class ParsedOnce:
    """A `Parse` that parses each enabled entry once, however many checks of a change ask for it."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[PluginConfig, Plugin | Invalid]] = {}

    def __call__(self, kind: type[Plugin], config: PluginConfig) -> Plugin:
        # An entry cannot be hashed. It is held, so that no other one gets its id.
        if (known := self._known.get(id(config))) is None:
            known = self._known[id(config)] = (config, _parsed(kind, config))
        if isinstance(known[1], Invalid):
            raise known[1]
        return known[1]


def _parsed(kind: type[Plugin], config: PluginConfig) -> Plugin | Invalid:
    try:
        return parse_masked(kind, config)
    except Invalid as error:
        return error


def resolve_chain(
    chain: Iterable[ChainEntry],
    tenant: Tenant,
    rule: Rule | None,
    catalogue: Catalogue,
    parse: Parse = parse_masked,
) -> list[ResolvedEntry]:
    """The enabled entries with their plugins, on a rule or for all rules of the tenant.

    Raises `Invalid` when an entry cannot work or is too heavy.
    """
    resolved = []
    for parsed in parse_chain(chain, tenant, catalogue, parse):
        config = parsed.entry.config
        if parsed.is_too_heavy:
            raise Invalid([Problem(f"{parsed.entry.pointer}/settings", _TOO_HEAVY)])
        if parsed.plugin is None:
            raise Invalid(parsed.problems)
        if config.enabled:
            resolved.append(
                ResolvedEntry(
                    plugin=parsed.plugin,
                    stage=config.stage,
                    priority=config.priority,
                    parallel=config.parallel,
                    on_error=config.on_error,
                    timeout=config.timeout,
                    origin=parsed.entry.origin,
                    tenant_id=tenant.id,
                    rule_id=rule.id if rule else "",
                    is_shadow=config.mode == SHADOW,
                    serves_models=rule is None or rule.ai is not None,
                )
            )
    return resolved


def budget_entry(
    catalogue: Catalogue, tenant_id: str, rule_id: str, begin_admission: BeginAdmission
) -> ResolvedEntry:
    """The entry with which the rate limiter asks budgets: behind all others, where it has no other entry."""
    plugin = catalogue["rate_limiter"]()
    return ResolvedEntry(
        plugin=plugin,
        stage=Stage.PRE_REQUEST,
        priority=_LAST,
        parallel=False,
        on_error=plugin.default_on_error,
        timeout=plugin.default_timeout,
        origin="budgets",
        tenant_id=tenant_id,
        rule_id=rule_id,
        begin_admission=begin_admission,
    )


def parse_chain(
    chain: Iterable[ChainEntry], tenant: Tenant, catalogue: Catalogue, parse: Parse = parse_masked
) -> Iterator[ParsedEntry]:
    """Parse each entry once. Ends with the entry that makes the chain too heavy."""
    return weigh(parse_entry(entry, tenant, catalogue, parse) for entry in chain)


def weigh(parsed: Iterable[ParsedEntry]) -> Iterator[ParsedEntry]:
    """The entries, up to the one that makes the chain too heavy: the rest is not worth compiling."""
    weight = 0
    for one in parsed:
        weight += one.plugin.weight if one.plugin else 0
        if weight > MAX_WEIGHT:
            yield replace(one, is_too_heavy=True)
            return
        yield one


def parse_entry(
    entry: ChainEntry, tenant: Tenant, catalogue: Catalogue, parse: Parse = parse_masked
) -> ParsedEntry:
    """Parse one entry, and check it by itself. Its secrets stay sealed if it is disabled or has problems."""
    config = entry.config
    kind = catalogue.get(config.name)
    if kind is None:
        return ParsedEntry(entry, None, [_unknown_plugin(entry, catalogue)])
    problems = [*not_enabled(entry, tenant), *_unfit(entry, kind)]
    try:
        plugin = (parse_masked if problems or not config.enabled else parse)(kind, config)
    except Invalid as error:
        at = f"{entry.pointer}/settings"
        found = error.problems or [Problem("", f"{config.name} cannot work with these settings.")]
        problems += [replace(problem, pointer=at + problem.pointer) for problem in found]
    return ParsedEntry(entry, None, problems) if problems else ParsedEntry(entry, plugin)


def _unknown_plugin(entry: ChainEntry, catalogue: Catalogue) -> Problem:
    name = entry.config.name
    known = ", ".join(sorted(catalogue))
    return Problem(
        f"{entry.pointer}/name",
        f"There is no plugin {name}. There are: {known}.{did_you_mean(name, catalogue)}",
    )


def not_enabled(entry: ChainEntry, tenant: Tenant) -> Sequence[Problem]:
    """The problem of an entry whose plugin the operator has not enabled for the tenant."""
    name, allowed = entry.config.name, tenant.enabled_plugins
    if entry.origin not in ("tenant", "rule") or allowed is None or name in allowed:
        return ()
    why = f"{name} is not one of the tenant's enabled_plugins: {', '.join(allowed) or 'none'}."
    return [Problem(f"{entry.pointer}/name", why)]


def _unfit(entry: ChainEntry, kind: type[Plugin]) -> Iterator[Problem]:
    """The problems of an entry that asks for something that its plugin cannot do."""
    config, at = entry.config, entry.pointer
    if config.stage not in kind.stages():
        stages = ", ".join(kind.stages())
        yield Problem(f"{at}/stage", f"{config.name} cannot act at {config.stage}, only at: {stages}.")
    if config.on_error not in kind.on_error_choices:
        choices = ", ".join(kind.on_error_choices)
        yield Problem(
            f"{at}/on_error", f"{config.name} has no on_error {config.on_error}. Allowed: {choices}."
        )
    if config.parallel and kind.merges_entries:
        why = f"{config.name} merges its entries and cannot run in parallel. Set parallel to false."
        yield Problem(f"{at}/parallel", why)


class EntryConflict(NamedTuple):
    """The entry at fault for a conflict in a chain, why, and the place in the entry (JSON pointer)."""

    entry: ChainEntry
    why: str
    at: str = ""


def check_together(parsed: Sequence[ParsedEntry], streams: str) -> list[EntryConflict]:
    """The conflicts between the valid entries of one effective chain.

    Entries in shadow mode change and judge nothing, so they conflict with no other. They only weigh, like
    disabled ones: both are compiled to be checked.
    """
    heavy = [EntryConflict(one.entry, _TOO_HEAVY) for one in parsed if one.is_too_heavy]
    active = [
        (one.entry, one.plugin)
        for one in parsed
        if one.plugin and one.entry.config.enabled and one.entry.config.mode != SHADOW
    ]
    return [*heavy, *_conflicts(active), *_rewrites(active), *_needing_whole_body(active, streams)]


_Active = Sequence[tuple[ChainEntry, Plugin]]


def _conflicts(active: _Active) -> Iterable[EntryConflict]:
    """Parallel entries of one group of which one changes what another changes or reads."""

    def group_of(pair: tuple[ChainEntry, Plugin]) -> tuple[str, bool, int]:
        config, origin = pair[0].config, pair[0].origin
        return (config.stage, origin == "required", config.priority)

    parallel = sorted((pair for pair in active if pair[0].config.parallel), key=group_of)
    for _, group in groupby(parallel, key=group_of):
        for (one, a), (two, b) in combinations(group, 2):
            common = a.changes & (b.changes | b.reads) | b.changes & a.reads
            if common:
                parts = " and ".join(sorted(common))
                culprit = two if b.changes & common else one
                why = (
                    f"{one.config.name} and {two.config.name} run at the same time, but one changes the "
                    f"{parts} that the other uses. Give them different priorities."
                )
                yield EntryConflict(culprit, why)


def _rewrites(active: _Active) -> Iterable[EntryConflict]:
    """Entries that change what a required entry of that direction has judged before them."""
    required = [(item, plugin) for item, plugin in active if item.origin == "required"]
    for item, plugin in active:
        for judge, judging in required:
            common = plugin.changes & judging.reads
            if (
                item.origin in ("tenant", "rule")
                and common
                and _comes_after(item.config.stage, judge.config.stage)
            ):
                parts = " and ".join(sorted(common))
                why = (
                    f"{item.config.name} changes the {parts} that the required {judge.config.name} "
                    "has judged before it."
                )
                yield EntryConflict(item, why)


def _comes_after(stage: Stage, judge: Stage) -> bool:
    if judge is Stage.PRE_REQUEST:
        return stage is Stage.PRE_REQUEST
    return judge is Stage.POST_REQUEST and stage in _RESPONSE


def _needing_whole_body(active: _Active, streams: str) -> Iterable[EntryConflict]:
    """Entries that need whole bodies, on a rule that forwards streams event by event."""
    for item, plugin in active:
        meets_streams = streams == "pass" and item.config.stage is Stage.PRE_RESPONSE
        if meets_streams and "body" in plugin.reads | plugin.changes and (fault := plugin.needs_whole_body()):
            way_out = f"{fault.remedy}, or set" if fault.remedy else "Set"
            why = (
                f"{item.config.name} {fault.reason}, but this rule forwards streams event by event. "
                f'{way_out} the rule\'s "streams" to "buffer".'
            )
            yield EntryConflict(item, why, f"/settings{fault.pointer}" if fault.pointer else "")
