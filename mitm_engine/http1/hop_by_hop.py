"""What belongs to one connection, and is not passed on to the next (RFC 9110, 7.6.1)."""

from functools import lru_cache

from mitm_engine.http1.header_names import HeaderNames

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


_CONNECTION = HeaderNames((b"connection",))
# What a Connection header says of its own connection, and which names no header.
_OPTIONS = frozenset((b"close", b"keep-alive"))


@lru_cache(256)  # the same few; who sends others pays for it
def named_by(values: tuple[bytes, ...]) -> frozenset[bytes]:
    """What Connection headers with these values name, in lower case; options like ``close`` among it."""
    named = frozenset([name.strip() for name in b",".join(values).lower().split(b",")]) - _KEPT
    return frozenset([name for name in named if not name.startswith(b"x-forwarded-")])


def without_connection(fields: Fields, values: tuple[bytes, ...]) -> Fields:
    """The fields without Connection, and without what its `values` name."""
    kept = [field for field in fields if _CONNECTION[field[0]] is None]
    if named := named_by(values) - _OPTIONS:
        kept = [field for field in kept if field[0].lower() not in named]
    return tuple(kept)
