"""From a normalized path to a rule and to the path of its upstream.

The form that is matched is the form that is forwarded. So no upstream reads a path differently than the
gateway did (RFC 3986, section 6; `merge_slashes` of nginx for doubled slashes).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from shared.core.errors import Problem
from shared.core.memo import Memo
from shared.model.config import Rule
from shared.model.targets import Target, parse_target

if TYPE_CHECKING:
    from shared.routing.compile import Route


# Placeholders and regular expressions of other routers; here every character is itself. A client must send
# most of them encoded, so that such a rule never matches.
_PATTERN = re.compile(r"[*{}<>|^\[\]]|(?<=/):[A-Za-z_]|\.\+|\$$")
# The last parts of the paths of whole operations, of all providers. A base path such as /openai has none.
_OPERATIONS = (
    *("/chat/completions", "/completions", "/responses", "/embeddings", "/moderations", "/rerank"),
    *("/images/generations", "/images/edits", "/images/variations", "/audio/speech"),
    *("/audio/transcriptions", "/audio/translations", "/messages", "/messages/count_tokens"),
    *("/api/chat", "/api/generate", "/api/embed"),
)


def path_warnings(rule: Rule) -> list[Problem]:
    """Warnings about a rule that may not do what its author expects."""
    return [*_pattern_warnings(rule), *_strip_warnings(rule)]


def _pattern_warnings(rule: Rule) -> Iterator[Problem]:
    if found := _PATTERN.search(rule.path):
        base = rule.path[: found.start()].rpartition("/")[0] or "/"
        matched = "is equal to" if rule.match == "exact" else "begins with"
        yield Problem(
            "/path",
            f"The path is not a pattern: a request matches only if its path {matched} {rule.path}. "
            f"To match all paths below {base}, set path to {base} and match to prefix.",
        )
    for pointer, url in _upstreams(rule):
        if found := _PATTERN.search(parse_target(url).path):
            yield Problem(
                pointer,
                f"The target is not a template: the upstream receives {found.group()} as it is. "
                "Set target to the URL to which the path of the request is added.",
            )


def _upstreams(rule: Rule) -> Iterator[tuple[str, str]]:
    """The URLs of a rule with their pointers; none for AI."""
    if rule.target:
        yield "/target", rule.target
    for i, one in enumerate(rule.targets):
        yield f"/targets/{i}/url", one.url


def _strip_warnings(rule: Rule) -> Iterator[Problem]:
    is_whole = rule.match == "exact" or rule.path.endswith(_OPERATIONS)
    [(_, url), *_] = [*_upstreams(rule), ("", "")]
    if url and rule.strip_path and rule.path != "/" and is_whole:
        seen = upstream_path(rule, parse_target(url), rule.path)
        yield Problem(
            "/path",
            f"strip_path removes all of {rule.path}: for a request to {rule.path} the upstream receives "
            f"{seen}. Set strip_path to false if the upstream should receive the whole path.",
        )


def upstream_path(rule: Rule, target: Target, path: str) -> str:
    """The path that the upstream receives for `path`, joined with exactly one slash."""
    base = target.path.rstrip("/")
    rest = path[len(rule.path) :] if rule.strip_path and rule.path != "/" else path
    return base + rest or "/"


class _Paths(Memo[str, Sequence["Route"]]):
    """The routes that were found for the paths that were called last."""

    MAX_KEYS = 256


@dataclass(frozen=True, slots=True)
class Router:
    """The routes of all active rules of a tenant. A look-up takes one dict access per path segment."""

    exact: Mapping[str, Sequence["Route"]] = field(default_factory=dict)
    prefixes: Mapping[str, Sequence["Route"]] = field(default_factory=dict)
    _found: _Paths = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Not a method: it and the router would keep each other.
        object.__setattr__(self, "_found", _Paths(partial(_longest, self.exact, self.prefixes)))

    @classmethod
    def build(cls, routes: Iterable["Route"]) -> "Router":
        exact: dict[str, list[Route]] = {}
        prefixes: dict[str, list[Route]] = {}
        for route in routes:
            if route.rule.active:
                table = exact if route.rule.match == "exact" else prefixes
                table.setdefault(route.rule.path, []).append(route)
        return cls(exact, prefixes)

    def routes(self) -> Sequence["Route"]:
        """All routes, in no particular order."""
        tables = (self.exact, self.prefixes)
        return [route for table in tables for routes in table.values() for route in routes]

    def match_path(self, path: str) -> Sequence["Route"]:
        """The routes of the longest rule path that matches on a segment boundary; empty if none does.

        An exact rule precedes a prefix rule of the same path; the result has both.
        """
        return self._found[path]


def _longest(
    exact: Mapping[str, Sequence["Route"]], prefixes: Mapping[str, Sequence["Route"]], path: str
) -> Sequence["Route"]:
    here = path
    found = (*exact.get(path, ()), *prefixes.get(path, ()))
    while not found and here != "/":
        here = here.rpartition("/")[0] or "/"
        found = tuple(prefixes.get(here, ()))
    return found


def match_method(routes: Sequence["Route"], method: str) -> "Route | None":
    """The first of `routes` that allows `method`; a rule without methods allows all."""
    for route in routes:
        if not route.rule.methods or method in route.rule.methods:
            return route
    return None


def allowed_methods(routes: Sequence["Route"]) -> str:
    """The value of an ``Allow`` header for `routes`."""
    return ", ".join(sorted({method for route in routes for method in route.rule.methods}))


def why_not(rules: Sequence[Rule], router: Router, path: str, method: str) -> list[str | None]:
    """For each rule the reason why it does not match; None for the rule that does.

    `router` holds the routes of the rules, `path` is normalized.
    """
    nearest = router.match_path(path)
    chosen = match_method(nearest, method)
    routes = {id(route.rule): route for route in router.routes()}

    def why(rule: Rule) -> str | None:
        if chosen is not None and rule is chosen.rule:
            return None
        if not rule.active:
            return "It is not active."
        if not Router.build([routes[id(rule)]]).match_path(path):
            relation = "is not" if rule.match == "exact" else "is not below"
            return f"The path {relation} {rule.path}."
        if not any(route.rule is rule for route in nearest):
            return f"The path of the rule {nearest[0].rule.id} is longer."
        if chosen is None or (rule.methods and method not in rule.methods):
            return f"It allows {', '.join(rule.methods)}, not {method[:32]}."
        return f"The rule {chosen.rule.id} precedes it."

    return [why(rule) for rule in rules]
