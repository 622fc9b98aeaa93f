"""A rule's effective chain: what the tier, the tenant and the rule ask for, and what is wrong with it."""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, combinations, groupby, islice
from typing import Any

from shared.core.errors import Invalid, Problem
from shared.model.config import SHADOW, PluginConfig, Rule, Sealed, Stage, Tenant, Tier
from shared.pipeline.plugin import Plugin, ResolvedEntry

Catalogue = Mapping[str, type[Plugin]]
Unseal = Callable[[PluginConfig], Mapping[str, Any]]

#: What the plugins of one effective chain may weigh together (`Plugin.weight`): 0.1 s to compile (measured).
MAX_WEIGHT = 100_000
_TOO_HEAVY = (
    f"The patterns of all entries of a chain together may weigh {MAX_WEIGHT} instructions of RE2's, and with "
    "this entry they weigh more. Take patterns out, or make counted repeats such as {1,500} shorter."
)

_RESPONSE = (Stage.POST_REQUEST, Stage.PRE_RESPONSE)


@dataclass(frozen=True, slots=True)
class ChainEntry:
    """An entry, who asked for it, and where it stands in that one's document (JSON pointer)."""

    config: PluginConfig
    origin: str
    pointer: str


def effective_chain(tenant: Tenant, rule: Rule | None, tier: Tier | None) -> list[ChainEntry]:
    """Everything that runs for `rule`, in chain order: tier, required, tenant, rule.

    The tier's request limit is a rate_limiter of its own that stands before all else.
    """
    placed = []
    if tier is not None and tier.limits:
        settings = {"limits": tier.limits}
        ceiling = PluginConfig("rate_limiter", settings=settings, priority=-1, on_error="local")
        placed.append(ChainEntry(ceiling, "tier", ""))
    for name, config in tenant.required_plugins.items():
        step = name.replace("~", "~0").replace("/", "~1")
        placed.append(ChainEntry(config, "required", f"/required_plugins/{step}"))
    for i, config in enumerate(tenant.plugin_chain):
        placed.append(ChainEntry(config, "tenant", f"/plugin_chain/{i}"))
    for i, config in enumerate(rule.plugin_chain if rule else ()):
        placed.append(ChainEntry(config, "rule", f"/plugin_chain/{i}"))
    return placed


def masked(config: PluginConfig) -> Mapping[str, Any]:
    """The entry's settings with each sealed secret replaced by a stand-in: enough to validate them."""
    return {name: _masked(value) for name, value in config.settings.items()}


def _masked(value: Any) -> Any:
    if isinstance(value, Sealed):
        return "sealed"
    return {name: _masked(inner) for name, inner in value.items()} if isinstance(value, Mapping) else value


def parse_chain(
    placed: Iterable[ChainEntry], tenant: Tenant, rule_id: str, catalogue: Catalogue, unseal: Unseal = masked
) -> list[ResolvedEntry]:
    """The enabled entries with their parsed plugins.

    Raises `Invalid` when an entry cannot work where it stands (see `check_entry`), or is one too many.
    """
    entries, weight = [], 0
    for item in placed:
        problems = check_entry(item, tenant, catalogue)
        if problems:
            raise Invalid(problems)
        config, kind = item.config, catalogue[item.config.name]
        plugin = kind.parse(unseal(config) if config.enabled else masked(config))
        weight += plugin.weight
        if weight > MAX_WEIGHT:
            raise Invalid([Problem(f"{item.pointer}/settings", _TOO_HEAVY)])
        if config.enabled:
            entries.append(
                ResolvedEntry(
                    plugin,
                    config.stage,
                    config.priority,
                    config.parallel,
                    config.on_error,
                    config.timeout,
                    item.origin,
                    tenant.id,
                    rule_id,
                    config.mode == SHADOW,
                )
            )
    return entries


def check_entry(item: ChainEntry, tenant: Tenant, catalogue: Catalogue) -> list[Problem]:
    """What is wrong with one entry by itself. A disabled entry is checked all the same."""
    config, at = item.config, item.pointer
    kind = catalogue.get(config.name)
    if kind is None:
        close = difflib.get_close_matches(config.name, catalogue, 1)
        hint = f" Did you mean {close[0]}?" if close else ""
        known = ", ".join(sorted(catalogue))
        return [Problem(f"{at}/name", f"There is no plugin {config.name}. There are: {known}.{hint}")]
    problems = []
    allowed = tenant.enabled_plugins
    if item.origin in ("tenant", "rule") and allowed is not None and config.name not in allowed:
        listed = ", ".join(allowed) or "none"
        problems.append(
            Problem(
                f"{at}/name", f"{config.name} is not in the tenant's enabled_plugins (which are: {listed})."
            )
        )
    if config.stage not in kind.stages():
        stages = ", ".join(kind.stages())
        problems.append(
            Problem(f"{at}/stage", f"{config.name} cannot act at {config.stage}, only at: {stages}.")
        )
    if config.on_error not in kind.on_error_choices:
        choices = ", ".join(kind.on_error_choices)
        problems.append(
            Problem(f"{at}/on_error", f"{config.on_error} is not available yet; allowed: {choices}.")
        )
    if config.parallel and kind.merges_entries:
        problems.append(Problem(f"{at}/parallel", f"{config.name} keeps state and cannot run in parallel."))
    try:
        kind.parse(masked(config))
    except Invalid as error:
        problems += [replace(p, pointer=f"{at}/settings{p.pointer}") for p in error.problems]
    return problems


def check_each(
    placed: Iterable[ChainEntry], tenant: Tenant, catalogue: Catalogue
) -> list[tuple[ChainEntry, list[Problem]]]:
    """The entries, each with what is wrong with it by itself.

    The last is the one with which the chain weighs too much: what follows it is not worth compiling.
    """
    judged: list[tuple[ChainEntry, list[Problem]]] = []
    weight = 0
    for item in placed:
        problems = check_entry(item, tenant, catalogue)
        judged.append((item, problems))
        if not problems:
            weight += catalogue[item.config.name].parse(masked(item.config)).weight
        if weight > MAX_WEIGHT:
            break
    return judged


def check_together(
    placed: Sequence[ChainEntry], catalogue: Catalogue, streams: str
) -> list[tuple[ChainEntry, str]]:
    """What is wrong between valid entries of one effective chain: the entry at fault, and why.

    Entries in shadow mode change nothing and judge nothing, so they are in nobody's way; they only weigh,
    as disabled ones do: they are compiled to be checked.
    """
    parsed = [(item, catalogue[item.config.name].parse(masked(item.config))) for item in placed]
    active = [pair for pair in parsed if pair[0].config.enabled and pair[0].config.mode != SHADOW]
    return [*_too_heavy(parsed), *_conflicts(active), *_rewrites(active), *_blind(active, streams)]


_Active = Sequence[tuple[ChainEntry, Plugin]]


def _too_heavy(parsed: _Active) -> Iterable[tuple[ChainEntry, str]]:
    """The entry with which the chain weighs too much to be compiled."""
    weights = accumulate(plugin.weight for _, plugin in parsed)
    heavy = (item for (item, _), weight in zip(parsed, weights, strict=True) if weight > MAX_WEIGHT)
    return [(item, _TOO_HEAVY) for item in islice(heavy, 1)]


def _conflicts(active: _Active) -> Iterable[tuple[ChainEntry, str]]:
    """Entries of one parallel group must not change what another of them changes or reads."""

    def place(pair: tuple[ChainEntry, Plugin]) -> tuple[str, bool, int]:
        config, origin = pair[0].config, pair[0].origin
        return (config.stage, origin == "required", config.priority)

    parallel = sorted((pair for pair in active if pair[0].config.parallel), key=place)
    for _, group in groupby(parallel, key=place):
        for (one, a), (two, b) in combinations(group, 2):
            common = a.changes & (b.changes | b.reads) | b.changes & a.reads
            if common:
                parts = " and ".join(sorted(common))
                culprit = two if b.changes & common else one
                why = (
                    f"{one.config.name} and {two.config.name} run at the same time, but one changes the "
                    f"{parts} that the other uses. Give them different priorities."
                )
                yield culprit, why


def _rewrites(active: _Active) -> Iterable[tuple[ChainEntry, str]]:
    """No entry may change what a required entry has already judged in that direction."""
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
                yield item, why


def _comes_after(stage: Stage, judge: Stage) -> bool:
    if judge is Stage.PRE_REQUEST:
        return stage is Stage.PRE_REQUEST
    return judge is Stage.POST_REQUEST and stage in _RESPONSE


def _blind(active: _Active, streams: str) -> Iterable[tuple[ChainEntry, str]]:
    """A plugin that needs whole bodies cannot act on an answer that is passed on event by event."""
    for item, plugin in active:
        meets_streams = streams == "pass" and item.config.stage is Stage.PRE_RESPONSE
        if meets_streams and "body" in plugin.reads | plugin.changes and (fault := plugin.needs_whole_body()):
            why = (
                f"{item.config.name} {fault}, and this rule passes streams on event by event. "
                'Set the rule\'s "streams" to "buffer".'
            )
            yield item, why
