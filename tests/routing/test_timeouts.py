"""How long an upstream is waited for."""

from shared.model.rule_timeouts import RuleTimeouts
from shared.routing.timeouts import UpstreamTimeouts


def test_a_rule_without_its_own_waits_as_the_operator_says() -> None:
    operator = UpstreamTimeouts(1, 2, 3, 4)
    assert operator.with_own(RuleTimeouts()) == operator


def test_timeouts_of_a_rule_override_those_of_the_operator() -> None:
    assert UpstreamTimeouts(1, 2, 3, 4).with_own(RuleTimeouts(5, 6, 7, 8)) == UpstreamTimeouts(5, 6, 7, 8)
