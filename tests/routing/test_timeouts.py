"""How long an upstream is waited for."""

import doctest

from shared.model.config import Timeouts
from shared.routing import timeouts as waits
from shared.routing.timeouts import Waits


def test_the_example_holds() -> None:
    assert doctest.testmod(waits).failed == 0


def test_a_rule_without_its_own_waits_as_the_operator_says() -> None:
    operator = Waits(1, 2, 3, 4)
    assert operator.with_own(Timeouts()) == operator


def test_each_of_a_rules_own_stands_before_the_operators() -> None:
    assert Waits(1, 2, 3, 4).with_own(Timeouts(5, 6, 7, 8)) == Waits(5, 6, 7, 8)
