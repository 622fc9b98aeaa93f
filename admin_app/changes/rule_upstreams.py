"""Where a rule goes, in a change: a target, a pool of targets, or AI. Exactly one of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from admin_app.changes.owners import Holding, holding_of, providers_of_rule
from admin_app.changes.secrets import keep_values, seal_headers
from admin_app.changes.snapshot import check_most_targets
from shared.core.errors import Problem, did_you_mean
from shared.core.globs import matches_glob
from shared.documents.ai.pool import POOL_MEMBERS, policy_of
from shared.documents.fields import KEEP
from shared.model.config import CLIENT, Rule, Snapshot
from shared.model.pools import PoolPolicy, UrlTarget
from shared.model.providers import AiRule
from shared.model.targets import parse_target
from shared.providers.calls import OWN
from shared.providers.shipped.presets import Endpoint
from shared.translation.pairs import served_apis

_KINDS = ("target", "targets", "ai")
_NO_POOL = PoolPolicy()
_ONE = "Exactly one of target, targets and ai may be set. Set the others to null."
_NONE = "Set one of target, targets and ai."
_NOT_WITH_AI = "A rule with ai does not have it. Remove it; set headers and ca on the provider."
_NO_POLICY = "Only a rule with targets has it, and a model. Remove it."
_SEVERAL = "The targets have different origins. Set the headers in each target."
_PUBLIC = "Anyone could spend this provider's money. Require a key, or set credential to client."
_ONE_ORIGIN = "The client's credential may go to one origin only. {} have several, or none."


def kept_upstreams(sent: Mapping[str, Any], stored: Rule) -> tuple[dict[str, Any], list[Problem]]:
    """The fields of a rule that say where it goes, with the stored secrets that stay, and their problems."""
    values: dict[str, Any] = {
        "ai": sent.get("ai", stored.ai),
        "target": sent.get("target", stored.target) or "",
    }
    targets = stored.targets if "targets" not in sent else sent["targets"] or ()
    values["targets"], problems = _keep_targets(targets, stored.targets)
    changed = any(member in sent for member in POOL_MEMBERS)
    if changed or values["targets"]:
        values["policy"] = policy_of(sent, stored.policy)
    else:
        values["policy"] = _NO_POOL
    after = replace(stored, **values)
    # A PATCH without headers keeps them all, which is rejected for another origin.
    headers = sent.get("headers", dict.fromkeys(stored.headers, KEEP))
    old = next(iter(origins_of(stored)), "")
    is_moved = after.ai is None and bool(stored.headers) and origins_of(after) != {old}
    moved_from = old if is_moved else None
    values["headers"], found = keep_values(headers, stored.headers, "/headers", moved_from=moved_from)
    return values, [*problems, *found]


def check_upstreams(before: Snapshot, rule: Rule, stored: Rule) -> list[Problem]:
    """The problems of the targets of a rule. Raises 422 for more targets than the tier allows.

    Stored names stay allowed, so that a rule can be changed whose provider is no longer shared.
    """
    check_most_targets(before.tenant, len(rule.targets))
    set_ones = [name for name in _KINDS if getattr(rule, name)]
    if not set_ones:
        return [Problem("/target", _NONE)]
    problems = [Problem(f"/{name}", _ONE) for name in set_ones[1:]]
    if not rule.targets:
        changed = [
            member
            for member, field in POOL_MEMBERS.items()
            if getattr(rule.policy, field) != getattr(_NO_POOL, field)
        ]
        problems += [Problem(f"/{member}", _NO_POLICY) for member in changed]
    if rule.targets and rule.headers and len(origins_of(rule)) > 1:
        problems.append(Problem("/headers", _SEVERAL))
    if rule.ai is not None:
        holding = holding_of(before)
        names = {f"/ai/providers/{i}": name for i, name in enumerate(rule.ai.providers)}
        unknown = holding.unknown_providers(names) if rule.ai != stored.ai else []
        return [*problems, *unknown, *_check_ai(rule, rule.ai, holding)]
    if rule.credential == CLIENT and len(origins_of(rule)) > 1:
        problems.append(Problem("/credential", _ONE_ORIGIN.format("The targets")))
    return problems


def upstream_warnings(after: Snapshot, rule: Rule) -> list[Problem]:
    """A warning for each thing that may not work as intended."""
    if rule.ai is None:
        return []
    providers = providers_of_rule(rule.ai, holding_of(after))
    if not providers:
        return [Problem("/ai/providers", "The tenant has no provider yet, so the rule has no models.")]
    served = served_apis({api for one in providers for api in Endpoint.of(one).apis})
    return [
        Problem(f"/ai/apis/{i}", f"No provider of the rule can be called by {api}.")
        for i, api in enumerate(rule.ai.apis or ())
        if api not in served and api not in OWN
    ]


def seal_upstreams(tenant_id: str, rule: Rule) -> Rule:
    """The rule with every header sealed for the tenant and the origin that gets it."""
    url = rule.target or next((one.url for one in rule.targets), "")
    targets = tuple(
        replace(one, headers=seal_headers(tenant_id, one.headers, one.url)) for one in rule.targets
    )
    headers = seal_headers(tenant_id, rule.headers, url) if url else {}
    return replace(rule, headers=headers, targets=targets)


def origins_of(rule: Rule) -> set[str]:
    """The origins of the targets of a rule; none of one with `ai`."""
    urls = [rule.target] if rule.target else [one.url for one in rule.targets]
    return {parse_target(url).origin for url in urls}


def _keep_targets(
    sent: Sequence[UrlTarget], stored: Sequence[UrlTarget]
) -> tuple[tuple[UrlTarget, ...], list[Problem]]:
    """The targets with their stored headers in place of `KEEP`, and their problems."""
    targets = []
    problems: list[Problem] = []
    for i, one in enumerate(sent):
        known = known_target(one, i, stored)
        headers, found = keep_values(one.headers, known.headers if known else {}, f"/targets/{i}/headers")
        problems += found
        targets.append(replace(one, headers=headers))
    return tuple(targets), problems


def known_target(one: UrlTarget, index: int, stored: Sequence[UrlTarget]) -> UrlTarget | None:
    """The stored target whose headers stay for the one at `index`. It has the same origin."""
    origin = parse_target(one.url).origin
    before = [other for other in stored if parse_target(other.url).origin == origin]
    same = [other for other in before if other.url == one.url]
    at_place = [other for other in same if stored[index : index + 1] == (other,)]
    return next(iter((*at_place, *same, *before)), None)


def _check_ai(rule: Rule, ai: AiRule, holding: Holding) -> list[Problem]:
    problems = [
        Problem(f"/{name}", _NOT_WITH_AI)
        for name in ("strip_path", "preserve_host", "headers", "ca")
        if getattr(rule, name)
    ]
    problems += _check_default(ai)
    if rule.credential != CLIENT:
        return [*problems, *([Problem("/public", _PUBLIC)] if rule.public else ())]
    origins = {Endpoint.of(one).base.origin for one in providers_of_rule(ai, holding)}
    if len(origins) != 1:
        problems.append(Problem("/credential", _ONE_ORIGIN.format("The providers of this rule")))
    return problems


def _check_default(ai: AiRule) -> list[Problem]:
    name = ai.default_model
    if name is None or ai.models is None or any(matches_glob(glob, name) for glob in ai.models):
        return []
    hint = did_you_mean(name, ai.models)
    return [Problem("/ai/default_model", f"It is not among the models of this rule.{hint}")]
