"""Clients of redis-py whose server may change: the primary that sentinels name, or a primary of a Cluster.

Their connections ask the `Lookup` before each use, so one to a former primary is not used again. A server
that says it is a replica gets nothing.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import redis
from redis import asyncio as aioredis
from redis.backoff import NoBackoff
from redis.exceptions import AskError, ClusterDownError, MasterDownError, MovedError, ReadOnlyError
from redis.retry import Retry

from shared.redis_client.lookup import Lookup, lookup_of
from shared.redis_client.topology import EVAL, SCRIPTS, TOPOLOGY

# A server that replies so has not run the command.
_ELSEWHERE = (ReadOnlyError, MovedError, AskError, ClusterDownError, MasterDownError)


class NotPrimary(redis.ConnectionError):
    """The server is not the primary, or none is known. It has not run the command."""


def _primary(lookup: Lookup) -> tuple[str, int]:
    try:
        return lookup.primary()
    except OSError as error:
        raise NotPrimary(str(error)) from error


def _check_role(reply: Any) -> None:
    if reply[0] != b"master":
        raise NotPrimary("it is a replica")


class PrimaryConnection(redis.Connection):
    """A connection to the primary."""

    def __init__(self, *, lookup: Lookup, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._lookup = lookup

    def connect_check_health(self, check_health: bool = True, retry_socket_connect: bool = True) -> None:
        address = _primary(self._lookup)
        if self.is_connected and address != (self.host, self.port):
            self.disconnect()  # type: ignore[no-untyped-call]
        self.host, self.port = address
        super().connect_check_health(check_health, retry_socket_connect)

    def on_connect_check_health(self, check_health: bool = True) -> None:
        super().on_connect_check_health(check_health)
        self.send_command("ROLE")  # type: ignore[no-untyped-call]
        _check_role(self.read_response())

    def read_response(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().read_response(*arguments, **options)
        except _ELSEWHERE as error:
            self.disconnect()  # type: ignore[no-untyped-call]
            self._lookup.refresh_soon()
            raise NotPrimary(str(error)) from error


class PrimarySSLConnection(PrimaryConnection, redis.SSLConnection):
    """The same with TLS."""


class AsyncPrimaryConnection(aioredis.Connection):
    """A connection to the primary, of an event loop."""

    def __init__(self, *, lookup: Lookup, **options: Any) -> None:
        super().__init__(**options)
        self._lookup = lookup

    async def connect_check_health(
        self, check_health: bool = True, retry_socket_connect: bool = True
    ) -> None:
        if self._lookup.known is None:
            await asyncio.to_thread(_primary, self._lookup)
        address = _primary(self._lookup)
        if self.is_connected and address != (self.host, self.port):
            await self.disconnect()
        self.host, self.port = address
        await super().connect_check_health(check_health, retry_socket_connect)

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        await super().on_connect_check_health(check_health)
        await self.send_command("ROLE")
        _check_role(await self.read_response())

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*arguments, **options)
        except _ELSEWHERE as error:
            await self.disconnect()
            self._lookup.refresh_soon()
            raise NotPrimary(str(error)) from error


class AsyncPrimarySSLConnection(AsyncPrimaryConnection, aioredis.SSLConnection):
    """The same with TLS."""


class WholeScript:
    """A script that is sent as a whole. It is called like one of redis-py."""

    def __init__(self, client: Any, text: str) -> None:
        self._client = client
        self._text = text

    def __call__(self, keys: Sequence[str] = (), args: Sequence[Any] = (), client: Any = None) -> Any:
        return (client or self._client).eval(self._text, len(keys), *keys, *args)


class WholeScriptsRedis(redis.Redis):
    """A client of a server that takes scripts as a whole only."""

    def register_script(self, script: str) -> WholeScript:  # type: ignore[override]
        return WholeScript(self, script)


class AsyncWholeScriptsRedis(aioredis.Redis):
    """The same for an event loop."""

    def register_script(self, script: str) -> WholeScript:  # type: ignore[override]
        return WholeScript(self, script)


def open_sync(options: Mapping[str, Any], **timeouts: float) -> redis.Redis:
    """A client; `options` are keyword arguments of redis.Redis, and the topology. It repeats no call."""
    given = {**options, **timeouts}
    topology = given.pop(TOPOLOGY, None)
    client: type[redis.Redis] = WholeScriptsRedis if given.pop(SCRIPTS, None) == EVAL else redis.Redis
    if topology is None:
        return client(**given, retry=Retry(NoBackoff(), 0))
    kind = PrimarySSLConnection if given.pop("ssl", False) else PrimaryConnection
    given["lookup"] = lookup_of(topology)
    pool = redis.ConnectionPool(connection_class=kind, retry=Retry(NoBackoff(), 0), **given)
    return client.from_pool(pool)


def open_async(options: Mapping[str, Any], **timeouts: float) -> aioredis.Redis:
    """The same for an event loop."""
    given = {**options, **timeouts}
    topology, takes_text_only = given.pop(TOPOLOGY, None), given.pop(SCRIPTS, None) == EVAL
    client: type[aioredis.Redis] = AsyncWholeScriptsRedis if takes_text_only else aioredis.Redis
    if topology is None:
        return client(**given, retry=aioredis.retry.Retry(NoBackoff(), 0))
    kind = AsyncPrimarySSLConnection if given.pop("ssl", False) else AsyncPrimaryConnection
    given["lookup"] = lookup_of(topology)
    pool = aioredis.ConnectionPool(connection_class=kind, retry=aioredis.retry.Retry(NoBackoff(), 0), **given)
    return client.from_pool(pool)
