"""/prices: the platform's prices of models, which replace those of the shipped table."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import Response
from flask.views import MethodView

from admin_app.auth.access import Access, requires
from admin_app.changes.platform import change_platform, platform
from admin_app.context import services
from admin_app.http.errors import problem_documents
from admin_app.http.openapi import Blueprint
from admin_app.http.responses import check_match, response
from shared.core.errors import Problem
from shared.core.json_pointer import escape_step
from shared.documents.ai import examples
from shared.documents.ai.provider_model import (
    PlatformPrices,
    PlatformPricesChanged,
    PlatformPricesOutput,
    PlatformPricesPatch,
)
from shared.documents.examples import changed
from shared.model.providers import PlatformDocument
from shared.providers.shipped.model_table import ModelTable, shipped_models
from shared.usage.row import day_of

blueprint = Blueprint("prices", __name__, "The platform's prices of models.")

#: Prices of models by ``<kind>/<model>``.
type _Prices = Mapping[str, Mapping[str, str]]


@blueprint.route("/prices")
class Prices(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("readPrices")
    @blueprint.responses(200, PlatformPricesOutput, example=examples.PRICES)
    def get(self) -> Response:
        """Read the platform's prices

        They replace those of the shipped table, unit by unit. Those of a provider's model replace both.
        """
        return response(_document(platform().prices))

    @requires(Access.PLATFORM)
    @blueprint.operation("replacePrices")
    @blueprint.reads(PlatformPrices, example=examples.PRICES)
    @blueprint.responses(200, PlatformPricesChanged, example=changed(examples.PRICES))
    def put(self, sent: dict[str, Any]) -> Response:
        """Replace the platform's prices"""
        return _change({}, sent["prices"])

    @requires(Access.PLATFORM)
    @blueprint.operation("updatePrices")
    @blueprint.reads(PlatformPricesPatch(partial=True), example=examples.PRICES)
    @blueprint.responses(200, PlatformPricesChanged, example=changed(examples.PRICES))
    def patch(self, sent: dict[str, Any]) -> Response:
        """Change the platform's prices of some models

        The prices of a model are replaced as a whole; null removes them.
        """
        return _change(None, sent.get("prices", {}))


def _change(kept: _Prices | None, sent: Mapping[str, Mapping[str, str] | None]) -> Response:
    """Write the prices that are sent, beside those that are kept; None: all that are stored."""

    def change(before: PlatformDocument) -> PlatformDocument:
        check_match(_document(before.prices))
        both = {**(before.prices if kept is None else kept), **sent}
        prices = {name: dict(one) for name, one in both.items() if one}
        return replace(before, prices=prices, updated_at=services().clock.now())

    prices = change_platform(change).prices
    return response(_document(prices), extra={"warnings": _warnings(prices)})


def _document(prices: _Prices) -> dict[str, Any]:
    return {"prices": {name: dict(prices[name]) for name in sorted(prices)}}


def _warnings(prices: _Prices) -> list[dict[str, str]]:
    """A warning for each model whose calls cost nothing, because no price of their tokens is known."""
    day, table = day_of(services().clock.now()), shipped_models()
    return problem_documents(
        Problem(
            f"/prices/{escape_step(name)}",
            f"The shipped table has no prices of {name}: without input and output, its tokens cost nothing.",
        )
        for name, units in sorted(prices.items())
        if not {"input", "output"} <= units.keys() and not _is_shipped(table, name, day)
    )


def _is_shipped(table: ModelTable, name: str, day: str) -> bool:
    kind, _, model = name.partition("/")
    return table.prices(kind, model, day=day) is not None
