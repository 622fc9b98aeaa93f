"""The configuration as a proxy worker reads it from Redis."""

import asyncio
import logging
import os
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from redis import RedisError, ResponseError
from redis.asyncio import BlockingConnectionPool, Redis

from shared.alerts.alert import rule_faulted
from shared.alerts.stream import ADD, note_of
from shared.config_store import layout
from shared.config_store.cache.checks import ToldCheck, sign_of
from shared.config_store.client import TIMEOUT, ask_state
from shared.config_store.identity import ADOPTION_KEYS, KnownStore, StoreState
from shared.config_store.port import OnChange, OnReconnect, OnTold, ignore
from shared.config_store.records.parts import PartNames
from shared.config_store.records.platform import discovering, parse_discovered
from shared.config_store.records.stored import Ask, Done, Reading, StoredContents, advance
from shared.config_store.records.tenants import ScriptCall, parse_state, root_size, touch_call
from shared.config_store.redis_errors import redis_errors
from shared.core.process.failures import Failures
from shared.model.config import Snapshot
from shared.model.providers import Discovered, PlatformDocument
from shared.redis_client.channel import listen_on
from shared.redis_client.primary import open_async
from shared.secrets.api_keys import all_hashes

logger = logging.getLogger(__name__)

# Each unknown name that a client sends is a call. Calls wait so many seconds for one of so many connections.
# redis-py's default pool opens 100 and rejects the rest, the check for changes among them.
_MAX_CONNECTIONS, _POOL_TIMEOUT = 8, 2.0
# The amount decoded between two requests, in about a millisecond: parts, and the bytes of a root.
_FEW_PARTS = 16
_SHORT_ROOT = 32_768


#: Called with the ids of the tenants and providers that were read, before they are compiled.
type Notice = Callable[[Sequence[str]], Awaitable[None]]


async def _no_notice(_: Sequence[str]) -> None:
    """Do nothing."""


class RedisSource:
    """A `ConfigSource`. The client must return bytes; `jitter` returns numbers from 0 to 1.

    Every reply comes with the state of the store, and counts only when that is the `known` one.
    """

    def __init__(
        self,
        client: Redis,
        jitter: Callable[[], float] = random.random,
        known: KnownStore | None = None,
        notice: Notice = _no_notice,
        names: PartNames | None = None,
    ) -> None:
        self._client = client
        self._contents = StoredContents(names or PartNames())
        self._notice = notice
        self._jitter = jitter
        self._known = known or KnownStore()
        self._name = os.urandom(8).hex()
        self._store = ""  # what the store said about itself last
        self._failures = Failures()
        self._adopt = client.register_script(layout.script("adopt"))
        self._read = client.register_script(layout.script("read"))
        self._read_platform = client.register_script(layout.script("read_platform"))
        self._touch = client.register_script(layout.script("touch"))
        self._add_alert = client.register_script(ADD.text)

    async def tenant_of_subdomain(self, subdomain: str) -> str | None:
        return await self._look_up(layout.SUBDOMAINS, (subdomain,))

    async def tenant_of_key(self, key_hash: str) -> str | None:
        return await self._look_up(layout.HASHES, all_hashes(key_hash))

    async def read(self, tenant_id: str) -> Snapshot | None:
        snapshot = await self._finish(self._contents.tenant(tenant_id), tenant_id)
        if snapshot is None:
            return None
        owners = [tenant_id] if any([rule.targets for rule in snapshot.rules]) else []
        owners += [provider.id for provider in snapshot.tenant.providers]
        if owners:
            await self._notice(owners)
        if not (asked := discovering(snapshot.tenant.providers)):
            return snapshot
        return replace(snapshot, discovered=await self._discovered(asked))

    async def read_platform(self) -> PlatformDocument:
        document = await self._finish(self._contents.platform(), layout.PLATFORM_ID)
        if document.providers:
            await self._notice([provider.id for provider in document.providers])
        asked = discovering(document.providers)
        return replace(document, discovered=await self._discovered(asked)) if asked else document

    async def changes(self, since: int) -> tuple[int, Sequence[str]]:
        before = self._known.seen
        with redis_errors():
            # No transaction: out of memory, Redis rejects even reads in one. A change that comes between
            # the commands is read again, because the number is read first.
            async with self._client.pipeline(transaction=False) as pipeline:
                ask_state(pipeline).zrange(layout.CHANGES, f"({since}", "+inf", byscore=True)
                identity, number, tenants = await pipeline.execute()
            found = StoreState.parse(identity, number)
            if arguments := self._known.adoption(found):
                await self._adopt(ADOPTION_KEYS, arguments)
                return await self.changes(since)
        self._known.check(found, before)
        self._store = sign_of(found)
        return int(number or 0), [tenant_id.decode() for tenant_id in tenants]

    async def tell(self, number: int) -> None:
        try:
            await self._client.publish(layout.CHANNEL, ToldCheck(self._name, number, self._store).message)
        except RedisError as error:  # then they check themselves
            if isinstance(error, ResponseError) and self._failures.is_new(error):
                logger.warning("Other workers are not told that there are no changes: %s", error)

    async def watch(self, changed: OnChange, reconnected: OnReconnect, told: OnTold = ignore) -> None:
        def received(message: bytes) -> None:
            text = message.decode(errors="replace")
            try:
                check = ToldCheck.parse(text)
            except ValueError as error:
                logger.debug("A message about changes is ignored: %s", error)
                return
            if check is None:
                changed(text)
            elif check.teller != self._name:
                told(check.number if check.store == self._store else None)

        await listen_on(self._client, layout.CHANNEL, received, reconnected, self._jitter)

    async def note_faults(self, faults: Mapping[str, str], now: float) -> None:
        if not faults:
            return
        with redis_errors():
            # A machine that starts notes again what others have noted.
            known = await self._client.hmget(layout.FAULTS, [*faults])
            async with self._client.pipeline(transaction=False) as pipeline:
                for (owner, why), old in zip(faults.items(), known, strict=True):
                    if why and why.encode() != old:
                        tenant = None if owner == layout.PLATFORM_ID else owner
                        note = note_of(rule_faulted(tenant=tenant, faults=why, at=now))
                        await self._add_alert(note.keys, note.arguments, client=pipeline)
                for tenant_id, why in faults.items():
                    if why:
                        pipeline.hset(layout.FAULTS, tenant_id, why)
                    else:
                        pipeline.hdel(layout.FAULTS, tenant_id)
                await pipeline.execute()

    async def touch(self, used: Mapping[tuple[str, str], float]) -> None:
        with redis_errors():
            async with self._client.pipeline(transaction=False) as pipeline:
                for (tenant_id, key_id), when in used.items():
                    call = touch_call(tenant_id, key_id, when)
                    await self._touch(call.keys, call.arguments, client=pipeline)
                await pipeline.execute()

    async def close(self) -> None:
        await self._client.aclose()

    async def _finish[T](self, reading: Reading[T], record: str) -> T:
        """The result of a reading. `record` is the id of what is read."""
        step = advance(reading)
        while not isinstance(step, Done):
            reply = await self._ask(record, step)
            if _is_short(record, step, reply):
                step = advance(reading, reply)
            else:
                step = await asyncio.to_thread(advance, reading, reply)
        result: T = step.result
        return result

    async def _ask(self, record: str, ask: Ask) -> Any:
        """The reply of the known store."""
        before = self._known.seen
        with redis_errors(record):
            if not isinstance(ask, ScriptCall):
                return await self._client.mget(ask)
            script = self._read_platform if layout.PLATFORM in ask.keys else self._read
            reply = await script(ask.keys, ask.arguments)
        self._known.check(parse_state(reply), before)
        return reply

    async def _discovered(self, provider_ids: Sequence[str]) -> Mapping[str, Discovered]:
        with redis_errors():
            replies = await self._client.mget([layout.discovered_key(one) for one in provider_ids])
        return parse_discovered(provider_ids, replies)

    async def _look_up(self, key: str, names: Sequence[str]) -> str | None:
        """The first word of the first of these fields that there is."""
        before = self._known.seen
        with redis_errors():
            async with self._client.pipeline(transaction=False) as pipeline:
                pipeline.hmget(key, names)
                values, *state = await ask_state(pipeline).execute()
        self._known.check(StoreState.parse(*state), before)
        found = next(filter(None, values), None)
        return None if found is None else found.decode(errors="replace").partition(" ")[0]


def _is_short(record: str, ask: Ask, reply: Any) -> bool:
    """Whether requests may wait until the reply is parsed: not for many parts, nor for the root of many."""
    if isinstance(ask, ScriptCall):
        return record != layout.PLATFORM_ID and root_size(reply) <= _SHORT_ROOT
    return len(ask) <= _FEW_PARTS


def open_source(
    options: Mapping[str, Any],
    known: KnownStore | None = None,
    notice: Notice = _no_notice,
    names: PartNames | None = None,
) -> RedisSource:
    """A source with its own client; `options` are keyword arguments of redis.asyncio.Redis."""
    client = open_async(options, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)
    made = client.connection_pool
    pool = BlockingConnectionPool(
        _MAX_CONNECTIONS, _POOL_TIMEOUT, made.connection_class, **made.connection_kwargs
    )
    return RedisSource(type(client).from_pool(pool), known=known, notice=notice, names=names)
