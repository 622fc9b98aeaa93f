"""Where a Redis listens, and what it wants to hear before anything else."""

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import SSLConnection

Command = tuple[str | bytes | int, ...]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host and port, with TLS or without, or else the path of a unix socket.

    `greeting` is sent on each new connection: who we are, and which database we mean.
    """

    host: str
    port: int
    path: str | None
    tls: ssl.SSLContext | None
    greeting: Sequence[Command]

    async def connect[P: asyncio.Protocol](self, protocol: Callable[[], P]) -> P:
        """A connection that speaks `protocol`. Raises OSError, or UnicodeError on a host that is no name."""
        loop = asyncio.get_running_loop()
        if self.path is not None:
            return (await loop.create_unix_connection(protocol, self.path))[1]
        return (await loop.create_connection(protocol, self.host, self.port, ssl=self.tls))[1]


def endpoint(options: Mapping[str, Any]) -> Endpoint:
    """What the keyword arguments of redis.Redis say.

    Raises OSError when a certificate cannot be read, redis.RedisError on an option that TLS does not know.
    """
    tls = None
    if options.get("ssl"):
        named = {name: value for name, value in options.items() if name.startswith("ssl_")}
        tls = SSLConnection(**named).ssl_context.get()
    host, port = options.get("host", "localhost"), options.get("port", 6379)
    return Endpoint(host, port, options.get("unix_socket_path"), tls, _greeting(options))


def _greeting(options: Mapping[str, Any]) -> Sequence[Command]:
    commands: list[Command] = []
    if options.get("password"):
        user = [options["username"]] if options.get("username") else []
        commands.append(("AUTH", *user, options["password"]))
    if options.get("db"):
        commands.append(("SELECT", options["db"]))
    return commands
