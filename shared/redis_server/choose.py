"""The choice of Redis, by `redis.mode`."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.connection import SSLConnection, parse_url
from redis.retry import Retry

from shared.config_store.seen_file import EMBEDDED, EXTERNAL
from shared.core.errors import StoreDown
from shared.redis_server.embedded import Embedded, is_running
from shared.settings import Settings

# Seconds. A Redis on this machine responds in under a millisecond.
_REPLY_TIMEOUT = 0.5


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """The address of Redis. `options` are keyword arguments of redis.Redis and redis.asyncio.Redis.

    `name` is for messages and contains no password. Close it after the clients: this stops an embedded
    server that this process started.
    """

    options: Mapping[str, Any]
    name: str
    embedded: Embedded | None = None

    @property
    def mode(self) -> str:
        """How the server was chosen, for messages."""
        return EXTERNAL if self.embedded is None else EMBEDDED

    def close(self) -> None:
        if self.embedded is not None:
            self.embedded.close()


def open_redis(settings: Settings) -> RedisAddress:
    """The Redis to use. In mode auto an embedded one is started when none responds on this machine.

    An external Redis is not called, because it may be down for a while. Raises `StoreDown` when the server
    that responds cannot be used, and when no embedded server can be started.
    """
    options = _options(settings)
    name = _name(options)
    if settings.redis.mode == "external" or not settings.redis.is_local:
        return RedisAddress(options, name)
    if _responds(options, name):
        if is_running(settings.data_dir):
            raise StoreDown(
                f"A Redis responds at {name}, and an embedded Valkey runs in {settings.data_dir}. "
                "Stop one of them."
            )
        return RedisAddress(options, name)
    embedded = Embedded(settings.data_dir)
    embedded.open()
    return RedisAddress({"unix_socket_path": str(embedded.socket)}, f"embedded, {embedded.socket}", embedded)


def _options(settings: Settings) -> dict[str, Any]:
    configured = settings.redis
    if configured.url is None:
        return {
            "host": configured.host,
            "port": configured.port,
            "db": configured.db,
            "password": configured.password or None,
        }
    options: dict[str, Any] = dict(parse_url(configured.url))  # type: ignore[no-untyped-call]
    if options.pop("connection_class", None) is SSLConnection:
        options["ssl"] = True
    if "path" in options:
        options["unix_socket_path"] = options.pop("path")
    return options


def _name(options: Mapping[str, Any]) -> str:
    if "unix_socket_path" in options:
        return str(options["unix_socket_path"])
    return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"


def _responds(options: Mapping[str, Any], name: str) -> bool:
    """True when a Redis is there, also one that is slow or loading: then no second one may start.

    Raises `StoreDown` when it rejects the password or is not a Redis.
    """
    if not _listens(options):
        return False
    timeouts = {"socket_timeout": _REPLY_TIMEOUT, "socket_connect_timeout": _REPLY_TIMEOUT}
    with redis.Redis(**{**options, **timeouts}, retry=Retry(NoBackoff(), 0)) as client:
        try:
            client.ping()
        except (redis.BusyLoadingError, redis.TimeoutError):
            return True
        except redis.AuthenticationError:
            raise StoreDown(
                f"Redis at {name} rejects the password. Set redis.password, or set redis.port to a free port."
            ) from None
        except redis.RedisError as error:
            raise StoreDown(f"The server at {name} cannot be used as Redis: {error}.") from None
    return True


def _listens(options: Mapping[str, Any]) -> bool:
    try:
        if path := options.get("unix_socket_path"):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
        else:
            address = (options.get("host", "localhost"), options.get("port", 6379))
            socket.create_connection(address, _REPLY_TIMEOUT).close()
    except OSError:
        return False
    return True
