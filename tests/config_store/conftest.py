"""The configuration stores: the one in memory and the one in Redis pass the same tests."""

from collections.abc import Iterator

import pytest
import redis

from shared.config_store.client import open_client, open_everywhere
from shared.config_store.port import ConfigStore
from shared.config_store.store import RedisStore
from shared.testing.memory_store import MemoryStore
from tests.config_store.configurations import StillClock

_SEVERAL = [pytest.param(name, marks=pytest.mark.slow) for name in ("sentinels", "cluster")]


@pytest.fixture(params=["memory", "valkey_socket", "redis_7_socket", *_SEVERAL])
def store(request: pytest.FixtureRequest) -> Iterator[ConfigStore]:
    """An empty store, in memory, in Valkey, in Redis 7, behind sentinels and in a Cluster."""
    if request.param == "memory":
        yield MemoryStore(StillClock(), quarantine=60)
        return
    if request.param in ("sentinels", "cluster"):
        options = request.getfixturevalue(request.param).options
        with open_everywhere(options) as everywhere, open_client(options) as client:
            everywhere.flushall()
            yield RedisStore(client, quarantine=60)
        return
    with redis.Redis(unix_socket_path=request.getfixturevalue(request.param)) as client:
        client.flushall()
        yield RedisStore(client, quarantine=60)
