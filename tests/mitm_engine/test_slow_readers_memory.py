"""Clients that read slowly cost little memory, and none once they are gone."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.machine import tree
from tests.support.client import RawClient
from tests.support.gateway import RunningGateway
from tests.support.upstream import CHUNKED, REQUEST, Upstream, flood, send
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.alone]

CLIENTS = 200
KIB = 1024


def resident(gateway: RunningGateway) -> int:
    """The memory of the process that uses most: the worker."""
    return (
        max(
            int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            for pid in tree(gateway.processes["proxy"].pid)
        )
        * 4096
    )


def test_slow_reader_costs_320_kib_which_are_given_back(tmp_path: Path) -> None:
    with (
        Upstream(default=[*REQUEST, send(CHUNKED), flood]) as upstream,
        RunningGateway(tmp_path / "data") as gateway,
    ):
        tenant = gateway.create_tenant()
        tenant.create_rule("/v1", upstream.url)
        head = f"GET /v1/x HTTP/1.1\r\nHost: {tenant.host}\r\nAuthorization: Bearer {tenant.key}\r\n\r\n"
        for _ in range(2):
            before = resident(gateway)
            with ExitStack() as stack:
                for _ in range(CLIENTS):
                    client = stack.enter_context(RawClient(gateway.proxy_port, receive_buffer=4096))
                    client.send(head.encode())
                most = max(resident(gateway) for _ in until(4.0))
            print(f"\n{(most - before) / CLIENTS / KIB:.0f} KiB per slow reader")
            assert (most - before) / CLIENTS <= 340 * KIB  # with the connection and the exchange themselves
            left = min(resident(gateway) - before for _ in until(15.0))
            print(f"{left / KIB / KIB:.1f} MiB left")
            assert left < 10 * KIB * KIB
