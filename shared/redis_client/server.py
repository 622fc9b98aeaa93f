"""A server of Redis: its memory, its persistence and its problems, and rights that our user does not need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from redis import Redis, ResponseError

from shared.redis_client.cluster_client import ClusterClient

#: The share of `maxmemory` from which on a store is nearly full.
NEARLY_FULL: Final = 0.9
# A key that is not the gateway's. No command writes it.
_OTHER_KEY: Final = "gateway-doctor:other"
# By what they allow: commands that change nothing, and that deploy/redis/users.acl gives to no program.
_TRIED: Final[Mapping[str, tuple[Any, ...]]] = {
    "manage users": ("ACL", "USERS"),
    "read its settings": ("CONFIG", "GET", "maxmemory"),
    "run any script": ("EVAL", "return 1", 0),
    "use keys of other programs": ("EXISTS", _OTHER_KEY),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The memory of Redis.

    Attributes:
        used: bytes in use.
        most: its `maxmemory` in bytes; None without one.
        policy: what Redis does above it.
    """

    used: int
    most: int | None
    policy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Persistence:
    """The persistence of Redis.

    Attributes:
        append_only: whether each change is written.
        write_ok: whether the last change was written; None if changes are not.
        snapshot_ok: whether the last snapshot was written.
        unsaved: changes since the last snapshot.
    """

    append_only: bool
    write_ok: bool | None
    snapshot_ok: bool
    unsaved: int


class ServerWarning(NamedTuple):
    """A problem of Redis, and how to solve it.

    Attributes:
        part: the part of the server that it is about, as `GET /status` names it.
        reason: a sentence that says what is wrong.
        fix: a sentence that says what to do.
    """

    part: str
    reason: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The server, as its INFO says.

    Attributes:
        name: ``redis`` or ``valkey``, with the version.
        role: ``master`` or ``slave``.
        replicas: connected replicas.
        memory: its memory.
        persistence: what it keeps on disk.
        time: its clock, in seconds since the Unix epoch; None if it does not tell.
    """

    name: str
    role: str
    replicas: int
    memory: Memory
    persistence: Persistence
    time: float | None = None

    @classmethod
    def parse(cls, info: Mapping[str, Any]) -> "Server":
        """The server in the reply to INFO. Fields that an old version lacks are as those of a new server."""
        name = info.get("server_name", "redis")
        append_only = bool(info.get("aof_enabled", 0))
        return cls(
            name=f"{name} {info.get(f'{name}_version', info.get('redis_version', ''))}".strip(),
            role=info.get("role", "master"),
            replicas=int(info.get("connected_slaves", 0)),
            memory=Memory(
                used=int(info.get("used_memory", 0)),
                most=int(info.get("maxmemory", 0)) or None,
                policy=info.get("maxmemory_policy", "noeviction"),
            ),
            persistence=Persistence(
                append_only=append_only,
                write_ok=info.get("aof_last_write_status", "ok") == "ok" if append_only else None,
                snapshot_ok=info.get("rdb_last_bgsave_status", "ok") == "ok",
                unsaved=int(info.get("rdb_changes_since_last_save", 0)),
            ),
            time=int(info["server_time_usec"]) / 1e6 if "server_time_usec" in info else None,
        )

    def warnings(self) -> Sequence[ServerWarning]:
        """The problems that an operator should solve."""
        memory, kept = self.memory, self.persistence
        found = []
        if memory.most is not None and memory.policy != "noeviction":
            found.append(
                ServerWarning(
                    "memory/policy",
                    "Redis may remove configuration.",
                    "Set its maxmemory-policy to noeviction.",
                )
            )
        if memory.most is not None and memory.used >= memory.most * NEARLY_FULL:
            found.append(
                ServerWarning(
                    "memory/used_bytes",
                    "Redis is nearly full.",
                    "Raise its maxmemory, or keep fewer records.",
                )
            )
        if not kept.append_only:
            found.append(
                ServerWarning(
                    "persistence", "A crash of Redis loses the latest changes.", "Set its appendonly to yes."
                )
            )
        if kept.write_ok is False or not kept.snapshot_ok:
            found.append(
                ServerWarning(
                    "persistence", "Redis cannot write to its disk.", "Free space there, and read its log."
                )
            )
        if self.role != "master":
            found.append(
                ServerWarning(
                    "role", "Redis is a replica, which takes no changes.", "Point redis.host to the primary."
                )
            )
        return found


class RightsReader:
    """Tries rights that the gateway does not need. Raises redis-py's errors, except those of a rejection."""

    def __init__(self, client: Redis | ClusterClient) -> None:
        self._client: Any = client.node_of(_OTHER_KEY) if isinstance(client, ClusterClient) else client

    def spare(self) -> Sequence[str]:
        """The rights that were not rejected. Redis tells a user its rules only if it may manage users.

        Each rejection is an entry of the server's ACL LOG.
        """
        return [right for right, command in _TRIED.items() if self._may(command)]

    def _may(self, command: tuple[Any, ...]) -> bool:
        try:
            self._client.execute_command(*command)
        except ResponseError:
            return False
        return True
