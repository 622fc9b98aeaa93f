"""The errors of Redis as those of the store, with a text for callers. The messages contain no addresses."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from redis import (
    AuthenticationError,
    BusyLoadingError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import NoPermissionError, RedisClusterException

from shared.core.errors import BadRecord, StoreDown

# How Redis 7.0 and Valkey 9 reject a command in a script. Others say NOPERM there, too.
_IN_SCRIPT = ("The user executing the script can't", "ACL failure in script")


def is_forbidden(error: RedisError) -> bool:
    """Whether the user of Redis lacks the permission (ACL)."""
    return isinstance(error, NoPermissionError) or any(text in str(error) for text in _IN_SCRIPT)


# The texts for callers about an error of Redis, with the test for it.
_CAUSES: Sequence[tuple[Callable[[RedisError], bool], str]] = (
    (
        lambda error: isinstance(error, OutOfMemoryError),
        "The configuration store is out of memory. Raise its maxmemory, or free memory in it.",
    ),
    (
        lambda error: "MISCONF" in str(error),
        "The configuration store cannot write to its disk. Free space on its disk.",
    ),
    (
        lambda error: isinstance(error, ReadOnlyError),
        "The configuration store is a read-only replica. Set redis.host or redis.url to the primary.",
    ),
    (
        lambda error: isinstance(error, AuthenticationError) or is_forbidden(error),
        "The configuration store rejects the gateway's password or user. Check redis.password and its ACL.",
    ),
    (
        lambda error: isinstance(error, BusyLoadingError),
        "The configuration store is loading its data. Retry in a moment.",
    ),
)


@contextmanager
def redis_errors(record: str = "") -> Iterator[None]:
    """Convert the errors of redis-py.

    A key of the wrong type is a `BadRecord` of the tenant, or the platform, with the id `record`. Every other
    error is `StoreDown`.
    """
    try:
        yield
    except RedisClusterException as error:  # is not one of them
        raise StoreDown(f"The Cluster does not respond: {error}") from error
    except RedisError as error:
        if record and isinstance(error, ResponseError) and "WRONGTYPE" in str(error):
            raise BadRecord(f"The stored record of {record} cannot be read: {error}") from error
        detail = next((text for has, text in _CAUSES if has(error)), None)
        if detail:
            raise StoreDown(f"Redis rejected a command: {error}", detail) from error
        if isinstance(error, ResponseError):
            detail = "The configuration store rejected a command. The log of the admin API has its text."
            raise StoreDown(f"Redis rejected a command: {error}", detail) from error
        raise StoreDown(f"Redis does not respond ({type(error).__name__}).") from error
