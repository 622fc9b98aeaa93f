"""The settings of Redis as keyword arguments of redis.Redis, with the topology."""

import inspect
from collections.abc import Mapping
from typing import Any

import redis
from redis.connection import SSLConnection, parse_url

from shared.config_store import layout
from shared.core.http_tokens import authority
from shared.redis_client.slots import Address
from shared.redis_client.topology import EVAL, SCRIPTS, TOPOLOGY, ClusterNodes, Sentinels
from shared.settings import Settings, SettingsError
from shared.settings.redis import CLUSTER, SENTINEL, RedisTls


def redis_options(settings: Settings) -> dict[str, Any]:
    """The options of a client. Raises `SettingsError` when redis.url is invalid."""
    options = _servers(settings)
    return {**options, SCRIPTS: EVAL} if settings.redis.scripts == EVAL else options


def _servers(settings: Settings) -> dict[str, Any]:
    configured = settings.redis
    if configured.mode in (SENTINEL, CLUSTER):
        return _several(settings)
    if configured.url is None:
        place = {"host": configured.host, "port": configured.port, "db": configured.db}
        return {**place, **_login(configured.username, configured.password), **_tls(configured.tls)}
    return _of_url(configured.url, settings)


def name_of(options: Mapping[str, Any]) -> str:
    """The servers, for messages; contains no password."""
    match options.get(TOPOLOGY):
        case Sentinels(addresses=addresses, master=master):
            return f"{master} (sentinels {_names(addresses)})"
        case ClusterNodes(addresses=addresses):
            return f"the Cluster of {_names(addresses)}"
    if "unix_socket_path" in options:
        return str(options["unix_socket_path"])
    return authority(options.get("host", "localhost"), options.get("port", 6379))


def addresses_of(options: Mapping[str, Any]) -> list[Address]:
    """The hosts and ports of the servers, as far as settings name them."""
    match options.get(TOPOLOGY):
        case Sentinels(addresses=addresses) | ClusterNodes(addresses=addresses):
            return [*addresses]
    return [(options["host"], options["port"])] if "host" in options else []


def _names(addresses: tuple[Address, ...]) -> str:
    return ", ".join(authority(*address) for address in addresses)


def _several(settings: Settings) -> dict[str, Any]:
    configured = settings.redis
    tls = _tls(configured.tls)
    options = {**_login(configured.username, configured.password), **tls}
    announced = {_address(one): _address(other) for one, other in configured.address_map.items()}
    if configured.mode == CLUSTER:
        nodes = tuple(map(_address, configured.nodes))
        topology: Sentinels | ClusterNodes = ClusterNodes(
            addresses=nodes, home=layout.ORDER, options=options, address_map=announced
        )
        return {**options, TOPOLOGY: topology}
    topology = Sentinels(
        addresses=tuple(map(_address, configured.sentinels)),
        master=configured.sentinel_master,
        options={**_login("", configured.sentinel_password), **tls},
        address_map=announced,
    )
    return {**options, "db": configured.db, TOPOLOGY: topology}


def _address(node: str) -> Address:
    host, _, port = node.rpartition(":")
    return host.strip("[]"), int(port)


def _login(username: str, password: str) -> dict[str, Any]:
    return {"username": username or None, "password": password or None}


def _tls(tls: RedisTls) -> dict[str, Any]:
    files = {"ssl_ca_certs": tls.ca, "ssl_certfile": tls.cert, "ssl_keyfile": tls.key}
    given = {name: str(file) for name, file in files.items() if file is not None}
    return {"ssl": True, **given} if given else {}


def _of_url(url: str, settings: Settings) -> dict[str, Any]:
    try:
        options: dict[str, Any] = dict(parse_url(url))  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise SettingsError(f"redis.url: cannot be read: {str(error).rstrip('.')}. Correct it.") from None
    if options.pop("connection_class", None) is SSLConnection:
        files = _tls(settings.redis.tls)
        if settings.security.ca_file is not None:
            files.setdefault("ssl_ca_certs", str(settings.security.ca_file))
        options = {"ssl": True, **files, **options}
    if "path" in options:
        options["unix_socket_path"] = options.pop("path")
    if unknown := sorted(options.keys() - inspect.signature(redis.Redis).parameters.keys()):
        raise SettingsError(f"redis.url: unknown option {unknown[0]} after the question mark. Remove it.")
    return options
