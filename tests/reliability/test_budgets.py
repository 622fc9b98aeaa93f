"""Budgets of a whole gateway while workers are killed, Redis hangs and clients hang up: nothing is lost or counted twice."""

import asyncio
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests
from redis import Redis

from shared.usage.budget_store import BudgetState, BudgetStore
from shared.usage.reader import UsageReader
from tests.reliability.figures import figure
from tests.reliability.processes import await_workers, workers
from tests.reliability.test_ledger import gateway
from tests.support.commands import run_command
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.peer import Peer
from tests.support.redis_sets import SentinelSet, sentinel_set
from tests.support.upstream import STREAM, Upstream, chunk, sized
from tests.support.valkey_server import Server

__all__ = ["gateway"]

CALLERS, OUTAGE, LEASE = 8, 5.0, 60.0  # seconds
#: The usage of each call, and its reservation by its `max_tokens`; events of a stream.
INPUT, OUTPUT, EVENTS = 5, 60, 40
#: The tokens of the budget that is spent while all goes on.
LIMIT = 6_000
USAGE = {"prompt_tokens": INPUT, "completion_tokens": OUTPUT}
REPLY = sized(json.dumps({"usage": USAGE}).encode(), "200 OK", "Content-Type: application/json")
CALL = {"max_tokens": OUTPUT, "messages": [{"role": "user", "content": "Hello!"}]}


async def respond(peer: Peer) -> None:
    """Respond at once, or by a stream of most of a second."""
    while True:
        request = json.loads((await peer.request()).body)
        if not request.get("stream"):
            await peer.write(REPLY)
            continue
        await peer.write(STREAM)
        for _ in range(EVENTS):
            await peer.write(chunk(b'data: {"choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'))
            await asyncio.sleep(0.02)
        last = json.dumps({"choices": [], "usage": USAGE}).encode()
        await peer.write(chunk(b"data: %s\n\ndata: [DONE]\n\n" % last) + b"0\r\n\r\n")


@contextmanager
def budgeted(gateway: RunningGateway) -> Iterator[TenantInUse]:
    """A tenant with a budget of all calls in USD, and one of the model `tight` in tokens."""
    with Upstream(respond) as upstream:
        tenant = gateway.create_tenant(tier="enterprise")

        tenant.create(
            "providers",
            name="main",
            kind="custom",
            base_url=f"{upstream.url}/v1",
            apis=["openai.chat"],
            keys=[{"secret": "sk-main-0123456789"}],
            models=[{"id": name, "prices": {"input": "1", "output": "2"}} for name in ("wide", "tight")],
        )
        tenant.create("budgets", name="all", period="month", limit={"usd": "1000"})
        tenant.create(
            "budgets", name="tight", period="total", scope={"model": "tight"}, limit={"tokens": LIMIT}
        )
        tenant.create("rules", path="/v1", ai={"providers": ["main"]})
        tenant.await_rule("/v1")
        yield tenant


@contextmanager
def load(tenant: TenantInUse, found: "Counter[str]") -> Iterator[None]:
    """Whole calls and streams, some of which the client leaves; `found` counts how they ended."""
    stop = threading.Event()

    def call(number: int) -> None:
        chosen = random.Random(number)
        with requests.Session() as session:
            session.headers.update({"Host": tenant.host, "Authorization": f"Bearer {tenant.key}"})
            while not stop.is_set():
                found[once(session, chosen)] += 1

    def once(session: requests.Session, chosen: random.Random) -> str:
        kind = chosen.choice(("whole", "whole", "stream", "left"))
        body = {"model": chosen.choice(("wide", "tight")), **CALL, "stream": kind != "whole"}
        url = f"{tenant.gateway.proxy}/v1/chat/completions"
        try:
            with session.post(url, json=body, timeout=15, stream=True) as response:
                if response.status_code != 200:
                    assert response.status_code in (429, 503), response.text
                    time.sleep(0.02)
                    return str(response.status_code)
                for number, _ in enumerate(response.iter_lines()):
                    if kind == "left" and number > chosen.randrange(EVENTS):
                        break
        except requests.RequestException:
            return "broken"  # its worker was killed
        return kind

    with ThreadPoolExecutor(CALLERS) as pool:
        callers = [pool.submit(call, number) for number in range(CALLERS)]
        try:
            yield
        finally:
            stop.set()
        for one in callers:
            one.result()


@pytest.fixture
def tenant(gateway: RunningGateway) -> Iterator[TenantInUse]:
    with budgeted(gateway) as tenant:
        yield tenant


def check(gateway: RunningGateway) -> str:
    """Assert that the check finds nothing. Returns what it says."""
    done = run_command(sys.executable, "-m", "shared.usage", "check", env=gateway.environment())
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "budgets compared: 2.\n" in done.stdout
    return done.stdout


def kill_one(gateway: RunningGateway) -> None:
    os.kill(workers(gateway)[0].pid, signal.SIGKILL)


def test_budgets_equal_their_rows_after_kills_a_hung_redis_and_hang_ups(
    running: Server, gateway: RunningGateway, tenant: TenantInUse
) -> None:
    found = Counter[str]()
    with load(tenant, found):
        time.sleep(1)
        for _ in range(3):
            kill_one(gateway)
            time.sleep(1)
            check(gateway)
        await_workers(gateway, 2)
        running.signal(signal.SIGSTOP)
        time.sleep(OUTAGE / 2)
        kill_one(gateway)
        time.sleep(OUTAGE / 2)
        running.signal(signal.SIGCONT)
        time.sleep(2)
        check(gateway)
        kill_one(gateway)
        time.sleep(1)
    await_workers(gateway, 2)
    time.sleep(LEASE + 1)  # the leases of killed workers end
    with Redis(unix_socket_path=running.socket) as client:
        last = Counter[str]()
        with load(tenant, last):
            time.sleep(1)
        time.sleep(1)
        check(gateway)
        wide, tight = states_of(client, tenant)
        rows = list(UsageReader(client).all_rows(tenant.id))
    figure("budgets", f"{dict(found)}; {len(rows)} rows; {told(wide)}; tight: {told(tight)} of {LIMIT}")
    assert (wide.held, tight.held, last["429"] > 0) == (0, 0, True)
    assert found["whole"] > 0
    assert found["stream"] > 0
    assert found["left"] > 0
    # Each worker spends its part of what was left while Redis hangs. One that is back before the other asks
    # Redis, which does not know yet what the other holds.
    assert tight.used <= LIMIT + CALLERS * (INPUT + OUTPUT)


def test_budgets_equal_their_rows_once_repaired_after_failovers(tmp_path: Path) -> None:
    found = Counter[str]()
    with ExitStack() as stack:
        sentinels = stack.enter_context(sentinel_set(tmp_path))
        settings = {**sentinels.environment, "GATEWAY__SERVER__WORKERS": "2"}
        gateway = stack.enter_context(RunningGateway(tmp_path / "gateway" / "data", settings))
        await_workers(gateway, 2)
        tenant = stack.enter_context(budgeted(gateway))
        repaired = 0
        with load(tenant, found):
            for _ in range(3):
                time.sleep(1)
                lose_the_last_writes(sentinels)
                time.sleep(2)
                repaired += repair(gateway)
        time.sleep(LEASE + 1)  # the leases end whose settles were lost
        with load(tenant, Counter()):
            time.sleep(1)
        time.sleep(1)
        repaired += repair(gateway)
        said = check(gateway)
        wide, tight = states_of(sentinels.primary.client, tenant)
    figure("budgets", f"3 failovers: {dict(found)}; {told(wide)}; tight: {told(tight)} of {LIMIT}")
    figure("budgets", f"3 failovers: {repaired} differences were repaired; {said.splitlines()[0]}")
    assert (wide.held, tight.held, repaired > 0) == (0, 0, True)
    # Reservations that a failover forgets are spent again, at most those in flight.
    assert tight.used <= LIMIT + 4 * CALLERS * (INPUT + OUTPUT)


def lose_the_last_writes(sentinels: SentinelSet) -> None:
    """Kill the primary a moment after it has lost its replica, which is stopped so that it does not return."""
    primary, replica = sentinels.primary, sentinels.replica
    replica.signal(signal.SIGSTOP)
    primary.run("CLIENT", "KILL", "TYPE", "replica")
    time.sleep(0.3)  # of writes
    primary.kill()
    replica.signal(signal.SIGCONT)
    sentinels.restore(primary)


def repair(gateway: RunningGateway) -> int:
    """The number of differences that were repaired."""
    done = run_command(sys.executable, "-m", "shared.usage", "repair", env=gateway.environment())
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout.count(". Repaired.\n")


def states_of(client: Redis, tenant: TenantInUse) -> tuple[BudgetState, BudgetState]:
    """The budget of all calls, and the one in tokens."""
    store = BudgetStore(client)
    states = store.states(tenant.id, dict.fromkeys(store.names(tenant.id)[tenant.id], LIMIT))
    by_id = {name.partition(":")[0]: state for name, state in states.items()}
    budgets = tenant.gateway.call("GET", f"/tenants/{tenant.id}/budgets").json()["budgets"]
    wide, tight = (by_id[one["id"]] for one in sorted(budgets, key=lambda one: str(one["name"])))
    return wide, tight


def told(state: BudgetState) -> str:
    return f"{state.used} used, {state.held} held, {state.lost} lost"
