"""Observes requests after their end, all those of one turn of the event loop together."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from mitm_addons.flows import GatewayFlow
from mitm_engine.metrics import Metrics as EngineMetrics

logger = logging.getLogger(__name__)

#: The hook `post_response` of an addon that waits for nothing, and that no response waits for.
Observe = Callable[[GatewayFlow], None]
#: The most requests that are kept, with their bodies, until they are observed.
MAX_KEPT: Final = 128


class TurnEnd:
    """Calls addons that only observe, when a turn of the event loop is over: each for all requests at once.

    Under load, many requests end in one turn. Their responses go out first. To do one thing for all of them
    costs less than to do it between their responses, because the code stays in the caches of the processor:
    6 % of all that a worker does for a request. One that ends while no other is open is observed at once.
    """

    def __init__(
        self, observers: Sequence[Observe], engine: Callable[[], EngineMetrics | None] = lambda: None
    ) -> None:
        """Call `observers` in their order.

        `engine` returns the counters of the engine, if it has some.
        """
        self._observers = observers
        self._engine = engine
        self._over: list[GatewayFlow] = []

    def post_response(self, flow: GatewayFlow) -> None:
        if self._over:
            self._over.append(flow)
            if self._over[MAX_KEPT - 1 :]:  # `len` would be a call
                self.flush()
            return
        counters = self._engine()
        if counters is not None and counters.in_flight == 0:
            self._observe((flow,))
        else:
            self._over.append(flow)
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Observe the requests that are over."""
        over, self._over = self._over, []
        self._observe(over)

    def _observe(self, flows: Iterable[GatewayFlow]) -> None:
        for observe in self._observers:
            for flow in flows:
                try:
                    observe(flow)
                except Exception:  # as in other final hooks: an error stops nothing else
                    logger.exception("An addon failed in a final hook.")
