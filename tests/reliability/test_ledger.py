"""The ledger of a whole gateway after a worker was killed, Redis hung, and the proxy ended meanwhile."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
import requests
from redis import Redis

from shared.usage.reader import UsageReader
from tests.reliability.figures import figure
from tests.reliability.processes import await_workers, workers
from tests.support.commands import run_command
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream, replying, sized
from tests.support.valkey_server import Server
from tests.support.wait import until

CALLERS, OUTAGE = 4, 5.0  # seconds
REPLY = sized(
    b'{"usage":{"prompt_tokens":9,"completion_tokens":3}}', "200 OK", "Content-Type: application/json"
)
CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hello!"}]}

_NUMBERS = count()


@pytest.fixture
def gateway(running: Server, tmp_path: Path) -> Iterator[RunningGateway]:
    settings = {"GATEWAY__REDIS__MODE": "external", "GATEWAY__REDIS__URL": f"unix://{running.socket}"}
    with RunningGateway(tmp_path / "data", {**settings, "GATEWAY__SERVER__WORKERS": "2"}) as gateway:
        await_workers(gateway, 2)
        yield gateway


@pytest.fixture
def tenant(gateway: RunningGateway) -> Iterator[TenantInUse]:
    """A tenant with a model."""
    with Upstream(replying(lambda _: REPLY)) as upstream:
        tenant = gateway.create_tenant(tier="enterprise")
        path = f"/tenants/{tenant.id}"
        provider = {
            "name": "main",
            "kind": "custom",
            "base_url": f"{upstream.url}/v1",
            "apis": ["openai.chat"],
            "keys": [{"secret": "sk-main-0123456789"}],
            "models": [{"id": "m", "prices": {"input": "1", "output": "2"}}],
        }
        assert gateway.call("POST", f"{path}/providers", json=provider).status_code == 201
        rule = {"path": "/v1", "ai": {"providers": ["main"]}}
        assert gateway.call("POST", f"{path}/rules", json=rule).status_code == 201
        tenant.await_rule("/v1")
        yield tenant


@contextmanager
def load(tenant: TenantInUse, served: set[str]) -> Iterator[None]:
    """Calls, one after the other per caller; the ids of those that were served go into `served`."""
    stop = threading.Event()

    def call() -> None:
        headers = {"Host": tenant.host, "Authorization": f"Bearer {tenant.key}"}
        with requests.Session() as session:
            while not stop.is_set():
                name = f"call-{next(_NUMBERS)}"
                try:
                    response = session.post(
                        f"{tenant.gateway.proxy}/v1/chat/completions",
                        json=CHAT,
                        headers={**headers, "X-Request-ID": name},
                        timeout=10,
                    )
                except requests.ConnectionError:
                    continue  # its worker was killed
                assert response.status_code == 200, response.text
                served.add(name)

    with ThreadPoolExecutor(CALLERS) as pool:
        callers = [pool.submit(call) for _ in range(CALLERS)]
        try:
            yield
        finally:
            stop.set()
        for one in callers:
            one.result()


def test_every_call_is_in_the_ledger_once_and_the_sums_are_those_of_the_rows(
    running: Server, gateway: RunningGateway, tenant: TenantInUse
) -> None:
    before, meanwhile = set[str](), set[str]()
    with load(tenant, before):
        time.sleep(1)
        os.kill(workers(gateway)[0].pid, signal.SIGKILL)
        time.sleep(1)
    await_workers(gateway, 2)
    running.signal(signal.SIGSTOP)
    with load(tenant, meanwhile):
        time.sleep(OUTAGE)
    proxy = gateway.processes.pop("proxy")
    proxy.send_signal(signal.SIGTERM)
    proxy.wait(30)
    pending = gateway.folder / "pending-settles"
    waiting = sum(path.read_bytes().count(b'"request_id"') for path in pending.glob("*.jsonl"))
    running.signal(signal.SIGCONT)
    gateway.start_proxy()
    for _ in until(20):
        if not list(pending.glob("*.jsonl")):
            break
    with Redis(unix_socket_path=running.socket) as client:
        found = [row.request_id for row in UsageReader(client).all_rows(tenant.id)]
    assert len(found) == len(set(found))
    assert meanwhile <= set(found)
    lost = len(before - set(found))
    figure("ledger", f"{len(found)} rows, {waiting} of them from disk; {lost} lost with the killed worker")
    assert waiting >= len(meanwhile)
    # The rows that a killed worker has not written yet: it writes ten times a second.
    assert lost <= len(before) / 4
    command = [sys.executable, "-m", "shared.usage", "check"]
    done = run_command(*command, env=gateway.environment())
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.startswith(f"{tenant.id}: {len(found)} rows; sums are compared from ")
