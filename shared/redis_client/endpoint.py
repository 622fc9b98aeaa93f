"""The address of a Redis, and the first commands of each connection."""

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import SSLConnection

Command = tuple[str | bytes | int, ...]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host and port, or the path of a unix socket.

    Attributes:
        path: of a unix socket; None when host and port are used.
        tls: None without TLS.
        login: commands for each new connection: AUTH and SELECT.
        must_be_primary: whether a replica is not to be used.
    """

    host: str
    port: int
    path: str | None
    tls: ssl.SSLContext | None
    login: Sequence[Command]
    must_be_primary: bool = False

    async def connect[P: asyncio.Protocol](self, protocol: Callable[[], P]) -> P:
        """A connection with this `protocol`. Raises OSError, or UnicodeError when the host is not a name."""
        loop = asyncio.get_running_loop()
        if self.path is not None:
            return (await loop.create_unix_connection(protocol, self.path))[1]
        return (await loop.create_connection(protocol, self.host, self.port, ssl=self.tls))[1]


def endpoint(options: Mapping[str, Any]) -> Endpoint:
    """The endpoint in keyword arguments of redis.Redis.

    Raises OSError when a certificate cannot be read, redis.RedisError on an unknown option of TLS.
    """
    tls = None
    if options.get("ssl"):
        named = {name: value for name, value in options.items() if name.startswith("ssl_")}
        tls = SSLConnection(**named).ssl_context.get()
    host, port = options.get("host", "localhost"), options.get("port", 6379)
    login: list[Command] = []
    if options.get("password"):
        user = [options["username"]] if options.get("username") else []
        login.append(("AUTH", *user, options["password"]))
    if options.get("db"):
        login.append(("SELECT", options["db"]))
    return Endpoint(host, port, options.get("unix_socket_path"), tls, login)
