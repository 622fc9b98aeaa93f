"""Clients made from /openapi.json: they compile, and create what the README creates."""

import json
import os
import re
import subprocess
import venv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.gateway import ROOT, RunningGateway
from tests.support.packages import need_command

pytestmark = pytest.mark.slow

PROGRAMS = Path(__file__).parent / "generated_clients"
GENERATOR = "openapi-python-client==0.29.1"
PACKAGES = ("openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3", "@types/node@20")
#: The bodies of the README: a tenant and its rule.
BODIES = [
    json.loads(body) for body in re.findall(r"-d '(\{.*?\})'", (ROOT / "README.md").read_text(), re.DOTALL)
][:2]
TOKEN = "the-platforms-own-token"
#: The output of both clients.
SEEN = {
    "subdomain": BODIES[0]["subdomain"],
    "validator": 1,
    "path": BODIES[1]["path"],
    "limiter": "rate_limiter",
    "replaced": BODIES[1]["path"],
    "active": False,
    "count": 1,
    "code": "not_found",
}


def run(command: Sequence[object], folder: Path, **environment: str) -> str:
    """The output of a command. It must succeed."""
    ended = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """A running admin API, and its document in the folder of the test."""
    with RunningGateway(tmp_path / "data", {"GATEWAY_ADMIN_TOKEN": TOKEN}) as gateway:
        document = requests.get(f"{gateway.admin}/openapi.json", timeout=20)
        (tmp_path / "openapi.json").write_text(document.text)
        yield {"ADMIN_URL": gateway.admin, "ADMIN_TOKEN": TOKEN}


def test_client_made_by_openapi_python_client_creates_the_tenant_of_the_readme(
    tmp_path: Path, environment: Mapping[str, str]
) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", GENERATOR], tmp_path)
    (tmp_path / "generator.yaml").write_text("post_hooks: []\n")
    generate = ["generate", "--meta", "none", "--fail-on-warning", "--config", "generator.yaml"]
    generator = tmp_path / "venv" / "bin" / "openapi-python-client"
    run([generator, *generate, "--path", "openapi.json", "--output-path", "gateway_client"], tmp_path)
    run([python, "-m", "compileall", "-q", "gateway_client"], tmp_path)
    (tmp_path / "readme.json").write_text(json.dumps(BODIES))
    printed = run([python, PROGRAMS / "main.py"], tmp_path, PYTHONPATH=str(tmp_path), **environment)
    assert json.loads(printed) == SEEN


def _literal(name: str, kind: str, body: Any) -> str:
    return f'export const {name}: components["schemas"]["{kind}"] = {json.dumps(body)};\n'


def test_client_made_by_openapi_typescript_creates_the_tenant_of_the_readme(
    tmp_path: Path, environment: Mapping[str, str]
) -> None:
    node, npm = need_command("node", "nodejs"), need_command("npm", "npm")
    (tmp_path / "package.json").write_text('{"name": "client", "private": true, "type": "module"}')
    run([npm, "install", "--silent", "--no-audit", "--no-fund", *PACKAGES], tmp_path)
    commands = tmp_path / "node_modules" / ".bin"
    run([commands / "openapi-typescript", "openapi.json", "-o", "schema.d.ts"], tmp_path)
    (tmp_path / "main.ts").write_text((PROGRAMS / "main.ts").read_text())
    (tmp_path / "readme.ts").write_text(
        'import type { components } from "./schema.js";\n'
        + _literal("tenantBody", "TenantInput", BODIES[0])
        + _literal("ruleBody", "RuleInput", BODIES[1])
    )
    options = ["--strict", "--target", "es2022", "--module", "nodenext", "--types", "node"]
    run([commands / "tsc", *options, "main.ts"], tmp_path)
    assert json.loads(run([node, "main.js"], tmp_path, **environment)) == SEEN
