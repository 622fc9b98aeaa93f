"""The helpers for tests of plugins."""

import pytest

from shared.model.config import Stage
from shared.model.messages import Exchange, Response
from shared.pipeline.plugin import CONTINUE, Plugin, Reject, Verdict
from shared.pipeline.testing import run_plugin, sample_exchange

NO = Reject(403, "no", "No.")


class Two(Plugin):
    """Has two stages."""

    name = "two"

    def pre_request(self, exchange: Exchange) -> Verdict:
        return NO if exchange.request.body == b"bad" else CONTINUE

    async def post_request(self, exchange: Exchange) -> Verdict:
        return NO if exchange.response and exchange.response.status == 500 else CONTINUE

    def pre_response(self, exchange: Exchange) -> Verdict:
        return None  # type: ignore[return-value]


def test_a_plugin_is_asked_as_the_gateway_would() -> None:
    assert run_plugin(Two(), Stage.PRE_REQUEST, sample_exchange()) == CONTINUE
    assert run_plugin(Two(), Stage.PRE_REQUEST, sample_exchange(body=b"bad")) == NO
    assert run_plugin(Two(), Stage.POST_REQUEST, sample_exchange(response=Response(500))) == NO


def test_what_would_be_a_fault_says_why() -> None:
    with pytest.raises(ValueError, match="a fault of two: it returned NoneType, not a verdict"):
        run_plugin(Two(), Stage.PRE_RESPONSE, sample_exchange())
    with pytest.raises(ValueError, match="two has no method post_response"):
        run_plugin(Two(), Stage.POST_RESPONSE, sample_exchange())
