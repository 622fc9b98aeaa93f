"""Why a request meets one rule and none of the others."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.config import Rule
from shared.routing.router import Router, match_method, why_not


@dataclass(frozen=True)
class Here:
    rule: Rule


def rule(name: str, path: str, *methods: str, **more: object) -> Rule:
    return Rule(name, path, "http://upstream", methods=methods, **more)  # type: ignore[arg-type]


def reasons(rules: list[Rule], path: str, method: str = "GET") -> list[str | None]:
    return why_not(rules, Router.build(Here(one) for one in rules), path, method)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (rule("r2", "/v1/chat", active=False), "It is not active."),
        (rule("r2", "/v2"), "The path is not below /v2."),
        (rule("r2", "/v1", match="exact"), "The path is not /v1."),
        (rule("r2", "/v1"), "The path of the rule r1 is longer."),
        (rule("r2", "/v1/chat", "POST", "PUT"), "It allows POST, PUT, not GET."),
        (rule("r2", "/v1/chat"), "The rule r1 precedes it."),
    ],
)
def test_every_other_rule_has_its_reason(other: Rule, reason: str) -> None:
    assert reasons([rule("r1", "/v1/chat"), other], "/v1/chat/x") == [None, reason]


def test_why_not_names_the_method_when_no_rule_takes_it() -> None:
    assert reasons([rule("r1", "/v1", "POST")], "/v1") == ["It allows POST, not GET."]


RULES = st.lists(
    st.builds(
        lambda path, methods, match, active: rule("", path, *methods, match=match, active=active),
        st.sampled_from(["/", "/a", "/a/b", "/ab"]),
        st.lists(st.sampled_from(["GET", "POST"]), unique=True),
        st.sampled_from(["prefix", "exact"]),
        st.booleans(),
    ),
    max_size=6,
)


@given(RULES, st.sampled_from(["/", "/a", "/a/", "/a/b/c", "/ab", "/c"]), st.sampled_from(["GET", "PUT"]))
def test_the_rule_without_a_reason_is_the_one_taken(rules: list[Rule], path: str, method: str) -> None:
    router = Router.build(Here(one) for one in rules)
    route = match_method(router.match_path(path), method)
    found = [
        one for one, reason in zip(rules, why_not(rules, router, path, method), strict=True) if reason is None
    ]
    assert [id(one) for one in found] == ([id(route.rule)] if route else [])
    assert {id(one.rule) for one in router.routes()} == {id(one) for one in rules if one.active}
