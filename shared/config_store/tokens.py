"""The tokens of the platform in Redis: found by their hashes, and written with an entry in the audit log."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from redis import Redis

from shared.config_store import layout
from shared.config_store.history.audit import AuditEntry, AuditKey
from shared.config_store.history.edit import Edit
from shared.config_store.idempotency import Claim
from shared.config_store.identity import StoreState
from shared.config_store.records.codec import decode, encode
from shared.config_store.records.tenants import ScriptCall, call_members, common_keys, script_call
from shared.config_store.redis_errors import redis_errors
from shared.core.errors import Conflict
from shared.model.config import PlatformToken, PlatformTokens
from shared.secrets.api_keys import all_hashes

#: The message of `errors.Conflict`.
TOKENS_CHANGED = "The tokens were modified concurrently. Fetch them again and repeat the change."
_USED = layout.used_key(layout.PLATFORM_ID)
_REVISION = b"revision"
_EVENTS = layout.EVENTS_ID
_EVENT_TRIES = 20

logger = logging.getLogger(__name__)

#: Makes a change with the call for a store in the given state; returns its number, as ``write.lua`` replies.
Save = Callable[[Callable[[StoreState | None], ScriptCall], str], int]


class RedisTokens:
    """A `port.Tokens`, and the events of the audit log. `save` runs ``write.lua``."""

    def __init__(self, client: Redis, audit_key: AuditKey, save: Save) -> None:
        self._client = client
        self._audit_key = audit_key
        self._save = save

    def add_event(self, edit: Edit) -> None:
        for _ in range(_EVENT_TRIES):
            with redis_errors(_EVENTS):
                before: Any = self._client.hget(layout.EVENTS, "revision") or b"0"
            call = partial(_event_call, before.decode(), edit, self._audit_key)
            if self._save(call, _EVENTS):
                return
        raise Conflict("Too many events at the same time.")

    def all(self) -> PlatformTokens:
        with redis_errors(layout.TOKENS_ID), self._client.pipeline(transaction=False) as pipeline:
            pipeline.hgetall(layout.TOKENS)
            pipeline.hgetall(_USED)
            stored, used = pipeline.execute()
        revision = int(stored.pop(_REVISION, 0))
        found = [one for text in stored.values() if (one := _read(text, used)) is not None]
        return PlatformTokens(tuple(sorted(found, key=lambda one: (one.created_at, one.id))), revision)

    def find(self, token_hash: str) -> PlatformToken | None:
        with redis_errors(layout.TOKENS_ID):
            texts: Any = self._client.hmget(layout.TOKENS, all_hashes(token_hash))
            text = next(filter(None, texts), None)
            token = None if text is None else _read(text, {})
            if token is None:
                return None
            used: Any = self._client.hget(_USED, token.id)
        return replace(token, last_used_at=None if used is None else float(used))

    def touch(self, token: PlatformToken, at: float) -> None:
        with redis_errors():
            self._client.hset(_USED, token.id, repr(at))

    def write(
        self,
        before: PlatformTokens,
        after: PlatformTokens,
        *,
        edit: Edit,
        claim: Claim[PlatformTokens] | None = None,
    ) -> PlatformTokens:
        number = self._save(
            lambda known: _write_call(before, after, edit, self._audit_key, known, claim), layout.TOKENS_ID
        )
        if number == 0:
            raise Conflict(TOKENS_CHANGED)
        return replace(after, revision=number)


def _read(text: bytes, used: Mapping[bytes, bytes]) -> PlatformToken | None:
    """A stored token with the time of its last use; None if it is damaged: then it is worth nothing."""
    try:
        token = decode(PlatformToken, text)
    except ValueError as error:
        logger.error("A token of the platform cannot be read: %s", error)
        return None
    last = used.get(token.id.encode())
    return replace(token, last_used_at=None if last is None else float(last))


def _event_call(before: str, edit: Edit, audit_key: AuditKey, known: StoreState | None) -> ScriptCall:
    """The call of ``write.lua`` for an event; `known` is as in `write_call`."""
    entry = AuditEntry.of(edit, owner=_EVENTS, action="event", version=None, before=before)
    members = {**call_members(known, None, None), "added": [], "dropped": []}
    return _call(entry, audit_key, members, (*common_keys(_EVENTS, None), layout.EVENTS, _USED))


def _write_call(
    before: PlatformTokens,
    after: PlatformTokens,
    edit: Edit,
    audit_key: AuditKey,
    known: StoreState | None,
    claim: Claim[PlatformTokens] | None,
) -> ScriptCall:
    """The call of ``write.lua``; `known` is as in `write_call`."""
    owner, number = layout.TOKENS_ID, str(before.revision)
    old, new = ({one.hash: replace(one, last_used_at=None) for one in all.tokens} for all in (before, after))
    action = "update" if before.revision else "create"
    entry = AuditEntry.of(edit, owner=owner, action=action, version=None, before=number)
    members = {
        **call_members(known, claim, after),
        "added": [
            {"hash": one.hash, "record": encode(one)} for one in new.values() if old.get(one.hash) != one
        ],
        "dropped": [{"hash": one.hash, "id": one.id} for one in old.values() if one.hash not in new],
    }
    return _call(entry, audit_key, members, (*common_keys(owner, claim), layout.TOKENS, _USED))


def _call(
    entry: AuditEntry, audit_key: AuditKey, members: Mapping[str, Any], keys: Sequence[str]
) -> ScriptCall:
    """The call of ``write.lua`` for the owner of an entry."""
    own = {"id": entry.owner, "before": entry.before, "format": layout.OLDEST_FORMAT}
    return script_call(keys, {**members, **own, "audit": audit_key.sign(entry)}, None)
