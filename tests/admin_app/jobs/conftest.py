"""The jobs of an admin process, on a real store and with targets on this machine."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from shared.alerts.deliveries import Deliveries
from shared.config_store.store import RedisStore
from shared.redis_server.choose import RedisAddress
from tests.admin_app.ai.test_provider_test import OpenWorld
from tests.admin_app.jobs.webhooks import Leading, Receiver, leader
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


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    with receiver.upstream:
        yield receiver


@pytest.fixture
def client(world: World) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=world.address.options["unix_socket_path"]) as client:
        world.clock.time = client.time()[0]  # type: ignore[index]  # the ids of alerts have its time
        reading = world.reading

        @contextmanager
        def really_reading(reader: type[Any]) -> Iterator[Any]:
            with reading(reader) as found:
                yield Deliveries(client) if reader is Deliveries else found

        world.reading = really_reading  # type: ignore[method-assign]
        yield client


@pytest.fixture
def leading(world: World, client: redis.Redis) -> Iterator[Leading]:
    with leader(world, client, 1) as leading:
        yield leading
