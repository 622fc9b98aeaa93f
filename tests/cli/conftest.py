"""`gw` as its users call it, against the real admin API on a store in memory."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from werkzeug.serving import make_server

from shared.cli import app as cli
from shared.settings import Settings
from tests.admin_app.world import TOKEN, Api, Tenant, World, app_of, make_world


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return orjson.loads(self.out)


@dataclass
class Shell:
    """A shell with these variables. `home` has the profiles."""

    home: Path
    variables: dict[str, str | None]

    def run(self, *arguments: object, stdin: str | None = None) -> Ended:
        """Run `gw` to its end."""
        found: list[int] = []
        runner = CliRunner(env={"XDG_CONFIG_HOME": str(self.home), "NO_COLOR": "1", **self.variables})
        with runner.isolation(stdin) as (out, err, _):
            found.append(cli.run([str(one) for one in arguments]))
        return Ended(found[0], out.getvalue().decode(), err.getvalue().decode())

    def fails(self, code: int, *arguments: object, stdin: str | None = None) -> str:
        """The standard error of a command that fails. It prints nothing else."""
        ended = self.run(*arguments, stdin=stdin)
        assert (ended.code, ended.out) == (code, ""), ended
        return ended.err


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_world(tmp_path_factory.mktemp("settings"), admin__token=TOKEN).settings


@pytest.fixture
def world(settings: Settings) -> World:
    return World(settings)


@pytest.fixture
def api(world: World) -> Api:
    """The same gateway by its API, in the platform's hands."""
    return Api(app_of(world), TOKEN)


@pytest.fixture
def tenant(api: Api) -> Tenant:
    return api.tenant()


@pytest.fixture
def url(world: World) -> Iterator[str]:
    """The address at which the admin API listens."""
    server = make_server("127.0.0.1", 0, app_of(world), threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def shell(tmp_path: Path, url: str) -> Shell:
    """The shell of an operator."""
    variables: dict[str, str | None] = {
        "GW_URL": url,
        "GW_TOKEN": TOKEN,
        "GW_TENANT": None,
        "GW_PROFILE": None,
    }
    return Shell(tmp_path / "config", variables)


@pytest.fixture
def own_shell(shell: Shell, tenant: Tenant) -> Shell:
    """The shell of a tenant's administrator."""
    return Shell(shell.home, {**shell.variables, "GW_TOKEN": tenant.key})
