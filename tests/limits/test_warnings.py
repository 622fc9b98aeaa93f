"""What a writer of limits may not have meant."""

from typing import Any

import pytest

from shared.limits.compiled import LimitTemplate, limit_template
from shared.limits.match import LimitMatch
from shared.limits.values import Quota
from shared.limits.warnings import limit_warnings
from shared.limits.written import WrittenLimit

POSTS = LimitMatch(("POST",))


def template(
    name: str, by: str = "", rule: str | None = "r1", kind: str = "window", **more: Any
) -> LimitTemplate:
    written = WrittenLimit(name, Quota(5, 60_000), (by,) if by else (), kind)
    return limit_template("t1", rule, written, **more)


def test_a_limit_that_only_divides_is_told_when_it_stands_alone_at_its_level() -> None:
    (warning,) = limit_warnings([template("per_header:X-Team", "header:x-team")])
    assert "rule level" in warning
    assert "per_header:X-Team" in warning
    assert warning.endswith(".")


@pytest.mark.parametrize("by", ["header:x", "path", "model", "method"])
@pytest.mark.parametrize("beside", ["", "ip", "key"])
def test_it_is_fine_beside_one_that_clients_cannot_choose(by: str, beside: str) -> None:
    assert limit_warnings([template("divides", by), template("bounds", beside)]) == []
    assert limit_warnings([template("bounds", beside)]) == []


@pytest.mark.parametrize(
    "beside",
    [
        {"rule": None},
        {"kind": "concurrent"},
        {"match": POSTS},
        {"by": "path"},
    ],
)
def test_one_at_another_level_or_of_other_requests_does_not_help(beside: dict[str, Any]) -> None:
    warnings = limit_warnings([template("per_model:*", "model"), template("beside", **beside)])
    assert "per_model:*" in warnings[0]


def test_one_of_the_same_requests_does_help() -> None:
    assert limit_warnings([template("per_path", "path", match=POSTS), template("global", match=POSTS)]) == []
    assert limit_warnings([template("per_path", "path", match=POSTS), template("global")]) == []


def test_a_cost_above_the_limit_is_told_since_it_admits_nothing() -> None:
    (warning,) = limit_warnings([template("global", cost=6)])
    assert "admits nothing" in warning
    assert limit_warnings([template("global", cost=5), template("streams", kind="concurrent", cost=9)]) == []
