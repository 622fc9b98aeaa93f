"""After each test of this folder: the same processes, no open files, no errors in the logs."""

import contextlib
from collections.abc import Iterator

from tests.reliability.processes import Process, await_standby, supervisor, workers
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.wait import until

#: Seconds that unused connections to upstreams are kept, and some more.
SETTLED = 15.0
_BAD = ("Traceback", "Addon error", "has crashed", '"traceback"')


@contextlib.contextmanager
def steady(tenant: TenantInUse, path: str = "/v1/ok") -> Iterator[None]:
    """No process of the tenant's gateway dies in the block, and every file opened in it is closed soon after.

    A request to `path` comes first: what it opens stays open.
    """
    gateway = tenant.gateway
    tenant.request("GET", path)
    await_standby(gateway)
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
    """No log holds an unforeseen error."""
    for file in gateway.folder.glob("*.log"):
        text = file.read_text(errors="replace")
        for words in _BAD:
            assert words not in text, text[max(0, text.index(words) - 2000) :][:6000]
