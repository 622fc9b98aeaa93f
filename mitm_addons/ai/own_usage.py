"""The response of ``GET /v1/usage``: what the API key of the request has used."""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from typing import Any, Final

import orjson
from mitmproxy import http

from mitm_addons.flows import put_response, reject_flow
from shared.core.clock import Clock
from shared.core.errors import StoreDown, make_rejection
from shared.core.memo import BoundedDict
from shared.model.messages import Headers, Response
from shared.routing.admission import Admitted
from shared.usage.reader import KeyUsage

#: Reads the usage of an API key of a tenant up to a day. Raises `StoreDown`.
Read = Callable[[str, str, date], Awaitable[KeyUsage]]

_HEAD: Final = Headers([("Content-Type", "application/json"), ("Cache-Control", "no-store")])
# Seconds for which a response is given again, and the most that are kept.
_FRESH: Final = 5.0
_KEPT: Final = 1_000


class OwnUsage:
    """Responds with the usage of keys, read from Redis at most every few seconds for each."""

    def __init__(self, read: Read, clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._known = BoundedDict[tuple[str, str], tuple[float, bytes]](_KEPT)

    async def respond(self, flow: http.HTTPFlow, admitted: Admitted) -> None:
        """Set the response for the key of an admitted request; 503 when Redis does not reply in time."""
        key, now = admitted.key, self._clock.monotonic()
        if key is None:
            return  # the request is rejected
        name = (admitted.gateway.snapshot.tenant.id, key.id)
        at, body = self._known.get(name, (now, b""))
        if not body or now - at > _FRESH:
            day = datetime.fromtimestamp(self._clock.now(), UTC).date()
            try:
                usage = await self._read(*name, day)
            except StoreDown:
                message = "The usage cannot be read now. Retry the request."
                reject_flow(flow, make_rejection("config_unavailable", message, {"Retry-After": "1"}))
                return
            body = orjson.dumps(_document(key.id, day, usage))
            self._known.keep(name, (now, body))
        put_response(flow, Response(200, _HEAD, body))


def _document(key: str, day: date, usage: KeyUsage) -> dict[str, Any]:
    return {
        "object": "usage",
        "key": key,
        "today": {"date": day.isoformat(), **usage.day.as_json()},
        "month": {"date": day.strftime("%Y-%m"), **usage.month.as_json()},
    }
