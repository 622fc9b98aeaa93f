"""The decisions by the state of counters, one counter in this process, and which requests a limit counts."""

from hypothesis import given
from hypothesis import strategies as st

from shared.limits.sliding_window import BucketedWindow
from shared.limits.values import (
    BUDGET,
    EVERY,
    NEVER,
    Limit,
    LimitMatch,
    LimitState,
    Quota,
    budget_begin,
    budget_key,
    budget_name,
    decide,
)
from shared.model.messages import Headers, Request


def state(remaining: int, reset_after_ms: int, *, cost: int = 1) -> LimitState:
    limit = Limit("key", Quota(10, 1_000), "rule", f"{remaining} left", "1s", cost)
    return LimitState(limit, remaining, reset_after_ms)


def test_all_limits_with_room_admit_and_so_do_none() -> None:
    assert decide([]).allowed
    decision = decide([state(1, 500), state(2, 900, cost=2)])
    assert (decision.allowed, decision.violated, decision.retry_after_ms) == (True, None, 0)


def test_decision_names_the_first_violated_limit_and_the_longest_retry_after() -> None:
    states = [state(5, 9_000), state(0, 500), state(1, 700, cost=2)]
    decision = decide(states)
    assert (decision.allowed, decision.violated, decision.retry_after_ms) == (False, states[1].limit, 700)
    assert decision.states == states


def test_budget_with_a_debt_has_more_used_than_its_limit_and_rejects() -> None:
    key = budget_key("t1", "bud_1:1796083200")
    limit = Limit(key, Quota(10, 60_000), "budget", "monthly", "", 0, kind=BUDGET, lease="a")
    in_debt = LimitState(limit, -3, 500)
    assert (key, in_debt.used, in_debt.has_room) == ("bud:{t1}:bud_1:1796083200", 13, False)
    assert decide([in_debt]).violated == limit


def test_retry_after_is_never_if_one_limit_never_admits() -> None:
    assert decide([state(0, 500), state(3, NEVER, cost=11)]).retry_after_ms == NEVER


methods = st.lists(st.sampled_from(["GET", "POST", "PUT"]), max_size=3).map(tuple)
paths = st.lists(st.sampled_from(["/v1", "/v1/chat", "/v2/*", "/"]), max_size=3).map(tuple)
requests = st.builds(
    Request,
    st.sampled_from(["GET", "POST", "PUT"]),
    st.sampled_from(["/", "/v1", "/v1/", "/v1/chat", "/v1x", "/v2/x", "/v3"]),
    st.just(Headers()),
)


def test_limit_match_accepts_its_methods_at_and_below_its_paths() -> None:
    match = LimitMatch(("POST",), ("/v1/chat", "/v2/*"))
    assert match.takes(Request("POST", "/v1/chat/completions", Headers()))
    assert match.takes(Request("POST", "/v2/anything", Headers()))
    assert not match.takes(Request("GET", "/v1/chat", Headers()))
    assert not match.takes(Request("POST", "/v1/models", Headers()))


@given(requests)
def test_limit_match_without_methods_and_paths_accepts_every_request(request: Request) -> None:
    assert EVERY.takes(request)


@given(methods, paths, requests)
def test_limit_match_accepts_any_pair_of_its_methods_and_paths(
    methods: tuple[str, ...], paths: tuple[str, ...], request: Request
) -> None:
    by_parts = any(
        LimitMatch((method,) if method else (), (path,) if path else ()).takes(request)
        for method in methods or ("",)
        for path in paths or ("",)
    )
    assert LimitMatch(methods, paths).takes(request) is by_parts


@given(methods, paths)
def test_a_match_in_another_order_has_the_same_text(methods: tuple[str, ...], paths: tuple[str, ...]) -> None:
    again = LimitMatch(methods[::-1] + methods[:1], paths[::-1] + paths[:1])
    assert LimitMatch(methods, paths).text == again.text


def test_limit_match_has_a_unique_text_that_is_empty_for_every_request() -> None:
    assert EVERY.text == ""
    texts = {
        LimitMatch(*given).text
        for given in [(("GET",), ()), ((), ("/GET",)), (("GET",), ("/",)), ((), ("/",))]
    }
    assert len(texts) == 4


SECOND = 1_000_000


def test_an_empty_window_has_nothing_to_wait_for() -> None:
    window = BucketedWindow(10_000)
    assert (window.total(5 * SECOND), window.wait_ms(5 * SECOND, 1)) == (0, 0)


def test_charge_counts_for_the_window_and_at_most_a_64th_more() -> None:
    window = BucketedWindow(64_000)
    window.charge(100_500_000, 3)
    assert window.total(100_500_000 + 64 * SECOND) == 3
    assert window.total(165 * SECOND - 1) == 3
    assert window.total(165 * SECOND) == 0


def test_the_wait_is_as_long_as_the_units_need() -> None:
    window = BucketedWindow(64_000)
    for second, cost in ((100, 1), (110, 2), (120, 4)):
        window.charge(second * SECOND, cost)
    waits = [window.wait_ms(120 * SECOND, units) for units in range(1, 8)]
    assert waits == [45_000, 55_000, 55_000, 65_000, 65_000, 65_000, 65_000]


def test_a_clock_that_goes_back_charges_the_newest_bucket() -> None:
    window = BucketedWindow(64_000)
    window.charge(100 * SECOND, 1)
    window.charge(40 * SECOND, 1)
    assert window.total(40 * SECOND) == 2
    assert window.total(35 * SECOND) == 0
    assert window.total(164 * SECOND) == 2
    assert window.total(165 * SECOND) == 0


def test_a_window_that_64_does_not_divide_is_never_cut_short() -> None:
    window = BucketedWindow(7_001)
    window.charge(0, 1)
    assert window.total(7_001_000) == 1


def test_name_of_a_budget_has_the_begin_of_its_period() -> None:
    name = budget_name("bud_1", 1_796_083_200)
    assert (name, budget_begin(name)) == ("bud_1:1796083200", 1_796_083_200)
    assert [budget_begin(other) for other in (budget_name("bud_1", -3_600), "bud_1", "bud_1:x")] == [
        -3_600,
        None,
        None,
    ]
