"""Calls a Cluster: each command goes to the node that has the slot of its key."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from shared.core.errors import StoreDown
from shared.redis_client.connection import Deadlines, RedisConnection
from shared.redis_client.endpoint import Endpoint
from shared.redis_client.lookup import Lookup
from shared.redis_client.protocol import Call, ErrorReply, Packed, pack
from shared.redis_client.script import Script
from shared.redis_client.slots import SLOTS, Address, key_of, parse_redirection, slot_of
from shared.redis_client.topology import Slots

# Redirections of one call: as many as clients of Redis usually follow.
_MAX_REDIRECTIONS: Final = 5
# Seconds until a command is sent again whose keys are just moved.
_TRY_AGAIN: Final = 0.005
# Errors of a node that has not run the command, and that another node may run.
_REDIRECTED: Final = ("MOVED ", "ASK ", "TRYAGAIN", "CLUSTERDOWN")


class ClusterConnection:
    """One connection per node, and the node of each slot. One event loop only; connects with the first call.

    It does what `RedisConnection` does, and fails as it does: a node that does not respond fails only the
    calls about its slots.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        lookup: Lookup,
        scripts: Sequence[Script],
        deadline: float,
        *,
        sends_text: bool = False,
    ) -> None:
        """`endpoint` is that of every node, but for its address. `sends_text` is as in `RedisConnection`."""
        self._endpoint = endpoint
        self._lookup = lookup
        self._scripts = scripts
        self._deadline = deadline
        self._texts = {script.digest: script.text for script in scripts if sends_text}
        self._nodes: dict[Address, RedisConnection] = {}
        self._slots: list[Address | None] = []
        self._early: list[tuple[Call, int]] = []
        self._deadlines = Deadlines(deadline, lambda: None)
        self._looking: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._unlisten: Callable[[], None] = lambda: None

    def call(self, *command: str | bytes | int) -> asyncio.Future[Any]:
        """The future reply to a command, as `RedisConnection.call`. Without a key, any node is asked."""
        return self.send_packed(self.pack(*command))

    def pack(self, *command: str | bytes | int) -> Packed:
        """The command for `send_packed`."""
        if self._texts and command[0] == "EVALSHA":
            command = ("EVAL", self._texts[str(command[1])], *command[2:])
        key = key_of(command)
        return Packed(pack(command), 0 if key is None else slot_of(key))

    def send_packed(self, packed: Packed) -> asyncio.Future[Any]:
        """The future reply to a command that is packed once and may be sent often, as `call`."""
        slot = packed.slot
        if self._slots:
            address = self._slots[slot]
            if address is not None:
                return self._node(address).send_packed(packed)
        loop = asyncio.get_running_loop()
        call = Call(packed.command, loop)
        if self._slots:
            call.fail(StoreDown(f"No node of the Cluster has the slot {slot}."))
            self._lookup.refresh_soon()
        else:
            self._deadlines.watch(call, loop)
            self._early.append((call, slot))
            self._begin()
        return call.reply

    def run(
        self, script: Script, keys: Sequence[str], arguments: Sequence[str | bytes | int]
    ) -> asyncio.Future[Any]:
        """The future reply of a script, as `call`."""
        return self.call(*script.command(keys, arguments))

    def node_of(self, key: str) -> Address | None:
        """The node that has a key; None while that is unknown."""
        return self._slots[slot_of(key)] if self._slots else None

    @property
    def nodes(self) -> Sequence[Address]:
        """All nodes that have slots."""
        return [*dict.fromkeys(one for one in self._slots if one is not None)]

    async def ping(self, node: Address) -> None:
        """Return when the node responds. Raises as `call`."""
        await self._node(node).call("PING")

    async def close(self) -> None:
        """End all connections. Calls without a reply fail."""
        self._unlisten()
        self._deadlines.close()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        self._fail_early("the connection was closed")
        await asyncio.gather(*[node.close() for node in self._nodes.values()], *self._ending)
        self._nodes.clear()

    def _begin(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self._learn())

    async def _learn(self) -> None:
        """Learn where the slots are, and send the calls that have waited for it."""
        try:
            slots = await asyncio.to_thread(self._lookup.get)
        except OSError as error:
            self._fail_early(str(error))
            return
        self._listen()
        self._take(slots)
        early, self._early = self._early, []
        for call, slot in early:
            address = self._slots[slot]
            if address is None:
                call.fail(StoreDown(f"No node of the Cluster has the slot {slot}."))
            elif not call.reply.done():
                self._node(address).send(call)

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()

        def changed(slots: Slots) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._take, slots)

        self._lookup.listeners.add(changed)
        self._unlisten = lambda: self._lookup.listeners.discard(changed)

    def _take(self, slots: Slots) -> None:
        """Use a new table, and end the connections to nodes that are not in it."""
        self._slots = [*slots]
        for address in self._nodes.keys() - set(slots):
            task = asyncio.ensure_future(self._nodes.pop(address).close())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def _fail_early(self, reason: str) -> None:
        early, self._early = self._early, []
        for call, _ in early:
            call.fail(StoreDown(f"Redis did not respond: {reason}."))

    def _node(self, address: Address) -> RedisConnection:
        found = self._nodes.get(address)
        if found is None:
            endpoint = replace(self._endpoint, host=address[0], port=address[1])

            def redirect(call: Call, error: str) -> bool:
                return self._redirect(call, error, address)

            found = self._nodes[address] = RedisConnection(
                endpoint,
                () if self._texts else self._scripts,
                self._deadline,
                redirect=redirect,
                trouble=self._lookup.refresh_soon,
            )
        return found

    def _redirect(self, call: Call, error: str, asked: Address) -> bool:
        """Send a call to another node, or again. Returns False on an error of another kind."""
        if not error.startswith(_REDIRECTED):
            return False
        if call.reply.done():
            return True
        if error.startswith("CLUSTERDOWN"):
            self._lookup.refresh_soon()
            call.fail(StoreDown(f"Redis cannot serve: {error}."))
        elif error.startswith("TRYAGAIN"):  # until the deadline
            asyncio.get_running_loop().call_later(_TRY_AGAIN, self._send_again, call, asked)
        elif call.redirections == _MAX_REDIRECTIONS:
            call.fail(ErrorReply(f"Redis redirects a command without end: {error}."))
        else:
            call.redirections += 1
            self._follow(call, error, asked)
        return True

    def _follow(self, call: Call, error: str, asked: Address) -> None:
        try:
            slot, announced = parse_redirection(error, asked)
        except ValueError as fault:
            call.fail(ErrorReply(str(fault)))
            return
        address = self._lookup.topology.address_map.get(announced, announced)
        if error.startswith("MOVED"):
            if len(self._slots) == SLOTS:
                self._slots[slot] = address
            self._lookup.refresh_soon()
            self._node(address).send(call)
        else:
            self._node(address).send(call, before=("ASKING",))

    def _send_again(self, call: Call, asked: Address) -> None:
        if not call.reply.done():
            self._node(asked).send(call)
