"""Public models over HTTP: of the platform, and of a tenant."""

from pathlib import Path
from typing import Any

import pytest

from shared.documents.ai import examples
from tests.admin_app.world import TOKEN, Api, Tenant, app_of, error_of, make_world, pointers

PROVIDER = {"name": "openai-main", "kind": "openai", "keys": [{"secret": "sk-0123456789abcdef012345"}]}
TARGET = {"provider": "openai-main", "model": "gpt-5.6"}
MODEL: dict[str, Any] = {"name": "best", "targets": [TARGET]}


@pytest.fixture(params=["platform", "tenant"])
def base(request: pytest.FixtureRequest, api: Api, tenant: Tenant) -> str:
    """The beginning of the paths of each owner, which has a provider."""
    base = "" if request.param == "platform" else tenant.url
    api.create(f"{base}/providers", PROVIDER)
    return base


@pytest.mark.parametrize("name", ["best", "team/best", "a:free@preset/b"])
def test_model_is_created_read_changed_and_deleted(api: Api, base: str, name: str) -> None:
    response = api.post(f"{base}/models", MODEL | {"name": name})
    assert response.status_code == 201, response.text
    one = f"{base}/models/{name}"
    assert response.headers["Location"] == f"/api/v1{one}"
    read = api.get(one)
    assert read.headers["ETag"] == response.headers["ETag"]
    assert api.put(one, read.get_json()).get_json()["targets"] == read.get_json()["targets"]
    changed = api.patch(one, {"affinity": None, "strategy": "order"}).get_json()
    assert (changed["affinity"], changed["strategy"]) == (None, "order")
    assert changed["retry"] == read.get_json()["retry"]
    assert api.delete(one).status_code == 204
    assert api.get(one).status_code == 404


def test_the_examples_of_the_docs_work(api: Api, tenant: Tenant) -> None:
    api.create("/providers", PROVIDER)
    assert api.create("/models", examples.PLATFORM_MODEL)["warnings"] == []
    api.create(f"{tenant.url}/providers", PROVIDER)
    assert api.create(f"{tenant.url}/models", examples.MODEL)["warnings"] == []


def test_provider_that_does_not_exist_is_told_the_near_name(api: Api, base: str) -> None:
    response = api.post(f"{base}/models", MODEL | {"targets": [TARGET, TARGET | {"provider": "openai-mian"}]})
    assert pointers(response) == ["/targets/1/provider"]
    assert "Did you mean openai-main?" in response.get_json()["detail"]


def test_wrong_members_are_told_together(api: Api, base: str) -> None:
    sent = MODEL | {"targets": [TARGET | {"provider": "missing"}], "retry": {"attempts": 0}}
    assert set(pointers(api.post(f"{base}/models", sent))) == {"/retry/attempts", "/targets/0/provider"}


def test_same_target_twice_is_rejected(api: Api, base: str) -> None:
    assert pointers(api.post(f"{base}/models", MODEL | {"targets": [TARGET, TARGET]})) == ["/targets/1"]


def test_a_name_is_unique_for_its_owner(api: Api, base: str) -> None:
    api.create(f"{base}/models", MODEL)
    assert error_of(api.post(f"{base}/models", MODEL)) == (409, "name_taken")
    api.create(f"{base}/models", MODEL | {"name": "other"})
    assert error_of(api.patch(f"{base}/models/other", {"name": "best"})) == (409, "name_taken")
    assert api.patch(f"{base}/models/other", {"name": "third"}).get_json()["name"] == "third"


def test_disabled_provider_of_a_target_is_a_warning(api: Api, base: str) -> None:
    [provider] = api.get(f"{base}/providers").get_json()["providers"]
    api.patch(f"{base}/providers/{provider['id']}", {"enabled": False})
    [warning] = api.create(f"{base}/models", MODEL)["warnings"]
    assert warning["pointer"] == "/targets/0/provider"


def test_stale_change_is_rejected(api: Api, base: str) -> None:
    stale = {"If-Match": api.post(f"{base}/models", MODEL).headers["ETag"]}
    assert api.patch(f"{base}/models/best", {"visible": False}, headers=stale).status_code == 200
    assert api.delete(f"{base}/models/best", headers=stale).status_code == 412


def test_the_same_call_again_creates_nothing(api: Api, base: str) -> None:
    once = {"Idempotency-Key": "once"}
    first = api.post(f"{base}/models", MODEL, headers=once)
    assert api.post(f"{base}/models", MODEL, headers=once).get_json() == first.get_json()


def test_the_tier_bounds_models_and_targets(tmp_path: Path) -> None:
    few = {"basic": {"max_targets": 2, "max_models": 3}}
    api = Api(app_of(make_world(tmp_path, admin__token=TOKEN, tiers=few)), TOKEN)
    tenant = api.tenant()
    api.create(f"{tenant.url}/providers", PROVIDER)
    many = [TARGET | {"model": f"m{i}"} for i in range(3)]
    response = api.post(f"{tenant.url}/models", MODEL | {"targets": many})
    assert error_of(response) == (422, "limit_reached")
    for i in range(3):
        api.create(f"{tenant.url}/models", MODEL | {"name": f"m{i}"})
    assert error_of(api.post(f"{tenant.url}/models", MODEL)) == (422, "limit_reached")


def test_a_tenants_model_may_use_a_shared_provider(api: Api, tenant: Tenant) -> None:
    rejected = api.post(f"{tenant.url}/models", MODEL, key=tenant.key)
    assert pointers(rejected) == ["/targets/0/provider"]
    made = api.create("/providers", PROVIDER | {"shared": "all"})
    assert api.post(f"{tenant.url}/models", MODEL, key=tenant.key).status_code == 201
    response = api.delete(f"/providers/{made['id']}")
    assert error_of(response) == (409, "in_use")
    assert tenant.id in response.get_json()["detail"]


def test_a_provider_that_is_not_shared_with_the_tenant_is_unknown(api: Api, tenant: Tenant) -> None:
    api.create("/providers", PROVIDER | {"shared": {"tiers": ["pro"]}})
    response = api.post(f"{tenant.url}/models", MODEL, key=tenant.key)
    assert pointers(response) == ["/targets/0/provider"]
    assert "openai-main." not in response.get_json()["detail"].partition("Allowed")[2]


def test_a_tenant_sees_names_and_descriptions_of_shared_models(api: Api, tenant: Tenant) -> None:
    api.create("/providers", PROVIDER)
    api.create("/models", MODEL | {"shared": "all", "description": "Good."})
    api.create("/models", MODEL | {"name": "hidden"})
    listed = api.get(f"{tenant.url}/models", key=tenant.key)
    assert listed.get_json()["shared"] == [{"name": "best", "description": "Good."}]
    assert "openai-main" not in listed.text


def test_models_in_use_are_not_deleted(api: Api, tenant: Tenant) -> None:
    api.create(f"{tenant.url}/providers", PROVIDER)
    api.create(f"{tenant.url}/models", MODEL)
    rule = api.create(f"{tenant.url}/rules", {"path": "/v1", "ai": {"default_model": "best"}})
    response = api.delete(f"{tenant.url}/models/best")
    assert error_of(response) == (409, "in_use")
    assert rule["id"] in response.get_json()["detail"]
    assert error_of(api.patch(f"{tenant.url}/models/best", {"name": "better"})) == (409, "in_use")


def test_shared_models_in_use_are_not_deleted(api: Api, tenant: Tenant) -> None:
    api.create("/providers", PROVIDER | {"shared": "all"})
    api.create("/models", MODEL | {"shared": "all"})
    api.create(f"{tenant.url}/rules", {"path": "/v1", "ai": {"models": ["best"]}})
    response = api.delete("/models/best")
    assert error_of(response) == (409, "in_use")
    assert tenant.id in response.get_json()["detail"]
