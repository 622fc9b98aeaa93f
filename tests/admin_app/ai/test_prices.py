"""The platform's prices over HTTP."""

from typing import Any

import pytest

from shared.documents.ai import examples
from tests.admin_app.world import Api, error_of, pointers

OWN = {"openai/gpt-5.6": {"input": "1.80", "output": "7.20"}}


def prices(api: Api) -> Any:
    return api.get("/prices").get_json()["prices"]


def test_prices_are_read_replaced_and_changed_model_by_model(api: Api) -> None:
    assert prices(api) == {}
    response = api.put("/prices", examples.PRICES)
    assert response.get_json() == {**examples.PRICES, "warnings": []}
    assert api.get("/prices").headers["ETag"] == response.headers["ETag"]
    more = {"custom/own/model": {"input": "0.5", "output": "1"}, "openai/gpt-5.6": {"input": "2"}}
    assert api.patch("/prices", {"prices": more}).status_code == 200
    assert prices(api) == more
    assert api.patch("/prices", {}).status_code == 200
    assert api.patch("/prices", {"prices": {"custom/own/model": None}}).status_code == 200
    assert prices(api) == {"openai/gpt-5.6": {"input": "2"}}
    assert api.put("/prices", {"prices": {}}).status_code == 200
    assert prices(api) == {}


def test_providers_and_models_of_the_platform_stay_when_prices_change(api: Api) -> None:
    api.create("/providers", {"name": "main", "kind": "openai", "keys": [{"secret": "sk-0123456789abcdef"}]})
    api.put("/prices", {"prices": OWN})
    assert api.get("/providers").get_json()["count"] == 1
    api.create("/providers", {"name": "two", "kind": "openai", "keys": [{"secret": "sk-0123456789abcdef"}]})
    assert prices(api) == OWN


@pytest.mark.parametrize(
    ("sent", "at"),
    [
        ({"openai": {}}, "/prices/openai"),
        ({"opena/gpt": {}}, "/prices/opena~1gpt"),
        ({"openai/": {}}, "/prices/openai~1"),
        ({"openai/a\nb": {}}, "/prices/openai~1a\nb"),
        ({"openai/m": {"inputs": "1"}}, "/prices/openai~1m/inputs"),
        ({"openai/m": {"input": "free"}}, "/prices/openai~1m/input"),
        ({"openai/m": {"input": 1}}, "/prices/openai~1m/input"),
    ],
)
def test_a_wrong_price_is_told_with_its_place(api: Api, sent: Any, at: str) -> None:
    for call in (api.put, api.patch):
        assert pointers(call("/prices", {"prices": sent})) == [at]
    assert prices(api) == {}


def test_null_is_a_price_only_where_a_change_removes_one(api: Api) -> None:
    assert api.put("/prices", {"prices": {"openai/m": None}}).status_code == 422
    assert api.put("/prices", {}).status_code == 422


def test_a_model_whose_tokens_would_cost_nothing_is_a_warning(api: Api) -> None:
    sent = {
        "custom/own": {"input": "1"},
        "openai/gpt-4o": {"input": "1"},
        "custom/both": OWN["openai/gpt-5.6"],
    }
    warnings = api.put("/prices", {"prices": sent}).get_json()["warnings"]
    assert [one["pointer"] for one in warnings] == ["/prices/custom~1own"]


def test_a_change_of_old_prices_is_rejected(api: Api) -> None:
    old = {"If-Match": api.get("/prices").headers["ETag"]}
    assert api.put("/prices", {"prices": OWN}, headers=old).status_code == 200
    assert error_of(api.patch("/prices", {"prices": {}}, headers=old)) == (412, "precondition_failed")
