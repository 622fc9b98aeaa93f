"""Headers of the PROXY protocol v2, as a load balancer sends them."""

from ipaddress import ip_address

SIGNATURE = bytes.fromhex("0D0A0D0A000D0A515549540A")
#: A connection of the load balancer's own, such as a health check.
LOCAL = SIGNATURE + bytes([0x20, 0x00, 0, 0])


def header(client: str, port: int = 40000, tlvs: bytes = b"", *, command: int = 0x21) -> bytes:
    """The header of a TCP connection from `client`, to the same address and port 443."""
    address = ip_address(client)
    family = 0x11 if address.version == 4 else 0x21
    body = 2 * address.packed + port.to_bytes(2) + (443).to_bytes(2) + tlvs
    return SIGNATURE + bytes([command, family]) + len(body).to_bytes(2) + body


def tlv(kind: int, value: bytes) -> bytes:
    """A field that follows the addresses."""
    return bytes([kind]) + len(value).to_bytes(2) + value
