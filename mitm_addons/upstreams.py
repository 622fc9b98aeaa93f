"""The address of every connection to an upstream: resolved, checked and set here."""

from collections.abc import Awaitable, Callable, Sequence

from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from mitm_addons.flows import state_of_client
from mitm_addons.wire_errors import FORBIDDEN, UNRESOLVED
from shared.core.clock import Clock
from shared.core.errors import OutsideError, TargetForbidden
from shared.net.egress import EgressProxy
from shared.net.resolver import FailedAddresses

#: Returns the addresses of a host and port, all of them checked, in the order in which to try them.
#: Raises `TargetForbidden`, or `OutsideError` if the name does not resolve.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class Upstreams:
    """Resolves and checks the name of every upstream; nothing else in the proxy does.

    After a failed connection an address is tried last for a while. Connections lead through the proxy
    `egress`, if there is one, to the same addresses.
    """

    def __init__(self, resolve: Resolve, clock: Clock, egress: EgressProxy | None = None) -> None:
        self._resolve = resolve
        self._clock = clock
        self._egress = egress
        self._failed = FailedAddresses()

    async def server_connect(self, data: ServerConnectionHookData) -> None:
        if data.server.address is None:
            data.server.error = FORBIDDEN
            return
        host, port = data.server.address[:2]
        try:
            addresses = await self._resolve(host, port)
        except TargetForbidden as error:
            _reject(data, FORBIDDEN, "forbidden", error)
        except OutsideError as error:
            _reject(data, UNRESOLVED, "dns", error)
        else:
            address = self._failed.first(host, port, addresses, self._clock.monotonic())
            data.server.address = address, port
            data.server.gateway_host = host
            if self._egress and self._egress.is_used(host, address):
                data.server.via = ("http", self._egress.address)
            _count(data, address)

    def server_connect_error(self, data: ServerConnectionHookData) -> None:
        """Note the address. Also after the client gave up: many wait less long than the connect timeout."""
        host = getattr(data.server, "gateway_host", None)
        if host is not None and data.server.address is not None:
            address, port = data.server.address[:2]
            self._failed.add(host, port, address, self._clock.monotonic())


def _reject(data: ServerConnectionHookData, message: str, cause: str, why: OutsideError) -> None:
    """Make the engine reject the connection with `message`, and keep the reason for the log."""
    data.server.error = message
    if state := state_of_client(data.client):
        state.call.cause, state.call.detail = cause, str(why)


def _count(data: ServerConnectionHookData, address: str) -> None:
    """Count the address. After a failure the engine asks again, and may get the same one."""
    state = state_of_client(data.client)
    if state and state.call.address != address:
        state.call.address = address
        state.call.tried += 1
