"""What the user of this program may do in Redis above what the gateway needs."""

from collections.abc import Sequence
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from shared.redis_client.cluster_client import ClusterClient

# A key that is not the gateway's. No command writes it.
_OTHER_KEY: Final = "gateway-doctor:other"
# By what they allow: commands that change nothing, and that deploy/redis/users.acl gives to no program.
_TRIED: Final[dict[str, tuple[Any, ...]]] = {
    "manage users": ("ACL", "USERS"),
    "read its settings": ("CONFIG", "GET", "maxmemory"),
    "run any script": ("EVAL", "return 1", 0),
    "use keys of other programs": ("EXISTS", _OTHER_KEY),
}


class RightsReader:
    """Tries what the gateway does not need. Raises redis-py's errors, but for those that reject a command."""

    def __init__(self, client: Redis | ClusterClient) -> None:
        self._client: Any = client.node_of(_OTHER_KEY) if isinstance(client, ClusterClient) else client

    def spare(self) -> Sequence[str]:
        """What was tried and not rejected. Redis tells a user its rules only if it may manage users.

        Each rejection is an entry of the server's ACL LOG.
        """
        return [right for right, command in _TRIED.items() if self._may(command)]

    def _may(self, command: tuple[Any, ...]) -> bool:
        try:
            self._client.execute_command(*command)
        except ResponseError:
            return False
        return True
