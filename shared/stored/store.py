"""Bindings in Redis: written off the path of requests, read by requests that name a stored thing.

aff:{<tenant>}:<name>   string      a `Binding`; `<name>` is a keyed hash of the id; expires
aff:{<tenant>}          sorted set  the names by the second at which they expire
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from shared.core.durations import DAY_SECONDS
from shared.core.errors import StoreDown
from shared.redis_client.open import AnyConnection, open_connection
from shared.redis_client.script import Script
from shared.secrets.keyed_hash import keyed_hash
from shared.stored.binding import Binding

logger = logging.getLogger(__name__)

#: The script that writes bindings.
BIND: Final = Script.of(Path(__file__).parent / "lua" / "bind.lua")

#: How long a binding is kept: as long as OpenAI keeps a response.
KEPT_SECONDS: Final = 30 * DAY_SECONDS
#: The most bindings of a tenant in Redis, in the memory of a worker, and of those that wait for Redis.
MAX_PER_TENANT: Final = 200_000
MAX_IN_MEMORY: Final = 10_000
MAX_WAITING: Final = 10_000
#: The most ids of one request that are looked up.
MAX_IDS: Final = 1_000
# Seconds: a call may take, another worker may take to write what it has just sent, Redis is left alone.
_DEADLINE: Final = 0.25
_SECOND_LOOK: Final = 0.05
_PAUSE: Final = 0.25
# Bindings of one call.
_BATCH: Final = 500


class Bindings:
    """The bindings of all tenants. One event loop only."""

    def __init__(self, connection: AnyConnection, secret: bytes, *older: bytes) -> None:
        """`secret` is the deployment's, as were `older` ones: a reader of Redis cannot tell the ids."""
        self._connection = connection
        self._secret = secret
        self._older = older
        self._memory: OrderedDict[tuple[str, str], Binding] = OrderedDict()
        # By tenant, in the order of their turns, and by name; None: it is to be removed.
        self._waiting: OrderedDict[str, dict[str, Binding | None]] = OrderedDict()
        self._count = 0
        self._came = asyncio.Event()
        self._is_down = False
        self._dropped = 0

    def add(self, tenant_id: str, ids: Iterable[str], binding: Binding) -> None:
        """Bind ids; other workers know them in a moment."""
        for id in ids:
            self._put(tenant_id, id, binding)

    def remove(self, tenant_id: str, id: str) -> None:
        """Forget an id."""
        self._put(tenant_id, id, None)

    def _put(self, tenant_id: str, id: str, binding: Binding | None) -> None:
        name = self._name(id, self._secret)
        if binding is None:
            self._memory.pop((tenant_id, name), None)
        else:
            self._remember((tenant_id, name), binding)
        own = self._waiting.setdefault(tenant_id, {})
        self._count += name not in own
        own[name] = binding
        self._came.set()
        if self._count > MAX_WAITING:
            # The tenant with the most loses its oldest: none takes the place of others.
            most = max(self._waiting.values(), key=len)
            del most[next(iter(most))]
            self._count -= 1
            self._dropped += 1

    async def find(self, tenant_id: str, ids: Sequence[str]) -> Mapping[str, Binding]:
        """The bindings of a tenant's ids, as far as there are any. Raises `StoreDown`."""
        names = {id: (tenant_id, self._name(id, self._secret)) for id in ids[:MAX_IDS]}
        found = {id: known for id, name in names.items() if (known := self._known(*name)) is not None}
        if len(found) < len(names):
            found |= await self._read({id: names[id] for id in names if id not in found})
        if len(found) < len(names):
            # The worker that sent the response may be writing it.
            await asyncio.sleep(_SECOND_LOOK)
            found |= await self._read({id: names[id] for id in names if id not in found})
        return found

    def _known(self, tenant_id: str, name: str) -> Binding | None:
        """The binding, as far as this worker knows it without Redis."""
        return self._memory.get((tenant_id, name)) or self._waiting.get(tenant_id, {}).get(name)

    async def _read(self, names: Mapping[str, tuple[str, str]]) -> dict[str, Binding]:
        places = [(id, name) for id, (tenant_id, _) in names.items() for name in self._names(tenant_id, id)]
        replies = await self._connection.call("MGET", *[binding_key(*name) for _, name in places])
        found: dict[str, Binding] = {}
        for (id, name), reply in zip(places, replies, strict=True):
            if reply is None or id in found:
                continue
            try:
                found[id] = Binding.parse(reply)
            except ValueError as error:
                logger.error("The binding %s is left out: %s", binding_key(*name), error)
                continue
            self._remember(names[id], found[id])
        return found

    def _names(self, tenant_id: str, id: str) -> list[tuple[str, str]]:
        """The names that an id of a tenant may have, the newest first."""
        return [(tenant_id, self._name(id, secret)) for secret in (self._secret, *self._older)]

    async def run(self) -> None:
        """Write what was bound, until canceled."""
        while True:
            await self._came.wait()
            self._came.clear()
            try:
                await self.flush()
            except StoreDown as error:
                if not self._is_down:
                    logger.warning("Stored responses cannot be bound to their targets now: %s", error)
                self._is_down = True
                self._came.set()
                await asyncio.sleep(_PAUSE)
                continue
            if self._is_down:
                logger.info("Stored responses are bound again; %d were not.", self._dropped)
            elif self._dropped:
                logger.warning("%d stored responses were not bound: too many came at once.", self._dropped)
            self._is_down, self._dropped = False, 0

    async def flush(self) -> None:
        """Write all that waits. Raises `StoreDown`; then it waits on."""
        while self._waiting:
            tenant_id, waiting = next(iter(self._waiting.items()))
            batch = dict(islice(waiting.items(), _BATCH))
            await self._write(tenant_id, batch)
            for name, binding in batch.items():
                if name in waiting and waiting[name] is binding:
                    del waiting[name]
                    self._count -= 1
            # Others have their turn before the rest.
            self._waiting.move_to_end(tenant_id)
            if not waiting:
                del self._waiting[tenant_id]

    async def _write(self, tenant_id: str, batch: Mapping[str, Binding | None]) -> None:
        arguments: list[str | int] = [KEPT_SECONDS, MAX_PER_TENANT]
        for name, binding in batch.items():
            if binding is not None:
                arguments += [name, binding.encoded().decode()]
        calls = [self._connection.run(BIND, [index_key(tenant_id)], arguments)]
        if gone := [name for name, binding in batch.items() if binding is None]:
            calls.append(self._connection.call("DEL", *[binding_key(tenant_id, name) for name in gone]))
            calls.append(self._connection.call("ZREM", index_key(tenant_id), *gone))
        await asyncio.gather(*calls)

    async def close(self) -> None:
        """Write what is left, if Redis responds, and close the connection."""
        try:
            await self.flush()
        except StoreDown as error:
            logger.warning("%d stored responses were not bound: %s", self._count, error)
        await self._connection.close()

    def _remember(self, name: tuple[str, str], binding: Binding) -> None:
        self._memory[name] = binding
        self._memory.move_to_end(name)
        if len(self._memory) > MAX_IN_MEMORY:
            self._memory.popitem(last=False)

    def _name(self, id: str, secret: bytes) -> str:
        text = id.encode(errors="surrogatepass")
        return keyed_hash(secret, text, size=16).hexdigest()


def open_bindings(options: Mapping[str, Any], secret: bytes, *older: bytes) -> Bindings:
    """Bindings with their own connection; `options` are keyword arguments of redis.Redis."""
    return Bindings(open_connection(options, (BIND,), _DEADLINE), secret, *older)


def index_key(tenant_id: str) -> str:
    return f"aff:{{{tenant_id}}}"


def binding_key(tenant_id: str, name: str) -> str:
    return f"{index_key(tenant_id)}:{name}"
