"""A configuration of LiteLLM is imported and applied, and OpenAI's SDK calls through the proxy."""

import json
import sys
from pathlib import Path

import pytest
from openai import OpenAI

from examples.demo_upstream.server import DemoUpstream
from tests.support.commands import run_command, serving
from tests.support.gateway import RunningGateway
from tests.support.upstream import Upstream, responding, sized

CONFIG = """
model_list:
  - model_name: chat
    litellm_params: {{model: openai/broken, api_base: "{broken}/v1", api_key: os.environ/UPSTREAM_KEY}}
  - model_name: spare
    litellm_params: {{model: openai/demo, api_base: "http://127.0.0.1:{demo}/v1", api_key: none}}
router_settings:
  fallbacks: [{{chat: [spare]}}]
  model_group_alias: {{gpt-4: chat}}
"""
GW = (sys.executable, "-m", "shared.cli")
SETTINGS = {"GATEWAY__SECRETS__ENV": "UPSTREAM_KEY", "UPSTREAM_KEY": "sk-of-the-broken-one"}


@pytest.mark.slow
def test_imported_configuration_serves_openai_s_sdk_with_its_fallbacks(tmp_path: Path) -> None:
    failure = responding(sized(b'{"error": {"message": "Down."}}', "503 Service Unavailable"))
    with (
        Upstream(failure) as broken,
        serving(DemoUpstream(0)) as demo,
        RunningGateway(tmp_path / "data", SETTINGS) as gateway,
    ):
        env = {**gateway.environment(), "GW_URL": gateway.admin, "XDG_CONFIG_HOME": str(tmp_path)}
        config, file = tmp_path / "config.yaml", tmp_path / "gateway.yaml"
        config.write_text(CONFIG.format(broken=broken.url, demo=demo))
        imported = run_command(*GW, "import", "litellm", config, env=env)
        assert imported.returncode == 0, imported.stderr
        file.write_text(imported.stdout)
        assert run_command(*GW, "validate", "-f", file, env=env).returncode == 0
        applied = run_command(*GW, "apply", "-f", file, "--yes", "-o", "json", env=env)
        assert applied.returncode == 0, applied.stderr
        [key] = json.loads(applied.stdout)["api_keys"]
        client = OpenAI(base_url=f"{gateway.proxy}/v1", api_key=key["key"])
        assert {model.id for model in client.models.list()} == {"chat", "spare", "gpt-4"}
        for model in ("spare", "chat", "gpt-4"):
            made = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hi!"}])
            assert made.choices[0].message.content == "You said: Hi!"
        assert "Bearer sk-of-the-broken-one" in {one.get("Authorization") for one in broken.received}
        again = run_command(*GW, "diff", "-f", file, env=env)
        assert again.returncode == 0, again.stdout
