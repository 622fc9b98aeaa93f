"""Chains judged when they are saved: what cannot work is refused then, with the place and the reason."""

from collections.abc import Sequence
from dataclasses import replace

from shared.core.errors import Problem
from shared.model.config import Rule, Tenant
from shared.pipeline.chain import Catalogue, check_each, check_entry, check_together, effective_chain


def check_rule(tenant: Tenant, rule: Rule, catalogue: Catalogue) -> list[Problem]:
    """The problems of a rule's chain, alone and with its tenant's. Pointers go into the rule.

    What is wrong with the tenant's entries by themselves is the tenant's affair, not this document's.
    """
    placed = effective_chain(tenant, rule, None)
    judged = check_each(placed, tenant, catalogue)
    problems = [problem for item, wrong in judged if item.origin == "rule" for problem in wrong]
    if problems:
        return problems
    found = check_together([item for item, wrong in judged if not wrong], catalogue, rule.streams)
    return [
        # The tenant's entry cannot be mended in the rule's document; say where the clash shows.
        Problem(item.pointer if item.origin == "rule" else _place_in_rule(why), why)
        for item, why in found
    ]


def _place_in_rule(why: str) -> str:
    return "/streams" if '"streams"' in why else "/plugin_chain"


def check_tenant(tenant: Tenant, rules: Sequence[Rule], catalogue: Catalogue) -> list[Problem]:
    """The problems of a tenant's own chains, and with each of its rules. Pointers go into the tenant."""
    judged = check_each(effective_chain(tenant, None, None), tenant, catalogue)
    problems = [problem for _, wrong in judged for problem in wrong]
    if not problems:
        found = check_together([item for item, _ in judged], catalogue, "buffer")
        problems = [Problem(item.pointer, why) for item, why in found]
    if problems:
        return problems
    return [problem for rule in rules for problem in _with_rule(tenant, rule, catalogue)]


def _with_rule(tenant: Tenant, rule: Rule, catalogue: Catalogue) -> list[Problem]:
    """What a change of the tenant would break in a stored rule. One that is broken anyway is left alone."""
    placed = effective_chain(tenant, rule, None)
    own = [item for item in placed if item.origin == "rule"]
    permissive = replace(tenant, enabled_plugins=None)
    if any(check_entry(item, permissive, catalogue) for item in own):
        return []
    shut_out = [
        Problem("/enabled_plugins", f"Rule {rule.id}: {problem.detail}")
        for item in own
        for problem in check_entry(item, tenant, catalogue)
    ]
    if shut_out:
        return shut_out
    return [
        Problem(item.pointer if item.origin != "rule" else "/required_plugins", f"With rule {rule.id}: {why}")
        for item, why in check_together(placed, catalogue, rule.streams)
    ]
