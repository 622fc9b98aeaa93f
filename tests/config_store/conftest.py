"""The configuration stores: the one in memory and the one in Redis pass the same tests."""

from collections.abc import Iterator

import pytest
import redis

from shared.config_store.port import ConfigStore
from shared.config_store.store import RedisStore
from shared.testing.memory_store import MemoryStore
from tests.config_store.configurations import StillClock


@pytest.fixture(params=["memory", "valkey_socket", "redis_7_socket"])
def store(request: pytest.FixtureRequest) -> Iterator[ConfigStore]:
    """An empty store, in memory, in Valkey and in Redis 7."""
    if request.param == "memory":
        yield MemoryStore(StillClock(), quarantine=60)
        return
    with redis.Redis(unix_socket_path=request.getfixturevalue(request.param)) as client:
        client.flushall()
        yield RedisStore(client, quarantine=60)
