"""The writer of a worker's alerts: failures are counted, logged once, and delay nothing."""

import asyncio
import logging
from pathlib import Path

import pytest
import redis

from shared.alerts.stream import ALERTS
from shared.alerts.writer import open_writer
from tests.alerts.test_stream import opened
from tests.support.wait import until_true


async def test_worker_tells_an_alert_once(valkey_socket: str) -> None:
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.delete(ALERTS, *client.scan_iter("{cfg}:alerted:*"))
        writers = [open_writer({"unix_socket_path": valkey_socket}) for _ in range(2)]
        for writer in writers:
            writer.tell(opened())
        await until_true(lambda: not any(writer._under_way for writer in writers))
        assert (client.xlen(ALERTS), [writer.dropped for writer in writers]) == (1, [0, 0])
        await asyncio.gather(*(writer.close() for writer in writers))


async def test_alerts_that_cannot_be_written_are_counted_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = open_writer({"unix_socket_path": f"{tmp_path}/missing"})
    with caplog.at_level(logging.WARNING):
        for number in range(105):
            writer.tell(opened(mark=f"{number}"))
        assert writer.dropped == 5  # the others are under way
        await until_true(lambda: writer.dropped == 105)
    assert len(caplog.records) == 2
    await writer.close()
