"""Every shell block of README and docs/ prints what stands beside it, pasted in order into one shell."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from examples.demo_upstream.server import DemoHandler, DemoServer, DemoUpstream
from tests.docs.shell_blocks import ShellBlock, run_blocks, shell_blocks
from tests.support.commands import ROOT, serving
from tests.support.gateway import RunningGateway

# Its block goes on where README ends.
CONTINUES = ROOT / "docs" / "how-to" / "debugging.md"
# Their blocks lose and move the store: see test_backup_page.py and test_moving_page.py.
OTHERS = [ROOT / "docs" / "how-to" / "backup.md", ROOT / "docs" / "how-to" / "moving.md"]
PAGES = [
    page
    for page in (ROOT / "README.md", *ROOT.glob("docs/**/*.md"))
    if page not in OTHERS and shell_blocks(page.read_text())
]
WITH_MEMBER = [page for page in PAGES if "member id" in page.read_text()]
KEYS = {"OPENAI_API_KEY": "sk-test", "ANTHROPIC_API_KEY": "sk-ant-test"}


class _ProviderHandler(DemoHandler):
    """OpenAI and Anthropic, which reject a call without their key."""

    def do_POST(self) -> None:
        is_anthropic = self.path.startswith("/v1/messages")
        sent = self.headers.get("x-api-key" if is_anthropic else "Authorization", "")
        if sent.removeprefix("Bearer ") != KEYS["ANTHROPIC_API_KEY" if is_anthropic else "OPENAI_API_KEY"]:
            self.body()
            return self.response(401, {"error": {"message": "No key.", "code": "invalid_api_key"}})
        return super().do_POST()


class Providers(DemoServer):
    handler = _ProviderHandler


@dataclass(frozen=True)
class Running:
    """A gateway as `run_local.sh` starts it, and the texts of a page that stand for its addresses."""

    gateway: RunningGateway
    replaced: Mapping[str, str]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with (
        serving(DemoUpstream(0)) as demo,
        serving(Providers(0)) as providers,
        RunningGateway(tmp_path_factory.mktemp("docs") / "data") as gateway,
    ):
        provider = f"http://127.0.0.1:{providers}"
        replaced = {
            ":8080": f":{gateway.admin_port}",
            ":8081": f":{gateway.proxy_port}",
            ":8082": f":{demo}",
            "https://api.openai.com": provider,
            "https://api.anthropic.com": provider,
        }
        yield Running(gateway, replaced)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_shell_block_prints_what_the_page_says(page: Path, running: Running, checkout: Path) -> None:
    blocks, replaced = shell_blocks(page.read_text()), running.replaced
    if page == CONTINUES:
        blocks = [*shell_blocks((ROOT / "README.md").read_text()), *blocks]
        replaced = {**replaced, '"acme"': '"acme-again"', "acme.": "acme-again."}
    env = {**running.gateway.environment(), **KEYS}
    run_blocks(blocks, replaced, folder=checkout, env=env)


@pytest.mark.parametrize("page", WITH_MEMBER, ids=lambda page: str(page.relative_to(ROOT)))
def test_step_that_fails_prints_what_is_wrong(page: Path) -> None:
    [definition] = re.findall(r"^member\(\) .*$", page.read_text(), re.MULTILINE)
    problem = {"status": 409, "detail": "The subdomain acme is in use. Choose another one."}
    script = f"{definition}\necho '{json.dumps(problem)}' | member id"
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=env)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", f"{problem['detail']}\n")


def test_shell_of_every_page_has_no_syntax_error() -> None:
    for page in PAGES:
        for block in shell_blocks(page.read_text()):
            checked = subprocess.run(["bash", "-n"], input=block.code, capture_output=True, text=True)
            assert not checked.stderr, f"{page}: {block.code}"


@pytest.mark.parametrize(
    ("printed", "output", "matches"),
    [
        (None, "anything", True),
        ("201\n", "201 \n", True),
        ("201\n", "201\n200\n", False),
        ("{… 1}\na\n", "{x\ny 1}\na\n", True),
        ("a.c\n", "abc\n", False),
    ],
)
def test_output_matches_what_the_page_says(printed: str | None, output: str, matches: bool) -> None:
    assert ShellBlock("", printed).is_printed_by(output) is matches


def test_blocks_of_other_languages_are_not_run(tmp_path: Path) -> None:
    page = "```sh\nexit 1\n```\n```bash\necho one\n```\n```text\none\n```\n\n```bash\nfalse\n```\n"
    blocks = shell_blocks(page)
    assert [block.printed for block in blocks] == ["one\n", None]
    run_blocks(blocks, {}, folder=tmp_path, env={"PATH": "/usr/bin:/bin"})
    with pytest.raises(AssertionError, match="two"):
        run_blocks([ShellBlock("echo two", "one")], {}, folder=tmp_path, env={"PATH": "/usr/bin:/bin"})
