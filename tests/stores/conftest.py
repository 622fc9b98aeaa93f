"""A real server for the tests of the stores."""

from collections.abc import Iterator

import pytest

from tests.stores.valkey_server import valkey


@pytest.fixture(scope="session")
def valkey_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The socket of a server that keeps nothing on disk. Its data are shared by the whole session."""
    with valkey(tmp_path_factory.mktemp("valkey")) as socket:
        yield socket
