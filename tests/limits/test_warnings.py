"""What a writer of limits may not have meant."""

from typing import Any

import pytest

from shared.limits.compiled import CompiledLimit, compile_limit
from shared.limits.values import LimitMatch, LimitSpec, Quota
from shared.limits.warnings import limit_warnings

POSTS = LimitMatch(("POST",))


def compiled(
    name: str, by: str = "", rule: str | None = "r1", kind: str = "window", **more: Any
) -> CompiledLimit:
    spec = LimitSpec(name, Quota(5, 60_000), (by,) if by else (), kind)
    return compile_limit("t1", rule, spec, **more)


def test_a_limit_that_only_divides_is_told_when_it_stands_alone_at_its_level() -> None:
    (warning,) = limit_warnings([compiled("per_header:X-Team", "header:x-team")])
    assert "rule level" in warning
    assert "per_header:X-Team" in warning
    assert warning.endswith(".")


@pytest.mark.parametrize("by", ["header:x", "path", "model", "method"])
@pytest.mark.parametrize("beside", ["", "ip", "key"])
def test_it_is_fine_beside_one_that_clients_cannot_choose(by: str, beside: str) -> None:
    assert limit_warnings([compiled("divides", by), compiled("bounds", beside)]) == []
    assert limit_warnings([compiled("bounds", beside)]) == []


@pytest.mark.parametrize("beside", [{"rule": None}, {"kind": "concurrent"}, {"match": POSTS}, {"by": "path"}])
def test_one_at_another_level_or_of_other_requests_does_not_help(beside: dict[str, Any]) -> None:
    warnings = limit_warnings([compiled("per_model:*", "model"), compiled("beside", **beside)])
    assert "per_model:*" in warnings[0]


def test_one_of_the_same_requests_does_help() -> None:
    assert limit_warnings([compiled("per_path", "path", match=POSTS), compiled("global", match=POSTS)]) == []
    assert limit_warnings([compiled("per_path", "path", match=POSTS), compiled("global")]) == []


def test_a_cost_above_the_limit_is_told_since_it_admits_nothing() -> None:
    (warning,) = limit_warnings([compiled("global", cost=6)])
    assert "admits nothing" in warning
    assert limit_warnings([compiled("global", cost=5), compiled("streams", kind="concurrent", cost=9)]) == []
