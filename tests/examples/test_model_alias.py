"""The plugin package of the examples: built, installed, and run by its entry point on a real gateway."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import run_command
from tests.support.gateway import ROOT, RunningGateway, TenantInUse
from tests.support.upstream import Upstream

pytestmark = pytest.mark.slow

PACKAGE = ROOT / "examples" / "model_alias"
SETTINGS = {"models": {"fast": "gpt-4o-mini"}, "unknown": "reject"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the installed package."""
    target = tmp_path_factory.mktemp("installed")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    ended = run_command(
        sys.executable, "-m", "pip", "install", *options, "--target", target, PACKAGE, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    return target


@pytest.fixture(scope="module")
def gateway(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("gateway") / "data"
    with RunningGateway(folder, {"PYTHONPATH": str(installed)}) as running:
        yield running


@pytest.fixture
def owner(gateway: RunningGateway) -> Iterator[tuple[TenantInUse, Upstream]]:
    with Upstream() as upstream:
        tenant = gateway.create_tenant(enabled_plugins=["model_alias"])
        tenant.create_rule("/v1", upstream.url, plugin_chain=[{"name": "model_alias", "settings": SETTINGS}])
        yield tenant, upstream


def test_model_alias_works_in_a_chain(owner: tuple[TenantInUse, Upstream]) -> None:
    tenant, upstream = owner
    response = tenant.request("POST", "/v1/chat/completions", json={"model": "fast", "n": 1})
    assert (response.status_code, response.headers["x-model"]) == (200, "gpt-4o-mini")
    assert json.loads(upstream.received[-1].body) == {"model": "gpt-4o-mini", "n": 1}
    rejected = tenant.request("POST", "/v1/chat/completions", json={"model": "other"})
    assert (rejected.status_code, rejected.json()["error"]["code"]) == (404, "model_not_found")
    assert rejected.headers["x-gateway-error-source"] == "plugin:model_alias"


def test_the_admin_api_documents_it(gateway: RunningGateway) -> None:
    shown = gateway.call("GET", "/plugins/model_alias").json()
    assert shown["summary"] == "Replace an alias in `model` by the model that it stands for."
    assert shown["settings_schema"]["required"] == ["models"]
    assert shown["settings_schema"]["properties"]["unknown"]["enum"] == ["pass", "reject"]


def test_model_alias_with_wrong_settings_is_rejected(owner: tuple[TenantInUse, Upstream]) -> None:
    tenant, _ = owner
    chain = [{"name": "model_alias", "settings": {}}]
    sent = {"path": "/v2", "target": "https://api.openai.com", "plugin_chain": chain}
    rejected = tenant.gateway.call("POST", f"/tenants/{tenant.id}/rules", json=sent)
    assert rejected.status_code == 422
    assert rejected.json()["errors"][0]["pointer"] == "/plugin_chain/0/settings/models"


def test_model_alias_passes_its_own_test_and_doctest(installed: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull]
    given = ["--rootdir", tmp_path, "--doctest-modules", installed / "model_alias.py", PACKAGE / "tests"]
    environment = {**os.environ, "PYTHONPATH": f"{installed}{os.pathsep}{ROOT}"}
    ended = run_command(*command, *given, cwd=tmp_path, env=environment)
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr
    assert "13 passed" in ended.stdout


@pytest.mark.parametrize(
    "command", [["-m", "gunicorn", "wsgi:app"], ["run_proxy.py"], ["run_proxy.py", "--engine", "mitmproxy"]]
)
def test_second_plugin_of_a_name_stops_start(installed: Path, tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "model_alias.py").write_text((PACKAGE / "model_alias.py").read_text())
    paths = {"PYTHONPATH": str(installed), "GATEWAY__PLUGINS__PATHS": str(tmp_path)}
    gateway = RunningGateway(tmp_path / "data", paths)
    ended = run_command(sys.executable, *command, env=gateway.environment())
    assert ended.returncode != 0
    said = ended.stdout + ended.stderr
    entry = "the entry point model_alias (model_alias:ModelAlias)"
    assert f"Two plugins are named model_alias: {entry} and " in said
    assert f"{tmp_path / 'model_alias.py'} (plugins.paths). Rename one of them." in said
