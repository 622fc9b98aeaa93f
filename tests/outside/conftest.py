"""Services and a certificate authority that end with the test."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.outside.services import Authority, Handler, Service


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def serve() -> Iterator[Callable[..., Service]]:
    """Start services; they end with the test."""
    started: list[Service] = []

    def start(handler: Handler, context: ssl.SSLContext | None = None) -> Service:
        started.append(Service(handler, context))
        return started[-1]

    yield start
    for service in started:
        service.close()
