"""A server of Redis that may lose data is warned of."""

from typing import Any

import pytest

from shared.redis_client.server import Server

GOOD = {"aof_enabled": 1, "maxmemory": 100, "used_memory": 89, "maxmemory_policy": "noeviction"}


@pytest.mark.parametrize(
    ("info", "parts"),
    [
        (GOOD, []),
        ({**GOOD, "maxmemory": 0, "maxmemory_policy": "allkeys-lru"}, []),
        ({**GOOD, "maxmemory_policy": "allkeys-lru"}, ["memory/policy"]),
        ({**GOOD, "used_memory": 90}, ["memory/used_bytes"]),
        ({**GOOD, "aof_enabled": 0}, ["persistence"]),
        ({**GOOD, "aof_last_write_status": "err"}, ["persistence"]),
        ({**GOOD, "rdb_last_bgsave_status": "err"}, ["persistence"]),
        ({**GOOD, "role": "slave"}, ["role"]),
    ],
)
def test_redis_that_may_lose_data_is_warned_of(info: dict[str, Any], parts: list[str]) -> None:
    warnings = Server.parse(info).warnings()
    assert [one.part for one in warnings] == parts
    texts = [f"{one.reason} {one.fix}" for one in warnings]
    assert all(text.endswith(".") and len(text.split()) <= 25 for text in texts)
