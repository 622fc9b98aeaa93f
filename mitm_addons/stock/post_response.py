"""Supplies the `post_response` hook on the stock engine, which has none: once, after an exchange ended."""

import asyncio

from mitmproxy import http

from mitm_addons.stock.dispatch import Dispatcher
from shared.core import tasks


class PostResponse:
    """`response` and `error` exclude each other, so each flow gets here once. Delays nobody."""

    def __init__(self, gateway: Dispatcher) -> None:
        self._gateway = gateway

    def response(self, flow: http.HTTPFlow) -> None:
        tasks.start(self._run(flow), "post_response")

    def error(self, flow: http.HTTPFlow) -> None:
        tasks.start(self._run(flow), "post_response")

    async def _run(self, flow: http.HTTPFlow) -> None:
        # Tasks start eagerly here; let the answer go out first.
        await asyncio.sleep(0)
        await self._gateway.post_response(flow)
