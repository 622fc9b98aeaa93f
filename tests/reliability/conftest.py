"""An upstream for loads for the whole run, and the figures at its end."""

from collections.abc import Iterator

import pytest

from tests.reliability import figures
from tests.reliability.upstreams import LoadUpstream


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if figures.lines:
        terminalreporter.section("figures")
        for line in figures.lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def upstream() -> Iterator[LoadUpstream]:
    with LoadUpstream() as running:
        yield running
