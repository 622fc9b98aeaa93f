"""The plugin package of the examples: built, installed, and run by its entry point on a real gateway."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway import ROOT, RunningGateway, TenantInUse
from tests.support.upstream import Upstream

PACKAGE = ROOT / "examples" / "model_alias"
SETTINGS = {"models": {"fast": "gpt-4o-mini"}, "unknown": "reject"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the installed package."""
    target = tmp_path_factory.mktemp("installed")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(PACKAGE)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
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


def test_model_alias_with_wrong_settings_is_rejected_with_a_pointer(
    owner: tuple[TenantInUse, Upstream],
) -> None:
    tenant, _ = owner
    chain = [{"name": "model_alias", "settings": {}}]
    sent = {"path": "/v2", "target": "https://api.openai.com", "plugin_chain": chain}
    rejected = tenant.gateway.call("POST", f"/tenants/{tenant.id}/rules", json=sent)
    assert rejected.status_code == 422
    assert rejected.json()["errors"][0]["pointer"] == "/plugin_chain/0/settings/models"


@pytest.mark.slow
def test_model_alias_passes_its_own_test_and_doctest(installed: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull]
    ended = subprocess.run(
        [*command, "--rootdir", str(tmp_path), "--doctest-modules", str(installed / "model_alias.py"),
         str(PACKAGE / "tests")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{installed}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr
    assert "13 passed" in ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [["-m", "gunicorn", "wsgi:app"], ["run_proxy.py"], ["run_proxy.py", "--engine", "mitmproxy"]]
)
def test_a_second_plugin_of_its_name_stops_the_start_with_a_sentence(
    installed: Path, tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "model_alias.py").write_text((PACKAGE / "model_alias.py").read_text())
    paths = {"PYTHONPATH": str(installed), "GATEWAY__PLUGINS__PATHS": str(tmp_path)}
    gateway = RunningGateway(tmp_path / "data", paths)
    ended = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=gateway.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode != 0
    said = ended.stdout + ended.stderr
    assert (
        "Two plugins are named model_alias: the entry point model_alias (model_alias:ModelAlias) and " in said
    )
    assert f"{tmp_path / 'model_alias.py'}. Rename one of them." in said
