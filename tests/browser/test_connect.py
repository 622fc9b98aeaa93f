"""The page Connect: examples that run as they are, and the call as it arrives."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from examples.demo_upstream.server import DemoUpstream
from tests.support.browser import Dashboard
from tests.support.commands import serving
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.packages import need_command

CHAT, MESSAGES = "openai.chat", "anthropic.messages"
SECRET = "sk-canary-0123456789abcdef"
#: How an example is run: the command, and the name of its file.
PYTHON = ([sys.executable], "example.py")
SHELL = (["bash"], "example.sh")
# The part of the package openai that the example uses.
OPENAI_JS = """
export default class OpenAI {
  constructor({ baseURL, apiKey, defaultHeaders }) {
    const headers = { "Content-Type": "application/json", Authorization: `Bearer ${apiKey}`, ...defaultHeaders };
    const create = async (body) => {
      const response = await fetch(`${baseURL}/chat/completions`,
        { method: "POST", headers, body: JSON.stringify(body) });
      if (!response.ok) throw new Error(await response.text());
      return response.json();
    };
    this.chat = { completions: { create } };
  }
}
"""
# Claude Code as far as it is set by the example: it calls Anthropic's API with these variables.
CLAUDE = """#!{python}
import os
from anthropic import Anthropic
client = Anthropic(base_url=os.environ["ANTHROPIC_BASE_URL"], auth_token=os.environ.get("ANTHROPIC_AUTH_TOKEN"))
question = [{{"role": "user", "content": "Hello!"}}]
print(client.messages.create(model=os.environ["ANTHROPIC_MODEL"], max_tokens=9, messages=question).content[0].text)
"""


@pytest.fixture(scope="session")
def demo() -> Iterator[str]:
    with serving(DemoUpstream(0, keys={SECRET})) as port:
        yield f"http://127.0.0.1:{port}"


def with_rule(tenant: TenantInUse, demo: str, apis: list[str], path: str = "/ai", **members: Any) -> None:
    """A rule for AI that serves the demo provider."""
    at = f"/tenants/{tenant.id}"
    tenant.gateway.create(
        f"{at}/providers",
        name="demo",
        kind="custom",
        base_url=f"{demo}/v1",
        apis=[CHAT],
        keys=[{"secret": SECRET}],
        models=[{"id": "demo-small"}, {"id": 'it\'s "new"'}],
    )
    if MESSAGES in apis:
        keys, models = [{"secret": SECRET}], [{"id": "demo-claude"}]
        tenant.gateway.create(
            f"{at}/providers", name="c", kind="anthropic", base_url=demo, keys=keys, models=models
        )
    tenant.gateway.create(
        f"{at}/rules", path=path, ai={"apis": apis, "default_model": "demo-small"}, **members
    )


def opened(dashboard: Dashboard, tenant: TenantInUse) -> Page:
    return dashboard.open(f"/ui/tenants/{tenant.id}/connect")


def code(page: Page) -> str:
    return page.locator("#code").inner_text()


def test_tabs_are_chosen_by_keyboard_and_stay_in_the_address(
    dashboard: Dashboard, tenant: TenantInUse, demo: str
) -> None:
    with_rule(tenant, demo, [CHAT, MESSAGES])
    page = opened(dashboard, tenant)
    expect(page.get_by_text("Waiting for the first call…")).to_be_visible()
    assert '{"model": "demo-small", "messages"' in code(page)
    page.get_by_role("tab", name="curl").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="OpenAI, Python")).to_be_focused()
    assert "/ai/v1" in code(page)
    page.keyboard.press("End")
    expect(page.get_by_role("tab", selected=True)).to_have_text("Claude Code")
    # Its provider has chat only: its requests are translated.
    assert "ANTHROPIC_MODEL=demo-small" in code(page)
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tabpanel")).to_have_accessible_name("curl")
    page.keyboard.press("ArrowLeft")
    assert page.url.endswith("?tab=claude-code")


def test_key_that_is_created_is_in_the_examples_and_nowhere_else(
    dashboard: Dashboard, tenant: TenantInUse, demo: str
) -> None:
    with_rule(tenant, demo, [CHAT])
    page = opened(dashboard, tenant)
    assert "YOUR_API_KEY" in code(page)
    page.get_by_role("button", name="Create a key").click()
    key = page.get_by_role("dialog").locator("code").inner_text()
    page.get_by_role("button", name="I have stored it").click()
    expect(page.get_by_role("tabpanel")).to_contain_text(f"Authorization: Bearer {key}")
    kept = page.evaluate(
        "[location.href, JSON.stringify(localStorage), JSON.stringify(sessionStorage)].join()"
    )
    assert key not in kept
    assert all(key not in url for url in dashboard.asked)
    page.get_by_label("API key").fill("")
    assert "YOUR_API_KEY" in code(page)


def test_rule_that_serves_no_such_api_has_no_example(
    dashboard: Dashboard, tenant: TenantInUse, demo: str
) -> None:
    with_rule(tenant, demo, [CHAT])
    page = dashboard.open(f"/ui/tenants/{tenant.id}/connect?tab=anthropic")
    expect(page.get_by_text("No model of this rule speaks anthropic.messages.")).to_be_visible()


@pytest.mark.slow
def test_tenant_without_rules_is_told_to_add_one(dashboard: Dashboard, tenant: TenantInUse) -> None:
    page = opened(dashboard, tenant)
    expect(page.get_by_text("No rule takes calls yet.")).to_be_visible()
    page.get_by_role("link", name="Add a rule").click()
    page.wait_for_url(f"**/ui/tenants/{tenant.id}")


def run(example: str, how: tuple[list[str], str], folder: Path, **variables: str) -> str:
    """The output of an example that is pasted into a file and run."""
    command, name = how
    (folder / name).write_text(example)
    # No proxy of the environment can reach this machine.
    env = {**{k: v for k, v in os.environ.items() if "proxy" not in k.lower()}, **variables}
    ended = subprocess.run(
        [*command, name], cwd=folder, env=env, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 0, f"{example}\n{ended.stderr}"
    return ended.stdout


def run_of_javascript(example: str, folder: Path) -> str:
    package = folder / "node_modules" / "openai"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"name": "openai", "main": "index.mjs"}')
    (package / "index.mjs").write_text(OPENAI_JS)
    return run(example, ([need_command("node", "nodejs")], "example.mjs"), folder)


def run_of_langchain(example: str, folder: Path) -> str:
    """Call what the example constructs, with the SDK that LangChain uses."""
    [made] = [one for one in ast.walk(ast.parse(example)) if isinstance(one, ast.Call) and one.keywords]
    assert ast.unparse(made.func) == "ChatOpenAI"
    given = {one.arg: ast.literal_eval(one.value) for one in made.keywords}
    assert list(given) == ["model", "base_url", "api_key"]
    script = f"""
from openai import OpenAI
client = OpenAI(base_url={given["base_url"]!r}, api_key={given["api_key"]!r})
question = [{{"role": "user", "content": "Hello!"}}]
print(client.chat.completions.create(model={given["model"]!r}, messages=question).choices[0].message.content)
"""
    return run(script, PYTHON, folder)


def run_of_claude(example: str, folder: Path) -> str:
    program = folder / "claude"
    program.write_text(CLAUDE.format(python=sys.executable))
    program.chmod(0o755)
    return run(example, SHELL, folder, PATH=f"{folder}{os.pathsep}{os.environ['PATH']}")


RUNS = {
    "curl": lambda example, folder: run(example, SHELL, folder),
    "openai-python": lambda example, folder: run(example, PYTHON, folder),
    "openai-js": run_of_javascript,
    "anthropic": lambda example, folder: run(example, PYTHON, folder),
    "langchain": run_of_langchain,
    "claude-code": run_of_claude,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ai", "plain"])
def test_every_example_runs_as_it_is_copied_and_its_call_arrives(
    dashboard: Dashboard, proxy: RunningGateway, tenant: TenantInUse, demo: str, tmp_path: Path, kind: str
) -> None:
    if kind == "ai":
        with_rule(tenant, demo, [CHAT, MESSAGES])
        tenant.await_rule("/ai")
    else:
        tenant.create_rule("/v1", demo, headers={"Authorization": f"Bearer {SECRET}"})
    page = opened(dashboard, tenant)
    page.get_by_label("API key").fill(tenant.key)
    page.locator("[role=tab]").first.wait_for()
    assert [tab.get_attribute("id") for tab in page.get_by_role("tab").all()] == [
        f"tab-{name}" for name in RUNS
    ]
    for name, run_example in RUNS.items():
        page.locator(f"#tab-{name}").click()
        folder = tmp_path / name
        folder.mkdir()
        assert "You said: Hello!" in run_example(code(page), folder), name
        expect(page.locator("#first-call .banner.fine")).to_contain_text(
            "The call arrived: 200", timeout=2_000
        )
        page.reload()
        dashboard.await_ready()
        page.get_by_label("API key").fill(tenant.key)


@pytest.mark.slow
def test_name_of_a_model_with_quotes_is_quoted_in_every_example(
    dashboard: Dashboard, proxy: RunningGateway, tenant: TenantInUse, demo: str, tmp_path: Path
) -> None:
    with_rule(tenant, demo, [CHAT])
    tenant.await_rule("/ai")
    page = opened(dashboard, tenant)
    page.get_by_label("API key").fill(tenant.key)
    page.get_by_label("Model", exact=True).select_option('it\'s "new"')
    for name in ("curl", "openai-python", "openai-js"):
        page.locator(f"#tab-{name}").click()
        folder = tmp_path / name
        folder.mkdir()
        assert "You said: Hello!" in RUNS[name](code(page), folder)


@pytest.mark.slow
def test_example_of_a_rule_for_the_clients_own_credential_sends_both_keys(
    dashboard: Dashboard, proxy: RunningGateway, tenant: TenantInUse, demo: str, tmp_path: Path
) -> None:
    tenant.create_rule("/v1", demo, credential="client")
    page = opened(dashboard, tenant)
    page.get_by_label("API key").fill(tenant.key)
    for name in ("curl", "openai-python", "openai-js", "anthropic"):
        page.locator(f"#tab-{name}").click()
        folder = tmp_path / name
        folder.mkdir()
        assert "You said: Hello!" in RUNS[name](code(page).replace("YOUR_PROVIDER_KEY", SECRET), folder)


@pytest.mark.slow
def test_call_that_is_rejected_shows_the_reason_and_leads_to_the_request(
    dashboard: Dashboard, proxy: RunningGateway, tenant: TenantInUse, demo: str, tmp_path: Path
) -> None:
    with_rule(tenant, demo, [CHAT])
    tenant.await_rule("/ai")
    page = opened(dashboard, tenant)
    page.get_by_label("API key").fill(tenant.key)
    assert "model_not_found" in run(code(page).replace("demo-small", "no-such-model"), SHELL, tmp_path)
    shown = page.locator("#first-call .banner.warn")
    expect(shown).to_contain_text("The call was rejected: 404 model_not_found.", timeout=2_000)
    expect(shown).to_contain_text("Choose one of the models of this page.")
    shown.get_by_role("link", name="See why").click()
    page.wait_for_url(f"**/ui/tenants/{tenant.id}/requests/*")
