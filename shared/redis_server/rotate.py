"""Seals all stored secrets with the newest encryption key, and names all parts by the newest pepper.

This is done while the gateway serves. An owner is rewritten in one transaction, with its old versions, and
noted in a set until the workers are told. So after an end at any point, the next run goes on. When nothing
needs another key or pepper, the store needs only the newest ones.

A hash of an API key stays: its text is known on use only. The hashes that need an older pepper are counted.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from redis import Redis

from shared.config_store import layout
from shared.config_store.client import read_state
from shared.config_store.history.rename import owners, rewrite
from shared.config_store.history.retired import count_hashes, retire
from shared.config_store.identity import ADOPTION_KEYS, SecretIds, adoption
from shared.config_store.records.parts import PartNames
from shared.core.errors import GatewayError
from shared.redis_server.reseal import Resealer
from shared.redis_server.store_secrets import part_names, read_own_secrets
from shared.secrets.sealing import AesSealer
from shared.settings import Settings

#: Told how many owners of how many are done.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """The result of a run.

    Attributes:
        owners: how many tenants, and the platform, were looked at.
        sealed: the secrets that were sealed anew, those of old versions included.
        unusable: the secrets that cannot be opened, and stay as they are.
        left: why an owner could not be rewritten, by its id.
        keys: the ids of the keys that the store needs now.
        peppers: the same for the peppers of its documents.
        older: how many active API keys and tokens need an older pepper, by the id of the tenant.
    """

    owners: int
    sealed: int
    unusable: int
    left: dict[str, str]
    keys: tuple[str, ...]
    peppers: tuple[str, ...]
    older: Mapping[str, int]


def rotate_secrets(settings: Settings, client: Redis, progress: Progress) -> Rotation:
    """Seal all secrets with the first key of `security.key_file`, and use the first pepper for all names.

    Raises `GatewayError` and redis-py's errors.
    """
    peppers, keys = read_own_secrets(settings, os.urandom)
    ids, sealer = SecretIds.of(peppers, keys), AesSealer(keys, os.urandom)
    state = read_state(client)
    if state and not ids.have(state):
        raise GatewayError("This machine lacks a pepper or an encryption key of the store. Add it as a line.")
    # From now on, no process without the newest secrets writes.
    client.register_script(layout.script("adopt"))(ADOPTION_KEYS, adoption(ids, state))
    resealer, names = Resealer(sealer), part_names(settings)
    failed = retire(client, sealer, peppers[1:])
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
    if not left:
        client.hset(layout.IDENTITY, mapping={"keys": ids.keys[0], "pepper": ids.peppers[0]})
    stored: Any = client.hmget(layout.IDENTITY, "keys", "pepper")
    needed, named_by = (tuple(one.decode().split()) for one in stored)
    return Rotation(
        owners=len(found),
        sealed=resealer.opened,
        unusable=resealer.failed + failed,
        left=left,
        keys=needed,
        peppers=named_by,
        older=count_hashes(client, ids.peppers[0]),
    )


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
