"""Requests as they come, and usage."""

from typing import Any
from unittest.mock import Mock

import orjson
import pytest

from shared.records.reader import Filter, RecordPage
from tests.admin_app.world import OneRecord, Tenant, World
from tests.cli.conftest import Shell


def test_request_is_one_line(shell: Shell) -> None:
    [line] = shell.run("logs").out.splitlines()
    assert line.split()[1:6] == ["200", "103.5", "ms", "POST", "/v1/chat/completions"]
    assert line.endswith("openai gpt-5.6  1000+50 tokens  0.0015 USD")


def test_request_as_json_is_one_line_too(shell: Shell, tenant: Tenant) -> None:
    [line] = shell.run("logs", "-t", "acme", "-o", "json").out.splitlines()
    assert orjson.loads(line)["request_id"] == "req-1"
    assert shell.run("logs", "-o", "name").out == "req-1\n"
    assert shell.run("logs", "-o", "yaml").out.startswith("---\nid: 1-0\n")


class GrowingRecords(OneRecord):
    """A list that grows by a page and a half between two reads."""

    def page(self, owner: str, wanted: Filter, **query: Any) -> RecordPage:
        ids = {None: ["1-0"], "1-0": ["4-0", "3-0"], "4-0": []}[query["after"]]
        if query["before"]:
            ids = ["2-0"]
        more = ids[-1] if ids == ["4-0", "3-0"] else None
        found = [self.record._replace(id=one) for one in ids]
        return RecordPage(found, more, newest=ids[0] if ids else None)


def test_new_requests_are_followed_without_a_gap_until_ctrl_c(
    shell: Shell, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = iter([None, None])

    def sleep(_: float) -> None:
        if next(turns, "over") == "over":
            raise KeyboardInterrupt

    monkeypatch.setattr("shared.cli.commands.traffic.time", Mock(sleep=sleep))
    monkeypatch.setattr("tests.admin_app.world.OneRecord", GrowingRecords)
    ended = shell.run("logs", "-f", "-o", "json")
    assert ended.code == 130
    assert [orjson.loads(line)["id"] for line in ended.out.splitlines()] == ["1-0", "2-0", "3-0", "4-0"]


def test_usage_is_a_table_json_or_csv(shell: Shell, tenant: Tenant) -> None:
    assert shell.run("usage").out.split()[:2] == ["TENANT", "CALLS"]
    report = shell.run("usage", "-t", "acme", "--group-by", "model", "--group-by", "day", "-o", "json").json
    assert report["group_by"] == ["model", "day"]
    printed = shell.run("usage", "-t", "acme", "--group-by", "model", "--format", "csv").out
    assert printed.splitlines() == ["model,calls,input,output,cached,cost,unpriced"]
    assert "/from" in shell.fails(1, "usage", "--from", "soon")
