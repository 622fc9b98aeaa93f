"""Connections through the egress proxy: it gets CONNECT, and then passes the bytes on (RFC 9110, 9.3.6)."""

import asyncio

from mitmproxy.connection import Address

from shared.core.connect_tunnel import HEAD_END, MAX_CONNECT_HEAD, connect_failure, connect_head


class ProxyFailed(ConnectionError):
    """The egress proxy opened no tunnel."""


class _Connect(asyncio.Protocol):
    """Waits for the response to CONNECT."""

    def __init__(self) -> None:
        self._reply = bytearray()
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # until connection_made
        self.failure: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._reply += data
        if HEAD_END in self._reply or len(self._reply) > MAX_CONNECT_HEAD:
            self._transport.pause_reading()  # what follows is for the next protocol
            self._end(connect_failure(bytes(self._reply)))

    def connection_lost(self, error: Exception | None) -> None:
        self._end("The egress proxy closed the connection.")

    def _end(self, failure: str) -> None:
        if not self.failure.done():
            self.failure.set_result(failure)


async def open_tunnel(
    address: Address, proxy: tuple[str, int], authorization: str | None
) -> asyncio.Transport:
    """Connect to `address` through `proxy`. Raises `ProxyFailed`, and TimeoutError.

    `authorization` are the credentials for the proxy. The transport is paused, and has no protocol yet that
    reads from it.
    """
    try:
        transport, connect = await asyncio.get_running_loop().create_connection(_Connect, *proxy)
        try:
            transport.write(connect_head(*address[:2], authorization))
            failure = await connect.failure
            if failure:
                raise ConnectionError(failure)
        except BaseException:
            transport.abort()
            raise
    except TimeoutError:
        raise
    except OSError as error:
        raise ProxyFailed(f"The egress proxy: {error}") from None
    return transport
