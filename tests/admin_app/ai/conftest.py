"""The admin API on a real store: providers, models and rules name each other across documents."""

from pathlib import Path

import pytest
import redis

from shared.config_store.store import RedisStore
from tests.admin_app.world import TOKEN, Api, Tenant, World, make_world


@pytest.fixture
def world(tmp_path: Path, client: redis.Redis) -> World:
    world = make_world(tmp_path, admin__token=TOKEN, secrets__env=["OPENAI_API_KEY"])
    world.store = RedisStore(client, world.settings.admin.subdomain_quarantine)
    return world


@pytest.fixture
def budgets(tenant: Tenant) -> str:
    """The path of the tenant's budgets."""
    return f"{tenant.url}/budgets"


@pytest.fixture
def tenants_own(api: Api, tenant: Tenant) -> Api:
    """The API with the key of the tenant."""
    return Api(api.client.application, tenant.key)
