from pathlib import Path

import pytest
from flask import Flask

from tests.admin_app.world import TOKEN, Api, Tenant, World, app_of, make_world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path, admin__token=TOKEN)


@pytest.fixture
def app(world: World) -> Flask:
    return app_of(world)


@pytest.fixture
def api(app: Flask) -> Api:
    """The API in the platform's hands."""
    return Api(app, TOKEN)


@pytest.fixture
def tenant(api: Api) -> Tenant:
    return api.tenant()
