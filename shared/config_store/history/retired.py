"""The keys of the audit log by older peppers, sealed, and how many hashes of API keys still need each pepper.

An audit key that was replaced signs nothing any more: an entry counts only up to the change that was the
newest then. So entries stay valid when the pepper is gone, and it is of no use for new ones.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from redis import Redis

from shared.config_store import layout
from shared.config_store.history.audit import AuditKey, RetiredKey
from shared.config_store.records.codec import decode
from shared.model.config import ApiKey, PlatformToken
from shared.secrets.api_keys import PepperedHasher, secret_id
from shared.secrets.sealing import AesSealer

_AUDIT, _HASHED = "audit:", "hashed:"
_PAGE = 500  # fields per command, so that Redis serves others meanwhile

logger = logging.getLogger(__name__)


def retire(client: Redis, sealer: AesSealer, older: Sequence[bytes]) -> int:
    """Keep the audit keys of older peppers, sealed with the newest key. Returns how many cannot be opened."""
    until: Any = client.get(layout.REVISION)
    failed = 0
    for pepper in older:
        secret = AuditKey.secret_of(PepperedHasher(pepper)).decode()
        sealed = sealer.seal(secret, _context(secret_id(pepper), int(until or 0)))
        client.hsetnx(layout.IDENTITY, f"{_AUDIT}{secret_id(pepper)}", f"{int(until or 0)} {sealed}")
    for pepper_id, number, sealed in _stored(client):
        if not sealer.is_newest(sealed):
            context = _context(pepper_id, number)
            try:
                text = sealer.seal(sealer.open(sealed, context), context)
            except ValueError:
                failed += 1
            else:
                client.hset(layout.IDENTITY, f"{_AUDIT}{pepper_id}", f"{number} {text}")
    return failed


def retired_keys(client: Redis, sealer: AesSealer, older: Sequence[bytes]) -> list[RetiredKey]:
    """The keys of `retire`, and those of `older` peppers that still sign."""
    found, known = [], set()
    for pepper_id, until, sealed in _stored(client):
        known.add(pepper_id)
        try:
            found.append(RetiredKey(sealer.open(sealed, _context(pepper_id, until)).encode(), until))
        except ValueError as error:
            logger.warning("The audit key of the pepper %s is left out: %s", pepper_id, error)
    signing = (one for one in older if secret_id(one) not in known)
    return found + [RetiredKey(AuditKey.secret_of(PepperedHasher(one)), None) for one in signing]


def count_hashes(client: Redis, newest: str) -> Mapping[str, int]:
    """How many active API keys and tokens need a pepper other than the `newest`, by their owner."""
    by_owner, by_pepper = Counter[str](), Counter[str]()
    for owner, key_hash in _active_hashes(client):
        pepper_id = key_hash.partition(":")[0]
        if pepper_id != newest:
            by_owner[owner] += 1
            by_pepper[pepper_id] += 1
    with client.pipeline() as pipeline:
        if before := older_hashes(client):
            pipeline.hdel(layout.IDENTITY, *(f"{_HASHED}{one}" for one in before))
        for pepper_id, count in by_pepper.items():
            pipeline.hset(layout.IDENTITY, f"{_HASHED}{pepper_id}", str(count))
        pipeline.execute()
    return by_owner


def older_hashes(client: Redis) -> Mapping[str, int]:
    """How many hashes needed an older pepper when they were last counted, by its id."""
    stored: Any = client.hgetall(layout.IDENTITY)
    named = {name.decode(): value for name, value in stored.items()}
    return {
        name.removeprefix(_HASHED): int(count) for name, count in named.items() if name.startswith(_HASHED)
    }


def _active_hashes(client: Redis) -> Iterator[tuple[str, str]]:
    """The owner and the hash of each API key and token that is active by the clock of Redis."""
    now: Any = client.time()
    tenants: Any = client.zrange(layout.ORDER, 0, -1)
    stored: Any = (
        (one.decode(), ApiKey, text)
        for one in tenants
        for text in client.lrange(layout.keys_key(one.decode()), 0, -1)
    )
    tokens: Any = client.hscan_iter(layout.TOKENS, count=_PAGE)
    named = ((layout.TOKENS_ID, PlatformToken, text) for name, text in tokens if name != b"revision")
    for owner, kind, text in chain(stored, named):
        try:
            key = decode(kind, text)
        except ValueError as error:
            logger.warning("A key of %s cannot be read, and is not counted: %s", owner, error)
        else:
            if key.status(now[0]) == "active":
                yield owner, key.hash


def _stored(client: Redis) -> list[tuple[str, int, str]]:
    """The id of each retired pepper, the last change that it signed, and its sealed key."""
    stored: Any = client.hgetall(layout.IDENTITY)
    found = []
    for name, value in stored.items():
        if name.decode().startswith(_AUDIT):
            until, _, sealed = value.decode().partition(" ")
            found.append((name.decode().removeprefix(_AUDIT), int(until), sealed))
    return found


def _context(pepper_id: str, until: int) -> str:
    return f"audit key|{pepper_id}|{until}"
