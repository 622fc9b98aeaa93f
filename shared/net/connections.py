"""HTTP connections to checked addresses only, which are closed at the deadline of their call.

Name, SNI, certificate and Host header stay those of the URL; only the address is chosen here. A pooled
connection needs no second check, because its address does not change.
"""

import socket
import threading
from contextlib import suppress
from typing import Any, Self

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from shared.core.addresses import plain_address
from shared.core.clock import Clock
from shared.core.errors import OutsideError, TargetForbidden
from shared.net.egress import EgressProxy
from shared.net.policy import Policy
from shared.net.resolve import resolve


class Call:
    """One call and its deadline, at which its connection is closed, whatever it waits for.

    Socket timeouts are not enough: they start again with every byte of a slow service.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.is_over = False
        self._clock = clock
        self._end = clock.monotonic() + seconds
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            # Another call may use the connection from now on.
            self._socket = None

    def left(self) -> float:
        """Seconds until the deadline. Raises `OutsideError` when it has passed."""
        seconds = self._end - self._clock.monotonic()
        if self.is_over or seconds <= 0:
            raise OutsideError("The service did not respond in time.")
        return seconds

    def hold(self, sock: socket.socket) -> None:
        with self._lock:
            self._socket = sock

    def _cut(self) -> None:
        with self._lock:
            self.is_over = True
            if self._socket is not None:
                with suppress(OSError):
                    # SSLSocket.shutdown would change the socket while another thread reads it.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class Guard(threading.local):
    """The policy of the connections of one `GuardedFetch`; the current call of this thread, and its owner."""

    call: Call | None = None
    owner = ""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def connect(self, host: str, port: int) -> socket.socket:
        """A connection to one of the checked addresses of `host`. Raises `OutsideError`."""
        if self.call is None:
            raise OutsideError("A guarded connection needs a call.")
        egress = self.policy.egress
        for address in resolve(host, port, self.policy, self.call.left()):
            proxy = egress if egress and egress.is_used(host, address) else None
            try:
                sock = socket.create_connection(proxy.address if proxy else (address, port), self.call.left())
            except OSError:
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if proxy:
                self.call.hold(sock)
                return _tunnel(sock, proxy, address, port)
            if plain_address(sock.getpeername()[0]) != plain_address(address):
                sock.close()
                raise TargetForbidden("The connection is not to the address that was checked.")
            return sock
        raise OutsideError(f"The connection to {host} failed.")


def _tunnel(sock: socket.socket, proxy: EgressProxy, address: str, port: int) -> socket.socket:
    try:
        proxy.open_tunnel(sock, address, port)
    except BaseException:
        sock.close()
        raise
    return sock


class _Guarded(HTTPConnection):
    guard: Guard

    # urllib3's own SOCKS support overrides the same method.
    def _new_conn(self) -> socket.socket:
        return self.guard.connect(self.host, self.port)

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is None:
            self.connect()
        if self.guard.call is not None and self.sock is not None:
            # The socket itself, since http.client drops it when a response ends with the connection.
            self.guard.call.hold(self.sock)
        super().request(*args, **kwargs)


def pool_classes(policy_guard: Guard) -> dict[str, type[HTTPConnectionPool]]:
    """urllib3 pools by scheme, whose connections use `policy_guard`."""

    class Plain(_Guarded):
        guard = policy_guard

    class Secure(_Guarded, HTTPSConnection):
        guard = policy_guard

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


class OwnedPools(PoolManager):
    """Pools by origin and owner: a late response to one tenant must not reach another."""

    def __init__(self, guard: Guard, **options: Any) -> None:
        super().__init__(**options)
        self.pool_classes_by_scheme = pool_classes(guard)
        self._guard = guard

    def connection_from_pool_key(self, pool_key: Any, request_context: dict[str, Any]) -> HTTPConnectionPool:
        return super().connection_from_pool_key((self._guard.owner, pool_key), request_context)  # type: ignore[arg-type]
