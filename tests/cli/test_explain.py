"""A dry run of a request, with the decision as the exit code."""

from pathlib import Path

import pytest

from tests.admin_app.world import Api, Tenant
from tests.cli.conftest import Shell

LIMITER = {"name": "rate_limiter", "settings": {"limit": 3, "window": "10s"}}


@pytest.fixture
def at(shell: Shell, api: Api, tenant: Tenant) -> Shell:
    """A shell in which a tenant with a limited rule is named."""
    api.rule(tenant, "/v1", plugin_chain=[LIMITER])
    shell.variables["GW_TENANT"] = "acme"
    return shell


def test_request_that_passes_ends_with_0_and_shows_plan_and_limits(at: Shell, tenant: Tenant) -> None:
    ended = at.run("explain", "/v1/chat", "--key", "first key", "-d", '{"model": "m"}')
    assert ended.code == 0, ended.err
    assert "outcome   forwarded\n" in ended.out
    assert "POST https://api.openai.com/v1/chat" in ended.out
    assert "rate_limiter" in ended.out
    assert at.run("explain", "/v1/chat", "--key", tenant.key, "-o", "name").out == "forwarded\n"


def test_request_that_is_rejected_ends_with_5_and_says_why(at: Shell) -> None:
    without_key = at.run("explain", "/v1/chat")
    assert (without_key.code, "missing_api_key" in without_key.out) == (5, True)
    without_rule = at.run("explain", "/other", "--key", "first key")
    assert (without_rule.code, "not /v1: " in without_rule.out) == (5, True)


def test_body_comes_from_a_file_or_standard_input(at: Shell, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"\xff\x00")
    found = at.run("explain", "/v1", "--key", "first key", "-d", f"@{tmp_path / 'body'}", "-o", "json").json
    assert found["upstream"]["body_bytes"] == 2
    found = at.run("explain", "/v1", "--key", "first key", "-d", "@-", "-o", "json", stdin="{}").json
    assert found["upstream"]["body"] == "{}"
    assert "cannot be read" in at.fails(1, "explain", "/v1", "-d", "@/nowhere")


def test_response_stages_run_on_a_given_response(at: Shell) -> None:
    found = at.run("explain", "/v1", "--key", "first key", "--response", '{"a": 1}', "-o", "json").json
    assert found["response"]["body"] == '{"a": 1}'


def test_draft_is_tried_before_it_is_saved(at: Shell, tmp_path: Path) -> None:
    draft = tmp_path / "rule.yaml"
    draft.write_text("path: /new\ntarget: https://api.openai.com\n")
    found = at.run("explain", "/new", "--key", "first key", "--draft", draft, "-o", "json").json
    assert found["outcome"] == "forwarded"
    draft.write_text("path: [")
    assert "is not YAML" in at.fails(1, "explain", "/new", "--draft", draft)


def test_header_without_a_colon_is_told(at: Shell) -> None:
    assert "is not NAME: VALUE." in at.fails(1, "explain", "/v1", "-H", "nothing")
