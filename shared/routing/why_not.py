"""Why a request meets one rule of its tenant and none of the others."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.model.config import Rule
from shared.routing.router import Routed, Router, match_method


def why_not[R: Routed](rules: Sequence[Rule], router: Router[R], path: str, method: str) -> list[str | None]:
    """For each rule a sentence that says why it is not the one; None for the one that is.

    `router` holds the rules, `path` is normalized. Every answer comes from the router's own look-ups.
    """
    routes = router.match_path(path)
    chosen = match_method(routes, method)
    nearest = [route.rule for route in routes]

    def why(rule: Rule) -> str | None:
        if chosen is not None and rule is chosen.rule:
            return None
        if not rule.active:
            return "It is not active."
        if not Router.build([_Alone(rule)]).match_path(path):
            relation = "is not" if rule.match == "exact" else "is not below"
            return f"The path {relation} {rule.path}."
        if rule not in nearest:
            return f"The path of the rule {nearest[0].id} is longer."
        if chosen is None or (rule.methods and method not in rule.methods):
            return f"It takes {', '.join(rule.methods)}, not {method[:32]}."
        return f"The rule {chosen.rule.id} comes before it."

    return [why(rule) for rule in rules]


@dataclass(frozen=True, slots=True)
class _Alone:
    """A rule on a router of its own."""

    rule: Rule
