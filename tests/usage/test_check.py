"""The command that compares the ledger with its sums, on a real store."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis import Redis

from shared.config_store import layout
from shared.usage.__main__ import main
from shared.usage.aggregates import Combination, sums_of
from shared.usage.check.sums import check_sums
from shared.usage.keys import ledger_key, sums_keys
from shared.usage.row import LedgerRow, day_of
from tests.support.commands import run_command
from tests.support.valkey_server import Server
from tests.usage.rows import row
from tests.usage.test_settler import settle

#: The day before yesterday at noon: sums are compared up to today.
NOON = (datetime.now(UTC) - timedelta(days=2)).replace(hour=12, minute=0).timestamp()
_SECONDS = 86_400


@pytest.fixture
def client(running: Server) -> Iterator[Redis]:
    with Redis(unix_socket_path=running.socket) as client:
        yield client


def write(running: Server, *rows: LedgerRow) -> None:
    asyncio.run(settle(running.socket, list(rows)))


Check = Callable[..., tuple[int, str]]


@pytest.fixture
def check(
    running: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Check:
    """Runs the command. Returns its status and its output."""
    for name, value in environment(running, tmp_path).items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str, command: str = "check") -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["usage", command, *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().out

    return run


def environment(running: Server, folder: Path) -> dict[str, str]:
    return {
        "GATEWAY__REDIS__MODE": "external",
        "GATEWAY__REDIS__URL": f"unix://{running.socket}",
        "GATEWAY__DATA_DIR": str(folder),
    }


def test_a_ledger_that_gives_its_sums_is_found_to_be_right(running: Server, check: Check) -> None:
    rows = [row(number, time=NOON + number % 2 * _SECONDS, model="ab"[number % 2]) for number in range(10)]
    write(running, *rows, row(20, tenant="globex", time=NOON, cost_nano=None, rates={}))
    day = day_of(NOON)
    assert check() == (
        0,
        f"acme: 10 rows; sums are compared from {day} on.\n"
        f"globex: 1 rows; sums are compared from {day} on.\n",
    )


def test_a_sum_and_a_cost_that_differ_are_shown_and_end_with_2(
    running: Server, client: Redis, check: Check
) -> None:
    write(running, row(1, time=NOON), row(2, tenant="globex", time=NOON), row(3, time=NOON, cost_nano=1))
    day = day_of(NOON)
    calls = sums_keys("acme", day)[0]
    client.hincrby(calls, Combination.of(row(1)).field, 1)
    status, output = check()
    assert status == 2
    assert "acme: row row-3, cost_nano: 1 is stored, the rows give 70000\n" in output
    assert f"acme: {day} [" in output
    assert "calls=3" in output
    assert "calls=2" in output
    assert check("--tenant", "globex")[0] == 0
    assert check("--tenant", "acme")[0] == 2


def test_tenant_is_named_by_its_subdomain_or_its_id(running: Server, client: Redis, check: Check) -> None:
    write(running, row(1, tenant="tenant_1", time=NOON), row(2, tenant="tenant_2", time=NOON))
    client.hset(layout.SUBDOMAINS, "acme", "tenant_1")
    for name, tenant_id in (("acme", "tenant_1"), ("Acme", "tenant_1"), ("tenant_2", "tenant_2")):
        assert check("--tenant", name)[1].splitlines() == [
            f"{tenant_id}: 1 rows; sums are compared from {day_of(NOON)} on."
        ]


def test_a_damaged_row_is_named_and_the_others_are_compared(
    running: Server, client: Redis, check: Check
) -> None:
    write(running, row(1, time=NOON))
    texts = [b"{", b"{}", row(2).encoded().replace('"status":200', '"status":"200"').encode()]
    texts.append(row(3).encoded().replace('"time":17', '"time":1e40,"old":17').encode())
    damaged = [client.xadd(ledger_key("acme"), {"row": text}) for text in texts]
    damaged.append(client.xadd(ledger_key("acme"), {"other": "x"}))
    write(running, row(4, time=NOON), row(5, tenant="globex", time=NOON))
    status, output = check()
    assert status == 2
    for entry in damaged:
        assert f"acme: led:{{acme}}, entry {entry.decode()}: the row is damaged: " in output
    assert f"acme: 2 rows; sums are compared from {day_of(NOON)} on.\n" in output
    assert "is stored" not in output
    assert "globex: 1 rows;" in output
    client.hincrby(sums_keys("acme", day_of(NOON))[0], Combination.of(row(1)).field, 1)
    assert "the rows give Totals(calls=2" in check()[1]


def test_a_ledger_of_damaged_rows_alone_is_no_reason_to_stop(client: Redis, check: Check) -> None:
    client.xadd(ledger_key("acme"), {"row": "{"})
    status, output = check()
    assert status == 2
    assert output.startswith("acme: 0 rows; sums are compared from ")


def test_a_ledger_without_its_oldest_rows_says_from_when_it_is_compared(
    running: Server, client: Redis, check: Check
) -> None:
    """Rows that are missing were written before the others, also those that waited and came a day late."""
    rows = [row(1, time=NOON), row(2, time=NOON - _SECONDS), row(3, time=NOON + _SECONDS)]
    write(running, *rows)
    client.delete(ledger_key("acme"))
    for one, time in zip(rows, (NOON, NOON + 1, NOON + _SECONDS), strict=True):
        client.xadd(ledger_key("acme"), {"row": one.encoded()}, id=f"{int(time * 1000)}-0")
    client.xtrim(ledger_key("acme"), maxlen=2, approximate=False)
    status, output = check()
    assert (status, output) == (
        0,
        "acme: 2 rows; older ones are missing, because the ledger is bounded; "
        f"sums are compared from {day_of(NOON + _SECONDS)} on.\n",
    )
    client.hincrby(sums_keys("acme", day_of(NOON + _SECONDS))[0], Combination.of(row(1)).field, 1)
    assert check()[0] == 2


def test_a_ledger_without_any_row_is_not_compared(running: Server, client: Redis, check: Check) -> None:
    write(running, row(1, time=NOON))
    client.xtrim(ledger_key("acme"), maxlen=0, approximate=False)
    assert check() == (0, "acme: no rows; nothing is compared.\n")
    assert check("--tenant", "nobody") == (0, "nobody: no rows; nothing is compared.\n")


def test_calls_that_are_written_meanwhile_are_no_drift() -> None:
    before, stored, after = (sums_of(row(number) for number in range(most)) for most in (2, 3, 5))
    days = ["2026-12-01"]
    assert list(check_sums(before, stored, days=days))
    assert not list(check_sums(before, stored, days=days, later=after))
    assert list(check_sums(before, after, days=days, later=stored))
    assert list(check_sums(stored, before, days=days, later=after))
    assert not list(check_sums({}, {}, days=days))


def test_a_store_that_does_not_respond_is_said_in_a_sentence(running: Server, tmp_path: Path) -> None:
    running.kill()
    command = [sys.executable, "-m", "shared.usage", "check"]
    done = run_command(*command, env=environment(running, tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("python -m shared.usage: ")
    assert "Traceback" not in done.stderr
