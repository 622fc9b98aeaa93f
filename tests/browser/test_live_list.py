"""The live list at a thousand requests a second: neither the page nor the admin API grows or works hard."""

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread

import pytest
from playwright.sync_api import CDPSession, expect

from shared.records.recorder import open_recorder
from shared.redis_server.embedded import socket_path
from tests.records.lines import AI, access_line, line
from tests.reliability import figures
from tests.support.browser import Dashboard

A_SECOND, TENANTS, WARM_SECONDS, SECONDS = 1_000, 200, 10, 60
MIB = 1024**2
_TICKS = os.sysconf("SC_CLK_TCK")


class Writer(Thread):
    """Writes records of many tenants, as the workers of a proxy do, until it is told to end."""

    def __init__(self, socket: Path) -> None:
        super().__init__(daemon=True)
        self.socket, self.ends, self.written = socket, Event(), 0

    def run(self) -> None:
        asyncio.run(self._write())

    async def _write(self) -> None:
        recorder = open_recorder({"unix_socket_path": str(self.socket)}, 2_000)
        began = time.monotonic()
        while not self.ends.is_set():
            due = int((time.monotonic() - began) * A_SECOND)
            for number in range(self.written, due):
                one = line(number, tenant=f"tenant-{number % TENANTS}", ai=AI, path=f"/v1/chat/{number}")
                recorder.put(time.time(), access_line(one), {"started": 1.0})
            self.written = due
            await recorder.flush()
            await asyncio.sleep(0.25)
        await recorder.close()


def workers_of(pid: int) -> Sequence[int]:
    """The processes that a process has started."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cpu_seconds(pids: Sequence[int]) -> float:
    """The time that processes have worked, from /proc/<pid>/stat."""
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(stat[11]) + int(stat[12]) for stat in stats) / _TICKS


def heap(page: CDPSession) -> tuple[float, float]:
    """The bytes of the page's JavaScript after a collection of garbage, and the nodes that it has."""
    page.send("HeapProfiler.collectGarbage")
    metrics = {one["name"]: one["value"] for one in page.send("Performance.getMetrics")["metrics"]}
    return metrics["JSHeapUsedSize"], metrics["Nodes"]


def admin_processes(pid: int) -> Sequence[int]:
    """The processes of the admin API, without the store that they have started."""
    names = {one: Path(f"/proc/{one}/comm").read_text().strip() for one in workers_of(pid)}
    return [pid, *(one for one, name in names.items() if "valkey" not in name)]


@pytest.mark.slow
@pytest.mark.alone
def test_live_list_of_a_thousand_requests_a_second_does_not_grow(dashboard: Dashboard) -> None:
    gateway = dashboard.gateway
    writer = Writer(socket_path(gateway.folder))
    writer.start()
    page = dashboard.open("/ui/traffic")
    session = dashboard.context.new_cdp_session(page)
    session.send("Performance.enable")
    rows = page.locator("#list tbody tr:visible")
    expect(rows).to_have_count(200, timeout=30_000)
    page.wait_for_timeout(1_000 * WARM_SECONDS)
    (before, nodes), admin = heap(session), admin_processes(gateway.processes["admin"].pid)
    worked, began, written, asked = cpu_seconds(admin), time.monotonic(), writer.written, len(dashboard.asked)
    page.wait_for_timeout(1_000 * SECONDS)
    seconds = time.monotonic() - began
    share = (cpu_seconds(admin) - worked) / seconds
    rate = (writer.written - written) / seconds
    after, nodes_after = heap(session)
    polls = [url for url in dashboard.asked[asked:] if "/requests?" in url]
    writer.ends.set()
    writer.join()
    figures.figure(
        "live list",
        f"{rate:,.0f} requests/s for {seconds:.0f} s: heap {before / MIB:.1f} -> {after / MIB:.1f} MiB, "
        f"{nodes:.0f} -> {nodes_after:.0f} nodes, admin {share:.1%} of a core, {len(polls)} polls",
    )
    assert rate > 0.95 * A_SECOND
    assert len(polls) > 0.3 * seconds
    assert rows.first.locator(".path").inner_text() != ""
    assert after < before + 2 * MIB
    assert nodes_after < nodes + 500
    assert share < 0.2
