"""A key reads what it has used itself."""

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from mitm_addons.ai.own_usage import OwnUsage
from shared.core.errors import Rejection, StoreDown
from shared.model.config import ApiKey
from shared.model.messages import Headers, Request, Response
from shared.providers.calls import ApiCall
from shared.routing.ai_exchange import AiExchange
from shared.usage.aggregates import Totals
from shared.usage.reader import KeyUsage
from tests.mitm_addons.ai.calls import CALLS, Clock
from tests.mitm_addons.begun import admitted, begun_flow
from tests.routing.test_ai_route import provider, route

KEY = ApiKey("key_1", "k", "gwk_x", "hash")
TODAY = Totals(calls=1, input=10, output=5, cost_nano=1_500_000_000)


class Usage:
    """The usage in Redis; `is_away` while Redis does not reply."""

    def __init__(self, *, is_away: bool = False) -> None:
        self.is_away = is_away
        self.asked: list[tuple[str, str, date]] = []

    async def read(self, tenant: str, key: str, day: date) -> KeyUsage:
        self.asked.append((tenant, key, day))
        if self.is_away:
            raise StoreDown("away")
        return KeyUsage(TODAY, TODAY.plus(TODAY))


async def responses(usage: Usage, count: int = 1) -> list[Any]:
    own = OwnUsage(usage.read, Clock())
    found = []
    for _ in range(count):
        one = replace(admitted(), key=KEY)
        flow = begun_flow(has_response=False, admitted=one)
        await own.respond(flow, one)
        found.append(flow.response)
    return found


async def test_a_key_sees_its_numbers_of_today_and_of_this_month() -> None:
    usage = Usage()
    [response] = await responses(usage)
    numbers = {"calls": 1, "input": 10, "output": 5, "cached": 0, "unpriced": 0, "cost": "1.5"}
    twice = {"calls": 2, "input": 20, "output": 10, "cached": 0, "unpriced": 0, "cost": "3"}
    assert json.loads(response.raw_content) == {
        "object": "usage",
        "key": "key_1",
        "today": {"date": "2026-12-01", **numbers},
        "month": {"date": "2026-12", **twice},
    }
    assert usage.asked == [("t", "key_1", date(2026, 12, 1))]


async def test_redis_is_not_asked_for_each_request() -> None:
    usage = Usage()
    first, second = await responses(usage, 2)
    assert first.raw_content == second.raw_content
    assert len(usage.asked) == 1


async def test_a_request_is_rejected_while_redis_is_away() -> None:
    [response] = await responses(Usage(is_away=True))
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")


@pytest.mark.parametrize(
    ("method", "key", "code"),
    [("GET", KEY, None), ("GET", None, "missing_api_key"), ("POST", KEY, "method_not_allowed")],
)
@pytest.mark.parametrize("apis", [None, ("openai.chat",)])
def test_usage_is_for_requests_with_a_key(
    method: str, key: ApiKey | None, code: str | None, apis: tuple[str, ...] | None
) -> None:
    begun = CALLS.begin("/ai/v1/usage", route(provider(), apis=apis))
    assert isinstance(begun, AiExchange)
    assert begun.call == ApiCall("usage", "/usage")
    request = Request(method, "/ai/v1/usage", Headers(), "", b"")
    assert CALLS.resolve(begun, key, request) is None
    found = CALLS.choose(begun, key, request)
    assert isinstance(found, Rejection if code else Response)
    assert getattr(found, "code", None) == code
    begun.settle(0.0, is_complete=True)
    assert begun.usage is None
