"""The admin API on a real store: providers, models and rules name each other across documents."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from shared.config_store.store import RedisStore
from tests.admin_app.world import TOKEN, World, make_world


@pytest.fixture
def client(valkey_socket: str) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.flushall()
        yield client


@pytest.fixture
def world(tmp_path: Path, client: redis.Redis) -> World:
    world = make_world(tmp_path, admin__token=TOKEN, secrets__env=["OPENAI_API_KEY"])
    world.store = RedisStore(client, world.settings.admin.subdomain_quarantine)
    return world
