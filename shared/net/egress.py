"""The HTTP proxy of the operator through which the gateway leaves its network, for all outgoing calls."""

import base64
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from shared.core.addresses import Network, is_address, is_in, plain_address
from shared.core.connect_tunnel import HEAD_END, MAX_CONNECT_HEAD, connect_failure, connect_head
from shared.core.errors import OutsideError


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressProxy:
    """An HTTP proxy that opens tunnels with CONNECT (RFC 9110, 9.3.6).

    Attributes:
        address: its host and port. The operator chose it, so it is not judged.
        authorization: the value of Proxy-Authorization; None without credentials.
        direct_hosts: names that are called directly, with all names below them.
        direct_networks: networks that are called directly. With `resolves`, only of addresses in URLs.
        resolves: True if the proxy resolves names. Then it has to check the addresses of names, too.
    """

    address: tuple[str, int]
    authorization: str | None = field(default=None, repr=False)
    direct_hosts: tuple[str, ...] = ()
    direct_networks: tuple[Network, ...] = ()
    resolves: bool = False

    def resolves_name(self, host: str) -> bool:
        """Whether the proxy, and not the gateway, resolves and judges the name `host`."""
        return self.resolves and not is_address(host) and not self._is_direct_host(host)

    def is_used(self, host: str, address: str) -> bool:
        """Whether a connection to `address`, found for `host`, leads through the proxy."""
        if self._is_direct_host(host):
            return False
        return not (is_address(address) and is_in(plain_address(address), self.direct_networks))

    def _is_direct_host(self, host: str) -> bool:
        return any(host == direct or host.endswith(f".{direct}") for direct in self.direct_hosts)

    def open_tunnel(self, sock: socket.socket, address: str, port: int) -> None:
        """Make `sock`, which leads to the proxy, a connection to the address. Raises `OutsideError`."""
        sock.sendall(connect_head(address, port, self.authorization))
        reply = b""
        # Byte by byte: what follows the head belongs to the tunnel.
        while not reply.endswith(HEAD_END) and len(reply) < MAX_CONNECT_HEAD and (piece := sock.recv(1)):
            reply += piece
        if failure := connect_failure(reply):
            raise OutsideError(failure)


def parse_egress_proxy(
    url: str, *, no_proxy: Iterable[str | Network] = (), resolves: bool = False
) -> EgressProxy:
    """Parse the URL of the proxy, such as ``http://user:password@proxy.internal:3128``.

    `no_proxy` has names and networks. Raises ValueError with a clause that says what is allowed.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "http" or not parts.hostname or port is None or parts.path.strip("/") or parts.query:
        raise ValueError("must be http://host:port, with user:password@ if the proxy asks for them")
    direct = tuple(no_proxy)
    return EgressProxy(
        address=(parts.hostname, port),
        authorization=_basic(parts.username, parts.password),
        direct_hosts=tuple(one for one in direct if isinstance(one, str)),
        direct_networks=tuple(one for one in direct if not isinstance(one, str)),
        resolves=resolves,
    )


def _basic(user: str | None, password: str | None) -> str | None:
    """Basic credentials (RFC 7617); None without a user."""
    if user is None:
        return None
    return "Basic " + base64.b64encode(f"{unquote(user)}:{unquote(password or '')}".encode()).decode()
