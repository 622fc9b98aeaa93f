"""Seals all stored secrets with the newest encryption key, while the gateway serves.

An owner is rewritten in one transaction, with its old versions, and noted in a set until the workers are
told. So after an end at any point, the next run goes on. When no secret needs another key, the store needs
only the newest one.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from redis import Redis

from shared.config_store import layout
from shared.config_store.history.rename import owners, rewrite
from shared.config_store.identity import SecretIds
from shared.config_store.records.parts import PartNames
from shared.redis_server.reseal import Resealer
from shared.redis_server.store_secrets import part_names, read_own_secrets
from shared.secrets.sealing import AesSealer
from shared.settings import Settings

#: Told how many owners of how many are done.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Rotation:
    """The result of a run.

    Attributes:
        owners: how many tenants, and the platform, were looked at.
        sealed: the secrets that were sealed anew, those of old versions included.
        unusable: the secrets that cannot be opened, and stay as they are.
        left: why an owner could not be rewritten, by its id.
        keys: the ids of the keys that the store needs now.
    """

    owners: int
    sealed: int
    unusable: int
    left: dict[str, str]
    keys: tuple[str, ...]


def rotate_secrets(settings: Settings, client: Redis, progress: Progress) -> Rotation:
    """Seal all secrets with the first key of `security.key_file`.

    Raises `GatewayError` and redis-py's errors.
    """
    pepper, keys = read_own_secrets(settings, os.urandom)
    resealer, names = Resealer(AesSealer(keys, os.urandom)), part_names(settings)
    found, left = owners(client), {}
    for done, owner in enumerate(found, 1):
        try:
            _rotate(client, names, owner, resealer)
        except ValueError as error:
            left[owner] = str(error)
        progress(done, len(found))
    waiting: Any = client.smembers(layout.RESEALED)  # deleted since a run that has ended too early
    for one in waiting:
        _announce(client, one.decode())
    newest = SecretIds.of(pepper, keys).keys[0]
    if not left:
        client.hset(layout.IDENTITY, "keys", newest)
    stored: Any = client.hget(layout.IDENTITY, "keys")
    needed = tuple((stored or b"").decode().split())
    return Rotation(len(found), resealer.opened, resealer.failed, left, needed)


def _rotate(client: Redis, names: PartNames, owner: str, resealer: Resealer) -> None:
    if _is_whole(client, owner):
        raise ValueError("it is stored as an older release did. Save it once.")
    if rewrite(client, names, owner, resealer, layout.RESEALED) or client.sismember(layout.RESEALED, owner):
        _announce(client, owner)


def _is_whole(client: Redis, owner: str) -> bool:
    """Whether an owner is stored as one document, of an older layout."""
    key = layout.PLATFORM if owner == layout.PLATFORM_ID else layout.tenant_key(owner)
    version, root = client.hmget(key, "version", "root")
    return version is not None and root is None


def _announce(client: Redis, owner: str) -> None:
    """Make workers read an owner again; nothing else of it differs. One that is gone is only forgotten."""
    is_listed = client.zscore(layout.CHANGES, owner) is not None
    number: Any = client.incr(layout.REVISION) if is_listed else 0
    with client.pipeline() as pipeline:
        if is_listed:
            pipeline.zadd(layout.CHANGES, {owner: number})
            pipeline.publish(layout.CHANNEL, owner)
        pipeline.srem(layout.RESEALED, owner)
        pipeline.execute()
