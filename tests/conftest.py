"""What holds for all tests, and real servers for those that need one."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.valkey_server import redis_7, server, valkey

# A busy machine makes an example slow; no promise is about that.
settings.register_profile("gateway", deadline=None)
settings.load_profile("gateway")


@pytest.fixture(scope="session")
def valkey_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The socket of a server that keeps nothing on disk. Its data are shared by the whole session."""
    with valkey(tmp_path_factory.mktemp("valkey")) as socket:
        yield socket


@pytest.fixture(scope="session")
def redis_7_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same of Redis 7."""
    with server(redis_7(), tmp_path_factory.mktemp("redis7")) as running:
        yield running.socket
