"""The scenario scripts pass on a running gateway, again and again, and notice what is wrong."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cases import slow
from tests.support.gateway import ROOT, RunningGateway

SCRIPTS = (
    "test_tenant.sh",
    *slow("test_rate_limiter.sh", "test_external_validator.sh", "test_parallel_plugins.sh"),
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with RunningGateway(tmp_path_factory.mktemp("scenarios") / "data") as running:
        yield running


def run(script: Path, gateway: RunningGateway) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(script)],
        cwd=ROOT,
        env=gateway.environment(),
        capture_output=True,
        text=True,
        timeout=180,
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_passes_twice_in_a_row_on_one_store(gateway: RunningGateway, name: str) -> None:
    for _ in range(2):
        ended = run(ROOT / "scripts" / name, gateway)
        assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr
        assert ended.stdout.endswith("All responses were as expected.\n")
    # It deletes what it made.
    assert gateway.call("GET", "/tenants").json()["count"] == 0


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_says_that_the_gateway_is_down(name: str, tmp_path: Path) -> None:
    ended = run(ROOT / "scripts" / name, RunningGateway(tmp_path))
    assert ended.returncode != 0
    assert "Start the gateway with ./scripts/run_local.sh" in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("test_tenant.sh", 'is rejected" 409', 'is rejected" 200'),
        ("test_rate_limiter.sh", 'is rejected" 429', 'is rejected" 200'),
        ("test_external_validator.sh", 'is rejected" 422', 'is rejected" 200'),
        ("test_parallel_plugins.sh", 'is rejected" 422', 'is rejected" 200'),
    ],
)
def test_a_script_fails_when_one_answer_is_another(
    gateway: RunningGateway, name: str, right: str, wrong: str
) -> None:
    original = (ROOT / "scripts" / name).read_text()
    assert right in original
    altered = ROOT / "scripts" / f".altered-{name}"
    altered.write_text(original.replace(right, wrong))
    try:
        ended = run(altered, gateway)
    finally:
        altered.unlink()
    assert ended.returncode != 0
    assert "expected 200, got" in ended.stderr
