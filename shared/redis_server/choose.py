"""The choice of Redis, by `redis.mode`."""

import logging
import socket
import ssl
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, Self

import redis

from shared.config_store import layout
from shared.config_store.durability import NO_REPLICAS, Replicas
from shared.config_store.seen_file import EMBEDDED, EXTERNAL
from shared.core.errors import StoreDown
from shared.redis_client.primary import NotPrimary, open_sync
from shared.redis_client.topology import EVAL, SCRIPTS, TOPOLOGY
from shared.redis_server.embedded import Embedded, has_data, is_running
from shared.redis_server.options import name_of, redis_options
from shared.settings import Settings
from shared.settings.redis import AUTO, DISK
from shared.settings.redis import Redis as RedisSettings

logger = logging.getLogger(__name__)

# Seconds. A Redis on this machine responds in under a millisecond.
_REPLY_TIMEOUT = 0.5
# Seconds for the first question to an external Redis, with the look-up of its name.
_FIRST_TIMEOUT = 4.0
_LOADING = "it is loading its data"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """The address of Redis. Close it after the clients: this stops an embedded server of this process.

    Attributes:
        options: keyword arguments of redis.Redis and redis.asyncio.Redis, with the topology.
        name: for messages; contains no password.
        mode: `EXTERNAL` or `EMBEDDED`.
        embedded: the embedded server, if this process keeps it.
        trouble: why an external Redis did not respond at the start; None when it did.
        warning: a sentence about an embedded store that is not used.
        replicas: those that must have a change of the configuration.
    """

    options: Mapping[str, Any]
    name: str
    mode: str = EXTERNAL
    embedded: Embedded | None = None
    trouble: str | None = None
    warning: str | None = None
    replicas: Replicas = NO_REPLICAS

    @property
    def is_loading(self) -> bool:
        """True when it responded that it still reads its data from disk."""
        return self.trouble == _LOADING

    def shared(self) -> Self:
        """The address for another process, which does not keep the embedded server."""
        return replace(self, embedded=None)

    def ask(self, timeout: float) -> Self:
        """The address with its current trouble. Raises `StoreDown` when waiting cannot help."""
        return replace(self, trouble=_trouble(self.options, self.name, timeout))

    def describe(self) -> str:
        """The store in use, for a line at the start: its mode, its address and its number of tenants."""
        kind = f"external Redis at {self.name}" if self.mode == EXTERNAL else self.name
        if self.trouble is not None:
            return f"{kind}, which does not respond: {self.trouble}"
        count = _count_tenants(self.options)
        return f"{kind}, {'unknown number of' if count is None else count} tenant{'' if count == 1 else 's'}"

    def close(self) -> None:
        if self.embedded is not None:
            self.embedded.close()


def open_redis(settings: Settings) -> RedisAddress:
    """The Redis to use. In mode auto an embedded one is started when none responds on this machine.

    An external Redis may be down for a while: then the address has a `trouble`. Raises `StoreDown` when the
    server that responds cannot be used, and when no embedded server can be started, and `SettingsError` when
    redis.url is invalid.
    """
    options = redis_options(settings)
    name = name_of(options)
    if settings.redis.mode != AUTO or not settings.redis.is_local:
        return _external(settings, options, name)
    if _listens(options):
        address = _external(settings, options, name)
        if is_running(settings.data_dir):
            raise StoreDown(
                f"A Redis responds at {name}, and an embedded Valkey runs in {settings.data_dir}. "
                "Stop one of them."
            )
        return address
    embedded = Embedded(settings.data_dir)
    embedded.open()
    options = {"unix_socket_path": str(embedded.socket)}
    name = f"embedded, {embedded.socket}"
    return RedisAddress(options, name, EMBEDDED, embedded, replicas=_replicas(settings.redis))


def log_store(address: RedisAddress) -> None:
    """Log the store in use, and an embedded one that is not used."""
    level = logging.WARNING if address.trouble or address.warning else logging.INFO
    logger.log(level, "The store is %s.", address.describe())
    if address.warning is not None:
        logger.log(level, "%s", address.warning)


def _external(settings: Settings, options: Mapping[str, Any], name: str) -> RedisAddress:
    trouble, folder = _trouble(options, name, _FIRST_TIMEOUT), settings.data_dir
    warning = (
        f"{folder} holds an embedded store that is not used, because the store is Redis at {name}. To use "
        f"it, stop that Redis and set redis.mode to auto; to end this warning, remove {folder}/appendonlydir."
    )
    if trouble is None and TOPOLOGY not in options and _is_node(options):
        raise StoreDown(
            f"Redis at {name} is a node of a Cluster. Set redis.mode to cluster, and redis.nodes to some."
        )
    if trouble is None and _takes_no_digests(options):
        logger.warning("Redis at %s takes no scripts by their digest, so they are sent as a whole.", name)
        options = {**options, SCRIPTS: EVAL}
    return RedisAddress(
        options,
        name,
        trouble=trouble,
        warning=warning if has_data(folder) else None,
        replicas=_replicas(settings.redis),
    )


def _is_node(options: Mapping[str, Any]) -> bool:
    """Whether the server is one of several that share the keys. One that does not allow INFO may be."""
    with _client(options) as client:
        try:
            found: Any = client.info("cluster")
        except redis.RedisError:
            return False
    return bool(found.get("cluster_enabled"))


def _takes_no_digests(options: Mapping[str, Any]) -> bool:
    """Whether the server, or a proxy before it, rejects EVALSHA, or SCRIPT LOAD, which it needs."""
    with _client(options) as client:
        try:
            client.evalsha(client.script_load("return KEYS[1]"), 1, layout.ORDER)
        except redis.ResponseError:
            return True
        except redis.RedisError:
            return False
    return False


def _replicas(redis: RedisSettings) -> Replicas:
    return Replicas(redis.min_replicas, redis.wait, redis.confirm == DISK)


def _trouble(options: Mapping[str, Any], name: str, timeout: float) -> str | None:
    """Why the server does not respond within `timeout` seconds; None when it does.

    Raises `StoreDown` when it rejects the login, its certificate is not trusted, or it is not a Redis.
    """
    reply: Future[str | None] = Future()

    def ask() -> None:
        try:
            reply.set_result(_ping(options, name))
        except StoreDown as error:
            reply.set_exception(error)

    # The look-up of a name has no timeout of its own.
    threading.Thread(target=ask, name="ask-redis", daemon=True).start()
    try:
        return reply.result(timeout)
    except TimeoutError:
        return f"no reply within {timeout:g} s"


def _count_tenants(options: Mapping[str, Any]) -> int | None:
    """None when Redis does not reply, or this user may not ask."""
    with _client(options) as client:
        try:
            return int(client.zcard(layout.ORDER))
        except redis.RedisError:
            return None


def _client(options: Mapping[str, Any]) -> redis.Redis:
    return open_sync(options, socket_timeout=_REPLY_TIMEOUT, socket_connect_timeout=2 * _REPLY_TIMEOUT)


def _ping(options: Mapping[str, Any], name: str) -> str | None:
    with _client(options) as client:
        try:
            client.ping()
        except redis.BusyLoadingError:
            return _LOADING
        except NotPrimary as error:
            return str(error)
        except redis.TimeoutError:
            return "it does not reply in time"
        except redis.AuthenticationError as error:
            raise StoreDown(
                f"Redis at {name} rejects the password: {str(error).rstrip('.')}. Set redis.password "
                "(GATEWAY__REDIS__PASSWORD) or the password in redis.url, or set redis.port to a free port."
            ) from None
        except redis.ConnectionError as error:
            return _cause(error, name)
        except UnicodeError as error:  # of a host with a part that no name can have
            return str(error)
        except redis.RedisError as error:
            raise StoreDown(
                f"The server at {name} cannot be used as Redis: {str(error).rstrip('.')}. "
                "Correct redis.host, redis.port and redis.db, or redis.url."
            ) from None
    return None


def _cause(error: redis.ConnectionError, name: str) -> str:
    cause = error.__cause__ or error.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        raise StoreDown(
            f"The certificate of Redis at {name} is not trusted: {cause.verify_message.rstrip('.')}. "
            "Set security.ca_file to the authority that signed it, and use a name that the certificate has."
        )
    if isinstance(cause, ssl.SSLError):
        raise StoreDown(
            f"Redis at {name} does not accept TLS: {cause.reason or cause}. Use redis:// in redis.url."
        )
    return (cause.strerror if isinstance(cause, OSError) and cause.strerror else str(error)).rstrip(".")


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
