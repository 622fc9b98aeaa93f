"""The image: both programs run from its files alone, as any user of group 0, on a read-only tree."""

import dataclasses
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.utils.build import exclude_paths

from tests.deploy.conftest import composed, on_loopback, prepare
from tests.support.commands import run_command
from tests.support.gateway import ROOT
from tests.support.machine import ARBITRARY_UID, as_arbitrary_user
from tests.support.upstream import Upstream


def build_context() -> set[str]:
    """The files and folders that `docker build` sends, by the rules of .dockerignore."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    found: set[str] = exclude_paths(str(ROOT), rules)
    return found


@pytest.fixture
def image(shelf: Path) -> Iterator[Path]:
    """A copy of the build context that group 0 can read, and that nobody can write."""
    tree = shelf / "app"
    for path in sorted(build_context()):
        source, target = ROOT / path, tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_file():
            shutil.copyfile(source, target)
            target.chmod(0o440)
    folders = [tree, *(path for path in tree.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o550)
    yield tree
    for folder in folders:
        folder.chmod(0o750)


def test_image_holds_the_programs_and_nothing_of_this_checkout() -> None:
    context = build_context()
    assert {"wsgi.py", "gunicorn.conf.py", "run_proxy.py", "proxy_worker.py", "config.yaml"} <= context
    assert {path.partition("/")[0] for path in context} <= {
        *("admin_app", "mitm_addons", "mitm_engine", "shared", "config.yaml", "requirements.txt"),
        *("requirements-otel.txt", "scripts"),
        *("wsgi.py", "gunicorn.conf.py", "run_proxy.py", "proxy_worker.py", "Dockerfile", ".dockerignore"),
    }
    assert not [path for path in context if "__pycache__" in path]
    assert [path for path in context if path.startswith("scripts/")] == ["scripts/gw"]


def test_image_holds_all_that_its_files_import() -> None:
    context = build_context()
    held = {path.partition("/")[0].removesuffix(".py") for path in context}
    ours = {path.stem for path in ROOT.iterdir() if path.is_dir() or path.suffix == ".py"}
    for path in context:
        if path.endswith(".py"):
            named = set(re.findall(r"^ *(?:from|import) (\w+)", (ROOT / path).read_text(), re.MULTILINE))
            assert not named & ours - held, path


def test_image_gives_its_files_and_its_data_to_group_0(tmp_path: Path) -> None:
    """Also when the files of the checkout are private. Its last RUN is run here, on a small context."""
    [*_, command] = re.findall(r"^RUN (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    data, package = tmp_path / "data", tmp_path / "app" / "package"
    if os.getuid() != 0:  # only root can give a folder away
        command = command.replace("-o 10001 -g 0", "")
    package.mkdir(parents=True)
    module = package / "module.py"
    module.touch()
    for path, mode in ((module, 0o600), (package, 0o700), (package.parent, 0o700)):
        path.chmod(mode)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    script = f"umask 077; {command.replace('/data', str(data))}"
    ended = run_command("sh", "-c", script, cwd=package.parent, env={"PATH": path})
    assert ended.returncode == 0, ended.stderr
    [compiled] = package.glob("__pycache__/*.pyc")
    for file in (module, compiled):
        assert file.stat().st_mode & 0o777 == 0o640
    for folder in (package.parent, package, compiled.parent):
        assert folder.stat().st_mode & 0o777 == 0o750
    found = data.stat()
    assert found.st_mode & 0o777 == 0o770
    assert os.getuid() != 0 or (found.st_uid, found.st_gid) == (10001, 0)


def test_image_runs_as_a_user_that_kubernetes_takes_for_non_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    [user] = [line.split()[1] for line in lines if line.startswith("USER")]
    uid, gid = map(int, user.split(":"))
    assert uid > 0
    assert gid == 0


def test_image_has_the_command_gw() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert "RUN ln -s /app/scripts/gw /usr/local/bin/gw" in lines
    assert os.access(ROOT / "scripts/gw", os.X_OK)


@pytest.mark.slow
def test_command_gw_works_in_each_folder_of_the_image(image: Path, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    (tmp_path / "gw").symlink_to(image / "scripts/gw")
    ended = run_command("sh", str(tmp_path / "gw"), "schema", cwd=tmp_path, env={"PATH": path, "HOME": "/"})
    assert (ended.returncode, ended.stderr) == (0, "")
    assert '"tenants"' in ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["express", "mitmproxy"])
def test_both_programs_of_the_image_serve_a_call(
    shelf: Path, image: Path, redis_port: int, engine: str
) -> None:
    data = shelf / "data"
    data.mkdir()
    data.chmod(0o770)
    gateway = on_loopback(composed(data, redis_port))
    settings = {**gateway.settings, "HOME": "/", "GATEWAY__SERVER__WORKERS": "1"}
    gateway = dataclasses.replace(
        gateway, settings=settings, engine=engine, root=image, run_as=as_arbitrary_user()
    )
    prepared = prepare(gateway)
    assert prepared.returncode == 0, prepared.stderr
    with gateway, Upstream() as upstream:
        tenant = gateway.create_tenant()
        tenant.create_rule("/v1", upstream.url)
        assert tenant.request("GET", "/v1/models").status_code == 200
    assert not [line for name in ("admin", "proxy") if "Traceback" in (line := gateway.log(name))]
    if os.getuid() == 0:
        assert {path.stat().st_uid for path in data.iterdir() if path.suffix != ".log"} == {ARBITRARY_UID}


@pytest.mark.slow
def test_health_check_of_the_image_needs_no_other_program(image: Path, shelf: Path) -> None:
    ended = run_command(
        *as_arbitrary_user(),
        *(sys.executable, "-m", "shared.settings.probe", "proxy"),
        cwd=image,
        env={"GATEWAY__SERVER__PROXY_PORT": "1", "PATH": os.environ["PATH"], "HOME": "/"},
    )
    assert (ended.returncode, ended.stderr.partition(":")[0]) == (1, "proxy does not respond at localhost")
