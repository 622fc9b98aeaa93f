"""Settings of a gateway whose Redis is empty."""

from pathlib import Path

import pytest
import redis

from shared.settings import Settings, load_settings


@pytest.fixture
def settings(client: redis.Redis, valkey_socket: str, tmp_path: Path) -> Settings:
    flags = {"data_dir": str(tmp_path), "redis.url": f"unix://{valkey_socket}", "redis.mode": "external"}
    return load_settings(environ={}, flags=flags)
