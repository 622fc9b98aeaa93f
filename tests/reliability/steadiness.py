"""What every test of this folder leaves behind: the same processes, no open files, nothing in the logs."""

import contextlib
from collections.abc import Iterator

from tests.reliability.processes import Process, supervisor, workers
from tests.support.gateway import RunningGateway
from tests.support.wait import until

#: Seconds that unused connections to upstreams are kept, and some more.
SETTLED = 15.0
_BAD = ("Traceback", "Addon error", "has crashed", '"traceback"')


@contextlib.contextmanager
def steady(gateway: RunningGateway) -> Iterator[None]:
    """Nobody died, and every descriptor that was opened in the block is closed soon after it."""
    before = {process: len(process.files()) for process in everyone(gateway)}
    yield
    assert_closed(before)
    assert set(everyone(gateway)) == set(before), "A process died."
    assert_clean(gateway)


def everyone(gateway: RunningGateway) -> list[Process]:
    return [supervisor(gateway), *workers(gateway)]


def assert_closed(before: dict[Process, int]) -> None:
    """Each process holds as many files as `before`, or fewer."""
    over = dict(before)
    for _ in until(SETTLED):
        over = {process: count for process, count in over.items() if len(process.files()) > count}
        if not over:
            return
    assert not over, [(process, before[process], sorted(process.files())) for process in over]


def assert_clean(gateway: RunningGateway) -> None:
    """No log tells of what nobody thought of."""
    for file in gateway.folder.glob("*.log"):
        text = file.read_text(errors="replace")
        for words in _BAD:
            assert words not in text, text[max(0, text.index(words) - 2000) :][:6000]
