"""Budgets of a request to a model: what is reserved, what becomes of the request, and what its row counts."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from mitm_addons.ai.ledger import Ledger
from mitm_addons.flows import state_of
from shared.budgets.admission import AGAIN
from shared.budgets.compiled import RuleBudgets
from shared.budgets.reservation import Reservation
from shared.core.errors import Rejection
from shared.model.config import Rule, Tenant
from shared.model.messages import Exchange, Headers, Request
from shared.model.providers import Model, ModelTarget
from shared.routing.ai.budget_admission import budget_admission, budget_admission_of
from shared.routing.ai_calls import AiCalls
from shared.routing.ai_exchange import AiExchange
from shared.usage.row import LedgerRow
from tests.budgets.requests import NOW, budget, decided
from tests.mitm_addons.ai.calls import CHUNK, DECLARED, LAST, Clock
from tests.mitm_addons.begun import admitted, begun_flow
from tests.routing.test_ai_route import provider, route

CALLS = AiCalls(Clock(), lambda: 0.5)
ROWS: list[LedgerRow] = []
RELEASED: list[tuple[str, str, Any]] = []
LEDGER = Ledger(
    lambda row: ROWS.append(LedgerRow.parse(row.text)),
    lambda size: b"r" * size,
    lambda *released: RELEASED.append(released),
)


@pytest.fixture(autouse=True)
def _nothing_was_written() -> Iterator[None]:
    yield
    ROWS.clear()
    RELEASED.clear()


def asked(**document: Any) -> AiExchange:
    """A request to a model with a price, which goes to its target."""
    fast = Model("fast", (ModelTarget(provider="main", model="gpt-6-luna"),))
    begun = CALLS.begin("/ai/v1/chat/completions", route(provider(models=DECLARED), models={"fast": fast}))
    assert isinstance(begun, AiExchange)
    body = json.dumps({"model": "priced", "messages": [], **document}).encode()
    headers = Headers({"Content-Type": "application/json"}.items())
    request = Request("POST", "/ai/v1/chat/completions", headers, "", body)
    assert CALLS.resolve(begun, None, request) is None
    CALLS.choose(begun, None, request)
    return begun


def served(**document: Any) -> AiExchange:
    one = asked(**document)
    CALLS.begin_response(one, 200, ())
    return one


def end(one: AiExchange) -> None:
    flow = begun_flow(admitted=admitted(), ai=one)
    CALLS.end(one)
    LEDGER.add(flow, state_of(flow) or pytest.fail("no state"), one)


def reserved(one: AiExchange) -> Reservation:
    """The amounts that a budget reserves for a request that it admits."""
    rule = RuleBudgets([budget(), budget("other", scope={"provider": "other"})], "t1", "r")
    one.route.budgets = rule
    wanted = budget_admission(one, None, "rid", NOW)
    assert wanted is not None
    assert wanted.prepare() is None
    found = wanted.judge(decided([hold.limit for hold in wanted.holds], {}))
    assert isinstance(found, Reservation)
    assert one.reservation is found
    return found


def test_the_row_has_what_each_budget_counts_under_the_name_of_its_lease() -> None:
    one = served(max_tokens=100)
    reserved(one)
    CALLS.end_response(one, b'{"usage":{"prompt_tokens":10,"completion_tokens":5}}')
    end(one)
    assert (ROWS[-1].id, ROWS[-1].budgets) == ("rid", {"bud_1:1796083200": 15})
    assert not ROWS[-1].is_unreserved


def test_what_a_request_without_a_row_has_reserved_is_released() -> None:
    one = asked(max_tokens=100)
    reserved(one)
    CALLS.begin_response(one, 400, ())
    end(one)
    assert ROWS == []
    assert [(one.tenant_id, "rid", ["bud_1:1796083200"])] == RELEASED


def test_a_stream_that_budgets_count_is_counted_piece_by_piece() -> None:
    one = served(stream=True, max_tokens=100)
    assert one.open_cutter() is None
    reserved(one)
    cutter = one.open_cutter()
    assert cutter is not None
    assert cutter.allowance.reserved == 100
    pass_on = one.metered(lambda piece: piece, is_stream=True)
    pass_on(cutter.feed(CHUNK * 90))
    end(one)
    assert one.usage is not None
    assert one.usage.output == 90
    assert ROWS[-1].budgets["bud_1:1796083200"] == one.usage.input + 90


def test_the_text_of_a_stream_teaches_how_long_a_token_is() -> None:
    one = served(stream=True)
    reserved(one)
    cutter = one.open_cutter()
    assert cutter is not None
    pass_on = one.metered(lambda piece: piece, is_stream=True)
    for piece in (
        b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n' % (b"w" * 600),
        LAST.replace(b"1}", b"100}"),
    ):
        pass_on(cutter.feed(piece))
    CALLS.end_response(one, None)
    again = served(stream=True)
    reserved(again)
    later = again.open_cutter()
    assert later is not None
    assert later._bytes_per_token == 0.8 * 4.0 + 0.2 * 6.0


def test_less_output_is_asked_for_where_budgets_have_less_left() -> None:
    one = served()
    reserved(one).max_output = 7
    assert one.pool is not None
    assert one.attempt is not None
    sent = json.loads(one.begin_attempt(one.pool, one.attempt, 0.0).body or b"")
    assert 7 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))


@pytest.mark.parametrize(("unit", "is_estimated"), [("requests", False), ("tokens", True)])
def test_what_a_request_may_use_is_estimated_only_where_a_budget_counts_it(
    unit: str, is_estimated: bool
) -> None:
    one = asked()
    one.route.budgets = RuleBudgets([budget(unit=unit)], "t1", "r")
    wanted = budget_admission(one, None, "rid", NOW)
    assert wanted is not None
    assert wanted.prepare() is None
    assert (wanted.request.demand is one.demand) == is_estimated
    assert [hold.limit.cost > 1 for hold in wanted.holds] == [is_estimated]


@pytest.mark.parametrize("path", ["/ai/v1/models", "/ai/v1/usage"])
def test_a_request_that_calls_no_model_has_no_budgets(path: str) -> None:
    begun = CALLS.begin(path, route(provider(models=DECLARED)))
    assert isinstance(begun, AiExchange)
    assert budget_admission(begun, None, "rid", NOW) is None
    plain = Exchange("id", Tenant("t1", "T", "t1"), Rule("r", "/", ""), Request("GET", "/", Headers()), "")
    assert budget_admission_of(plain, "rid", NOW) is None
    assert budget_admission_of(plain._replace(metered=begun), "rid", NOW) is None


def test_another_model_that_takes_the_place_is_the_one_that_is_called() -> None:
    one = asked(max_tokens=100)
    one.route.budgets = RuleBudgets([budget(on_spent="downgrade", downgrade_to="fast")], "t1", "r")
    wanted = budget_admission(one, None, "rid", NOW)
    assert wanted is not None
    assert wanted.prepare() is None
    assert wanted.judge(decided([hold.limit for hold in wanted.holds], {"bud_1": 0})) is AGAIN
    found = wanted.judge(decided([hold.limit for hold in wanted.holds], {}))
    assert isinstance(found, Reservation)
    assert (one.asked, found.model, one.demand) == ("fast", "fast", found.demand)


def test_another_model_that_is_gone_cannot_take_the_place() -> None:
    one = asked(max_tokens=100)
    one.route.budgets = RuleBudgets([budget(on_spent="downgrade", downgrade_to="gone")], "t1", "r")
    wanted = budget_admission(one, None, "rid", NOW)
    assert wanted is not None
    assert wanted.prepare() is None
    found = wanted.judge(decided([hold.limit for hold in wanted.holds], {"bud_1": 0}))
    assert isinstance(found, Rejection)
    assert found.code == "quota_exceeded"
    assert "gone" in found.message
