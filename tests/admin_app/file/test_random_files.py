"""Every file is applied as it says, once, and can be undone."""

import copy
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from shared.documents.file.normal import normal
from shared.documents.file.parse import parse_file
from tests.admin_app.world import TOKEN, Api, World, app_of, make_world
from tests.documents.file.files import FILES

#: The platform's token is no secret of a file; these are.
CANARIES = ("sk-0123456789abcdef012345", "sk-canary")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name)


def a_world(folder: Path) -> tuple[World, Api]:
    """An empty store, as the platform sees it."""
    world = make_world(folder, admin__token=TOKEN)
    return world, Api(app_of(world), TOKEN)


def apply(api: Api, document: Any, **options: Any) -> list[str]:
    """Apply a file. Returns the responses."""
    planned = api.post("/plan", {"document": document, **options})
    assert planned.status_code == 200, planned.text
    plan_id = planned.get_json()["plan_id"]
    if plan_id is None:
        return [planned.text]
    applied = api.post(f"/plan/{plan_id}/apply", {})
    assert applied.status_code == 200, applied.text
    return [planned.text, applied.text]


def dump(api: Api) -> Any:
    return api.get("/document").get_json()


def bare(document: Any) -> Any:
    """A dump without the keys of providers and of the tenant, which never come back."""
    found = copy.deepcopy(document)
    for owner in found["tenants"].values():
        for provider in owner.get("providers", {}).values():
            provider.pop("keys", None)
        owner.pop("api_keys", None)
        for budget in owner.get("budgets", {}).values():
            budget.get("scope", {}).pop("key", None)
    return found


@pytest.mark.slow
@given(document=FILES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_dumped_is_the_normal_form_of_what_was_applied(folder: Path, document: Any) -> None:
    world, api = a_world(folder)
    responses = apply(api, document)
    wanted = normal(parse_file(document), world.catalogue)
    wanted.setdefault("platform", {})
    assert dump(api) == wanted
    again = api.post("/plan", {"document": document, "prune": True, "allow_delete_tenants": True})
    assert again.get_json()["changes"] == []
    responses += [again.text, api.get("/document").text, api.get("/audit").text]
    assert not [text for text in responses for secret in CANARIES if secret in text]


@pytest.mark.slow
@given(first=FILES, second=FILES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_file_replaces_another_and_a_rollback_brings_it_back(folder: Path, first: Any, second: Any) -> None:
    world, api = a_world(folder)
    apply(api, first)
    before = dump(api)
    versions = {
        one["subdomain"]: (one["id"], one["version"]) for one in api.get("/tenants").get_json()["tenants"]
    }
    apply(api, {"platform": {}, **second}, prune=True)
    after, wanted = dump(api), normal(parse_file(second), world.catalogue)
    for name, tenant in wanted["tenants"].items():
        keys = after["tenants"][name].pop("api_keys", {})
        assert keys.items() >= tenant.pop("api_keys", {}).items()
        assert after["tenants"][name] == tenant
    for tenant_id, version in versions.values():
        rolled = api.post(f"/tenants/{tenant_id}/versions/{version}/rollback", {})
        assert rolled.status_code == 200, rolled.text
    restored = bare(dump(api))
    for name, tenant in bare(before)["tenants"].items():
        assert restored["tenants"][name] == tenant
