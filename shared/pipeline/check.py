"""Chains checked when they are saved: each problem with its place in the saved document."""

from collections.abc import Sequence
from dataclasses import replace

from shared.core.errors import Problem
from shared.model.config import Rule, Tenant
from shared.pipeline.chain import (
    Catalogue,
    Parse,
    ParsedEntry,
    check_together,
    effective_chain,
    not_enabled,
    parse_chain,
    parse_entry,
    parse_masked,
    weigh,
)
from shared.pipeline.plugin import Plugin


def check_rule(
    tenant: Tenant, rule: Rule, catalogue: Catalogue, *, parse: Parse = parse_masked
) -> list[Problem]:
    """The problems of a rule's chain, alone and with its tenant's. Pointers go into the rule.

    A problem of the tenant's entries alone is not reported: the rule's document cannot solve it.
    """
    parsed = list(parse_chain(effective_chain(tenant, rule, None), tenant, catalogue, parse))
    problems = [problem for one in parsed if one.entry.origin == "rule" for problem in one.problems]
    if problems:
        return problems
    return [
        Problem(entry.pointer + at if entry.origin == "rule" else _pointer_in_rule(why), why)
        for entry, why, at in check_together(parsed, rule.streams)
    ]


def _pointer_in_rule(why: str) -> str:
    """Where the rule's document can solve a problem with an entry of its tenant."""
    return "/streams" if '"streams"' in why else "/plugin_chain"


def check_tenant(
    tenant: Tenant, rules: Sequence[Rule], catalogue: Catalogue, *, parse: Parse = parse_masked
) -> list[Problem]:
    """The problems of a tenant's chains, alone and with each of its rules. Pointers go into the tenant."""
    parsed = list(parse_chain(effective_chain(tenant, None, None), tenant, catalogue, parse))
    problems = [problem for one in parsed for problem in one.problems]
    problems = problems or [
        Problem(entry.pointer + at, why) for entry, why, at in check_together(parsed, "buffer")
    ]
    return problems or [problem for rule in rules for problem in _with_rule(tenant, parsed, rule, catalogue)]


def chain_warnings(
    tenant: Tenant, rule: Rule | None, catalogue: Catalogue, *, parse: Parse = parse_masked
) -> list[Problem]:
    """Warnings about the entries of a rule, or about those of a tenant without one."""
    entries = [
        entry
        for entry in effective_chain(tenant, rule, None)
        if (rule is None or entry.origin == "rule") and _may_warn(catalogue.get(entry.config.name))
    ]
    return [
        replace(warning, pointer=f"{one.entry.pointer}/settings{warning.pointer}")
        for one in parse_chain(entries, tenant, catalogue, parse)
        if one.plugin
        for warning in one.plugin.warnings()
    ]


def _may_warn(kind: type[Plugin] | None) -> bool:
    return kind is not None and kind.warnings is not Plugin.warnings


def _with_rule(
    tenant: Tenant, parsed: Sequence[ParsedEntry], rule: Rule, catalogue: Catalogue
) -> list[Problem]:
    """The problems that a change of the tenant would cause in a stored rule. A broken rule is ignored."""
    chain = [entry for entry in effective_chain(tenant, rule, None) if entry.origin == "rule"]
    permissive = replace(tenant, enabled_plugins=None)
    own = [parse_entry(entry, permissive, catalogue) for entry in chain]
    if any(one.problems for one in own):
        return []
    excluded = [problem for entry in chain for problem in not_enabled(entry, tenant)]
    if excluded:
        return [Problem("/enabled_plugins", f"Rule {rule.id}: {problem.detail}") for problem in excluded]
    return [
        Problem(
            entry.pointer + at if entry.origin != "rule" else "/required_plugins",
            f"With rule {rule.id}: {why}",
        )
        for entry, why, at in check_together(list(weigh([*parsed, *own])), rule.streams)
    ]
