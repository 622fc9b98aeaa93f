"""Ledgers as files of a day."""

import asyncio
import os
from pathlib import Path

import pytest
import zstandard
from redis import Redis

from shared.usage.archiver import Archiver, archived_rows
from shared.usage.keys import SIZES_KEY, archived_key, ledger_key
from shared.usage.reader import UsageReader
from shared.usage.row import LedgerRow
from tests.usage.rows import NOON, row
from tests.usage.test_settler import settle

DAY = 86_400


def write(socket: str, *rows: LedgerRow) -> None:
    asyncio.run(settle(socket, list(rows)))


def ids(folder: Path, tenant_id: str = "acme", day: str = "2026-12-01") -> list[str]:
    return [one.id for one in archived_rows(folder, tenant_id, day)]


def test_rows_are_copied_to_files_by_tenant_and_day_each_once(
    valkey_socket: str, client: Redis, tmp_path: Path
) -> None:
    rows = [row(1), row(2, time=NOON + DAY), row(3, tenant="globex"), row(4)]
    write(valkey_socket, *rows)
    archiver = Archiver(client, tmp_path)
    assert archiver.run() == 4
    assert archiver.run() == 0
    write(valkey_socket, row(5))
    assert Archiver(client, tmp_path).run() == 1
    assert list(archived_rows(tmp_path, "acme", "2026-12-01")) == [rows[0], rows[3], row(5)]
    assert ids(tmp_path, day="2026-12-02") == ["row-2"]
    assert ids(tmp_path, "globex") == ["row-3"]
    assert ids(tmp_path, "nobody") == []
    assert len(list(UsageReader(client).all_rows("acme"))) == 4  # reports still have them


def test_copied_rows_leave_redis_after_their_time_and_others_do_not(
    valkey_socket: str, client: Redis, tmp_path: Path
) -> None:
    write(valkey_socket, row(1))
    Archiver(client, tmp_path, kept_seconds=-1).run(lambda: False)
    assert client.xlen(ledger_key("acme")) == 1
    before = int(client.hget(SIZES_KEY, "acme") or 0)
    Archiver(client, tmp_path, kept_seconds=-1).run()
    assert client.xlen(ledger_key("acme")) == 0
    assert int(client.hget(SIZES_KEY, "acme") or 0) < before
    assert ids(tmp_path) == ["row-1"]
    assert not UsageReader(client).is_complete("acme")
    write(valkey_socket, row(2))
    Archiver(client, tmp_path, kept_seconds=-1).run()
    assert ids(tmp_path) == ["row-1", "row-2"]


def test_rows_that_were_copied_twice_are_read_once(valkey_socket: str, client: Redis, tmp_path: Path) -> None:
    write(valkey_socket, row(1), row(2))
    Archiver(client, tmp_path).run()
    client.delete(archived_key("acme"))  # it ended before it could write down how far it was
    assert Archiver(client, tmp_path).run() == 2
    assert ids(tmp_path) == ["row-1", "row-2"]


@pytest.mark.parametrize("left", [1, 5, -1])
def test_a_copy_that_was_broken_off_does_not_hide_what_follows(
    valkey_socket: str, client: Redis, tmp_path: Path, left: int
) -> None:
    write(valkey_socket, row(1))
    Archiver(client, tmp_path).run()
    file = tmp_path / "2026-12-01" / "acme.jsonl.zst"
    whole = file.read_bytes()
    file.write_bytes(whole + zstandard.ZstdCompressor().compress(b"half" * 100)[:left])
    assert ids(tmp_path) == ["row-1"]
    write(valkey_socket, row(2))
    Archiver(client, tmp_path).run()
    assert ids(tmp_path) == ["row-1", "row-2"]
    assert file.read_bytes().startswith(whole)


def test_a_file_that_is_damaged_says_so_and_is_put_aside(
    valkey_socket: str, client: Redis, tmp_path: Path
) -> None:
    (tmp_path / "2026-12-01").mkdir()
    (tmp_path / "2026-12-01" / "acme.jsonl.zst").write_bytes(b"something else")
    with pytest.raises(ValueError, match="damaged"):
        ids(tmp_path)
    write(valkey_socket, row(1))
    Archiver(client, tmp_path).run()
    assert ids(tmp_path) == ["row-1"]
    assert (tmp_path / "2026-12-01" / "acme.jsonl.zst.damaged").read_bytes() == b"something else"


def test_many_rows_are_copied_in_pages_while_this_process_leads(
    valkey_socket: str, client: Redis, tmp_path: Path
) -> None:
    write(valkey_socket, *(row(number) for number in range(2_500)))
    turns = iter([True, True, False])
    assert Archiver(client, tmp_path).run(lambda: next(turns)) == 2_000
    assert Archiver(client, tmp_path).run() == 500
    assert ids(tmp_path) == [f"row-{number}" for number in range(2_500)]


def test_an_entry_that_is_no_row_does_not_stop_the_others(
    valkey_socket: str, client: Redis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client.xadd(ledger_key("acme"), {"other": "x"}, id="1796126400000-1")
    write(valkey_socket, row(1, tenant="globex"))
    client.xadd(ledger_key("../x"), {"row": row(1).encoded()})
    assert Archiver(client, tmp_path).run() == 2
    assert ids(tmp_path, "globex") == ["row-1"]
    assert "damaged" in caplog.text
    assert "no name for a file" in caplog.text


def test_a_folder_that_cannot_be_written_keeps_the_rows_in_redis(
    valkey_socket: str, client: Redis, tmp_path: Path
) -> None:
    write(valkey_socket, row(1))
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Archiver(client, tmp_path / "file", kept_seconds=-1).run()
    assert client.xlen(ledger_key("acme")) == 1
    assert Archiver(client, tmp_path, kept_seconds=-1).run() == 1


def test_a_disk_that_is_full_keeps_the_rows_and_leaves_no_half_frame(
    valkey_socket: str, client: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archiver = Archiver(client, tmp_path)
    write(valkey_socket, row(1))
    real = os.write
    pieces = iter([3])

    def full(file: int, data: bytes) -> int:
        for size in pieces:
            return real(file, data[:size])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            archiver.run()
    assert archiver.run() == 1
    assert ids(tmp_path) == ["row-1"]


def test_only_the_user_of_the_gateway_can_read_the_files(
    valkey_socket: str, client: Redis, tmp_path: Path
) -> None:
    write(valkey_socket, row(1))
    Archiver(client, tmp_path / "ledger").run()
    for path in (tmp_path / "ledger").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0
