"""The ledger and its sums agree after an outage in which workers were killed."""

import asyncio
import signal
from itertools import count
from pathlib import Path

import pytest
from redis import Redis

from shared.usage.__main__ import check_sums
from shared.usage.aggregates import sums_of
from shared.usage.pending import PendingBatches
from shared.usage.reader import UsageReader
from shared.usage.settler import Settler
from tests.support.valkey_server import Server
from tests.usage.rows import row
from tests.usage.test_settler import FIRST, LAST, PATIENCE, settler

_NUMBERS = count()


async def fill(one: Settler, written: list[str]) -> None:
    """Add about 2,000 rows a second until canceled."""
    while True:
        for _ in range(20):
            each = row(next(_NUMBERS), tenant="ab"[len(written) % 2])
            one.add(each)
            written.append(each.id)
        await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_the_sums_are_those_of_the_rows_after_redis_hung_and_a_worker_was_killed(
    running: Server, tmp_path: Path
) -> None:
    kept: list[str] = []
    lost: list[str] = []
    async with (
        settler(running.socket, pending=PendingBatches(tmp_path)) as survivor,
        settler(running.socket, pending=PendingBatches(tmp_path)) as killed,
    ):
        work = [asyncio.ensure_future(one) for one in (survivor.run(), killed.run())]
        filling = [asyncio.ensure_future(one) for one in (fill(survivor, kept), fill(killed, lost))]
        await asyncio.sleep(0.5)
        running.signal(signal.SIGSTOP)
        await asyncio.sleep(3)
        for task in (filling[1], work[1]):
            task.cancel()
        running.signal(signal.SIGCONT)
        await asyncio.sleep(1)
        filling[0].cancel()
        async with asyncio.timeout(PATIENCE):
            while survivor._has_more:
                await asyncio.sleep(0.05)
        work[0].cancel()
        await asyncio.gather(*work, *filling, return_exceptions=True)
        await survivor.close()
    with Redis(unix_socket_path=running.socket) as client:
        reader = UsageReader(client)
        found = [each.id for name in "ab" for each in reader.all_rows(name)]
        for name in "ab":
            rows, sums = sums_of(reader.all_rows(name)), reader.sums(name, FIRST, LAST)
            assert not list(check_sums(rows, sums, days=[*rows, *sums]))
    assert len(found) == len(set(found))
    assert set(kept) <= set(found) <= {*kept, *lost}
    assert survivor.dropped == 0
