"""Waits at its stage, on the event loop, before the response goes on."""

import asyncio

from marshmallow import fields

from shared.pipeline.plugin import CONTINUE, Exchange, Plugin, Verdict, setting


class SlowHook(Plugin):
    """Waits.

    >>> SlowHook.parse({"seconds": 0.5}).seconds
    0.5
    """

    reads = frozenset({"headers"})
    seconds: float = setting(fields.Float(load_default=1.0), "How long it waits.")

    async def post_request(self, exchange: Exchange) -> Verdict:
        await asyncio.sleep(self.seconds)
        return CONTINUE
