"""The jobs of an admin process, on a real store and with targets on this machine."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from shared.config_store.store import RedisStore
from shared.redis_server.choose import RedisAddress
from tests.admin_app.ai.test_provider_test import OpenWorld
from tests.admin_app.world import TOKEN, HandClock, World, make_world


class Calendar(HandClock):
    """A clock whose date is in the hands of the test. The time of leads goes on."""

    def monotonic(self) -> float:
        return time.monotonic()


@pytest.fixture
def world(tmp_path: Path, valkey_socket: str) -> Iterator[World]:
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.flushall()
        world = OpenWorld(make_world(tmp_path, admin__token=TOKEN).settings)
        world.clock = Calendar()
        world.store = RedisStore(client, world.settings.admin.subdomain_quarantine)
        world.address = RedisAddress({"unix_socket_path": valkey_socket}, "external")
        yield world
