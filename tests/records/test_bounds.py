"""100,000 requests of 200 tenants: the records are bounded, and so is the memory of Redis."""

import pytest
from redis import Redis

from shared.records.keys import ALL, records_key
from shared.records.recorder import open_recorder
from shared.records.sweeper import Sweeper
from tests.records.lines import AI, NOW, access_line, line
from tests.reliability import figures
from tests.support.valkey_server import Server

REQUESTS, TENANTS, PER_TENANT, MAX_BYTES = 100_000, 200, 2_000, 32 * 1024**2


def length(client: Redis, key: bytes) -> int:
    """How many records a stream has."""
    return sum(fields[b"events"].count(b"\n") + 1 for _, fields in client.xrange(key))


@pytest.mark.slow
async def test_records_of_many_tenants_stay_within_their_bounds(running: Server) -> None:
    with Redis(unix_socket_path=running.socket) as client:
        empty = client.info("memory")["used_memory"]
        recorder = open_recorder({"unix_socket_path": running.socket}, PER_TENANT)
        agent, steps = "x" * 300, [{"plugin": "content_validator", "verdict": "continue"}] * 8
        for number in range(REQUESTS):
            # A tenth of the tenants make nine tenths of the requests.
            tenant = number % 20 if number % 10 else number // 10 % TENANTS
            one = line(number, tenant=f"tenant-{tenant}", user_agent=agent, ai=AI)
            recorder.put(NOW, access_line(one), {"started": 1.0, "steps": steps})
            if number % 1_000 == 999:
                await recorder.flush()
        await recorder.close()
        assert (recorder.written, recorder.dropped) == (REQUESTS, 0)
        keys = client.keys("req:{*}")
        longest = max(length(client, key) for key in keys if key.decode() != records_key(ALL))
        written = sum(client.memory_usage(key) for key in keys)
        Sweeper(client, MAX_BYTES).run()
        kept = sum(client.memory_usage(key) for key in keys)
        used = client.info("memory")["used_memory"] - empty
    figures.figure(
        "records",
        f"{REQUESTS:,} requests of {TENANTS} tenants: at most {longest} records of one, "
        f"{written / 1024**2:.1f} MB before the sweep, {kept / 1024**2:.1f} MB after; Redis {used / 1024**2:.1f} MB",
    )
    assert PER_TENANT <= longest < 1.1 * PER_TENANT
    assert kept <= MAX_BYTES
    assert used < 1.5 * MAX_BYTES
