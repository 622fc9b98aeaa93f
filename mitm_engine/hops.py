"""What belongs to one connection, and is not passed on to the next (RFC 9110, 7.6.1)."""

from collections.abc import Iterable

Fields = tuple[tuple[bytes, bytes], ...]

#: The headers of one connection, in lower case; old software still uses some of the names.
HOP_BY_HOP = (
    b"connection",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
)
# What a Connection header may not name away: routing, framing, and what tells who somebody is.
_KEPT = frozenset(
    (
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"cookie",
        b"host",
        b"transfer-encoding",
        b"x-request-id",
    )
)


def named_by(values: Iterable[bytes]) -> frozenset[bytes]:
    """What Connection headers with these values name, in lower case; options like ``close`` among it."""
    named = frozenset([name.strip() for name in b",".join(values).lower().split(b",")]) - _KEPT
    return frozenset([name for name in named if not name.startswith(b"x-forwarded-")])


def without_connection(fields: Fields) -> Fields:
    """The fields without Connection, and without what it names."""
    gone = named_by([value for name, value in fields if name.lower() == b"connection"]) | {b"connection"}
    return tuple([field for field in fields if field[0].lower() not in gone])
