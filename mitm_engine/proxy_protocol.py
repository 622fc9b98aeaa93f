"""PROXY protocol, version 2: a balancer begins each connection with the address of its client.

The source is HAProxy's doc/proxy-protocol.txt, 2.2. A header is 16 bytes, then as many as they say:

    signature (12) | version, command | family, protocol | length (2) || addresses and ports | TLVs

Only whole TCP addresses are taken. A header that says anything else is an error, since what follows it would
be served under a wrong address. TLVs are checked for their lengths, and not used.
"""

import asyncio
import socket
import struct
from collections.abc import Sequence
from ipaddress import ip_address

from shared.core.addresses import Network, is_in, plain_address

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_START = 16
#: The longest header, in bytes. A client's certificate in a TLV fits.
MAX_HEADER = 4096
_LOCAL, _PROXY = 0x20, 0x21  # version 2, and the command
# By family and protocol: the bytes of an address.
_TCP = {0x11: 4, 0x21: 16}

#: The address and the port of a client.
Peer = tuple[str, int]


class BadHeader(ValueError):
    """A connection does not begin as it must. The text says why, for the operator."""


def rest_of(start: bytes) -> int:
    """Return how many bytes follow the first 16. Raises `BadHeader`."""
    if not start.startswith(_SIGNATURE) or len(start) < _START:
        raise BadHeader("The connection does not begin with a header of the PROXY protocol v2.")
    command, family, rest = struct.unpack_from("!BBH", start, len(_SIGNATURE))
    if command not in (_LOCAL, _PROXY):
        raise BadHeader(f"The version and command 0x{command:02x} are unknown.")
    if command == _PROXY and family not in _TCP:
        raise BadHeader(f"The family and protocol 0x{family:02x} are not TCP over IPv4 or IPv6.")
    if rest > MAX_HEADER - _START:
        raise BadHeader(f"The header has more than {MAX_HEADER} bytes.")
    return int(rest)


def parse_header(start: bytes, rest: bytes) -> Peer | None:
    """Return the client that a header names; None for the command LOCAL, which names none.

    Raises `BadHeader`.
    """
    if len(rest) != rest_of(start):
        raise BadHeader("The header is not complete.")
    if start[12] == _LOCAL:
        return None  # the rest means nothing
    size = _TCP[start[13]]
    ports = 2 * size
    if len(rest) < ports + 4:
        raise BadHeader("The header is too short for its addresses.")
    address = ip_address(rest[:size])
    if address.is_unspecified or address.is_multicast:
        raise BadHeader(f"{address} is not the address of a client.")
    _check_tlvs(rest, ports + 4)
    return str(address), int.from_bytes(rest[ports : ports + 2])


def _check_tlvs(rest: bytes, begin: int) -> None:
    """Check that what follows the addresses is made of a type (1), a length (2) and as many bytes."""
    while begin < len(rest):
        begin += 3 + int.from_bytes(rest[begin + 1 : begin + 3])
    if begin > len(rest):
        raise BadHeader("A TLV is longer than the header.")


async def read_peer(client: socket.socket, balancers: Sequence[Network]) -> Peer | None:
    """Read the header from a connected socket, and no byte more. Return as `parse_header`.

    Only `balancers` may send one. This machine may send LOCAL, too, which names nobody: so its own probes
    work. Raises `BadHeader`, OSError, and TimeoutError from a deadline around it.
    """
    sender = plain_address(client.getpeername()[0])
    if not (is_trusted := is_in(sender, balancers)) and not sender.is_loopback:
        raise BadHeader(f"{sender} is not in trusted_proxies.")
    start = await _read(client, _START, _SIGNATURE)
    peer = parse_header(start, await _read(client, rest_of(start)))
    if peer is not None and not is_trusted:
        raise BadHeader(f"{sender} is not in trusted_proxies.")
    return peer


async def _read(client: socket.socket, size: int, beginning: bytes = b"") -> bytes:
    """Read so many bytes; fewer if they do not begin as expected, since more would not help."""
    loop, data = asyncio.get_running_loop(), b""
    while len(data) < size and data.startswith(beginning[: len(data)]):
        piece = await loop.sock_recv(client, size - len(data))
        if not piece:
            raise BadHeader("The connection ended within its header.")
        data += piece
    return data
