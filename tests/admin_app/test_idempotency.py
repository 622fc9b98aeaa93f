"""Idempotency-Key: a POST that is sent again changes nothing and gets the same response."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from flask import Flask
from werkzeug.datastructures import Headers
from werkzeug.test import TestResponse

from admin_app.changes.idempotency import HEADER, REPLAYED
from shared.config_store.idempotency import CLAIMED_SECONDS, KEPT_SECONDS
from shared.config_store.store import RedisStore
from shared.core.errors import StoreUnsure
from shared.documents import examples
from tests.admin_app.world import TOKEN, Api, Tenant, World, app_of, error_of

ONCE = {HEADER: "once-7f3a"}


@pytest.fixture(params=["memory", "redis"])
def app(request: pytest.FixtureRequest, world: World, valkey_socket: str) -> Iterator[Flask]:
    """The API on each store."""
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        if request.param == "redis":
            client.flushall()
            world.store = RedisStore(client, world.settings.admin.subdomain_quarantine)
        yield app_of(world)


@pytest.fixture
def urls(api: Api) -> dict[str, tuple[str, Any]]:
    """Everything that can be created, with a body."""
    tenant = api.tenant("existing", tier="pro")
    key = api.create(f"{tenant.url}/api-keys", {"name": "old"})["id"]
    return {
        "tenant": ("/tenants", examples.TENANT),
        "key": (f"{tenant.url}/api-keys", examples.API_KEY),
        "rotation": (f"{tenant.url}/api-keys/{key}/rotate", examples.ROTATE),
        "rule": (f"{tenant.url}/rules", examples.RULE),
    }


def seen(response: TestResponse) -> tuple[Any, ...]:
    names = ("Content-Type", "ETag", "Location")
    return response.status_code, response.data, [response.headers[name] for name in names]


@pytest.mark.parametrize("kind", ["tenant", "key", "rotation", "rule"])
def test_post_sent_again_gets_the_same_response(api: Api, urls: Any, kind: str) -> None:
    url, body = urls[kind]
    first = api.post(url, body, headers=ONCE)
    assert first.status_code == 201, first.text
    assert REPLAYED not in first.headers
    again = api.post(url, body, headers={**ONCE, "X-Request-ID": "another-call"})
    assert seen(again) == seen(first)
    assert again.headers[REPLAYED] == "true"
    assert again.headers["X-Request-ID"] == "another-call"
    other = api.post(url, body, headers={HEADER: "another-key"})
    assert other.status_code in (201, 409)
    assert other.data != first.data


def test_identical_parallel_posts_make_one_key(app: Flask, api: Api) -> None:
    tenant = api.tenant()

    def create(_: int) -> TestResponse:
        return Api(app, TOKEN).post(f"{tenant.url}/api-keys", {"name": "one"}, headers=ONCE)

    with ThreadPoolExecutor(20) as pool:
        responses = list(pool.map(create, range(20)))
    assert {response.status_code for response in responses} <= {201, 409}
    made = {response.get_json()["key"] for response in responses if response.status_code == 201}
    assert len(made) == 1
    rejected = [response for response in responses if response.status_code == 409]
    assert all(error_of(response) == (409, "in_progress") for response in rejected)
    assert all(response.headers["Retry-After"] == "1" for response in rejected)
    assert api.get(f"{tenant.url}/api-keys").get_json()["count"] == 2
    assert create(0).get_json()["key"] in made


def test_another_body_under_the_same_key_is_rejected(api: Api, urls: Any) -> None:
    url, body = urls["rule"]
    assert api.post(url, body, headers=ONCE).status_code == 201
    other = api.post(url, {**body, "path": "/other"}, headers=ONCE)
    assert error_of(other) == (422, "idempotency_key_reused")
    assert api.get(url).get_json()["count"] == 1


def test_key_of_another_caller_path_or_method_is_another_key(api: Api, urls: Any) -> None:
    tenant = api.tenant(tier="pro")
    url, body = f"{tenant.url}/api-keys", examples.API_KEY
    mine = api.post(url, body, headers=ONCE).get_json()
    theirs = api.post(url, body, headers=ONCE, key=tenant.key).get_json()
    elsewhere = api.post(urls["key"][0], body, headers=ONCE).get_json()
    assert len({mine["id"], theirs["id"], elsewhere["id"]}) == 3


def test_failed_call_can_be_corrected_and_sent_again(api: Api, urls: Any) -> None:
    url, body = urls["rule"]
    assert api.post(url, {**body, "path": "wrong"}, headers=ONCE).status_code == 422
    assert api.post(url, body, headers=ONCE).status_code == 201
    # A conflict is an error, too.
    assert api.post(url, body, headers={HEADER: "b"}).status_code == 409
    rule = api.get(url).get_json()["rules"][0]["id"]
    assert api.delete(f"{url}/{rule}").status_code == 204
    assert api.post(url, body, headers={HEADER: "b"}).status_code == 201


def test_response_is_kept_for_a_day(app: Flask, api: Api, urls: Any, world: World) -> None:
    assert KEPT_SECONDS == 24 * 3600
    url, body = urls["key"]
    first = api.post(url, body, headers=ONCE).get_json()
    if isinstance(world.store, RedisStore):
        [name] = world.store._client.keys("{cfg}:idem:*")
        left = world.store._client.pttl(name)
        assert KEPT_SECONDS - 60 < left / 1000 <= KEPT_SECONDS
        return
    world.clock.time += KEPT_SECONDS - 1
    assert api.post(url, body, headers=ONCE).get_json() == first
    world.clock.time += 1
    assert api.post(url, body, headers=ONCE).get_json() != first


def test_stored_response_shows_no_secret(api: Api, urls: Any, world: World) -> None:
    url, body = urls["key"]
    secret = api.post(url, body, headers=ONCE).get_json()["key"]
    if isinstance(world.store, RedisStore):
        client = world.store._client
        [name] = client.keys("{cfg}:idem:*")
        stored, shown = client.get(name).decode(), name.decode()
    else:
        [(shown, (stored, _))] = world.store._claims.items()  # type: ignore[attr-defined]
    assert secret not in stored
    assert "production" not in stored
    assert ONCE[HEADER] not in shown + stored
    # Moved to another name, it does not open.
    other = {HEADER: "other"}
    assert api.post(url, {"name": "other"}, headers=other).status_code == 201


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 256, 'a"b', '"', '""', '"a""b"', '"a"b'])
def test_key_of_another_form_is_rejected(api: Api, urls: Any, key: str) -> None:
    url, body = urls["key"]
    assert error_of(api.post(url, body, headers={HEADER: key})) == (400, "bad_request")
    assert api.post(url, body, headers={HEADER: "x" * 255}).status_code == 201


@pytest.mark.parametrize("key", ["7f3a", '"7f3a"', '"a string, in quotes"', "user:1/order#2", "'a'"])
def test_key_may_be_a_string_in_quotes_and_may_have_none(api: Api, urls: Any, key: str) -> None:
    url, body = urls["key"]
    assert seen(api.post(url, body, headers={HEADER: key})) == seen(
        api.post(url, body, headers={HEADER: key})
    )


@pytest.mark.parametrize("keys", [("a", "b"), ('"a"', '"b"'), ("a", "a")])
def test_post_with_two_keys_is_rejected(api: Api, urls: Any, keys: tuple[str, str]) -> None:
    """WSGI joins headers of one name by commas."""
    url, body = urls["key"]
    sent = Headers([("Authorization", f"Bearer {TOKEN}"), *((HEADER, key) for key in keys)])
    response = api.client.post(f"/api/v1{url}", json=body, headers=sent)
    assert error_of(response) == (400, "bad_request")
    assert "Send Idempotency-Key once" in response.get_json()["detail"]
    assert error_of(api.post(url, body, headers={HEADER: ",".join(keys)})) == (400, "bad_request")


def test_call_without_rights_claims_nothing(api: Api, urls: Any) -> None:
    url, body = urls["key"]
    assert api.post(url, body, headers=ONCE, key="gwk_nonsense").status_code == 401
    assert api.post(url, body, headers=ONCE, key=api.tenant("other").key).status_code == 404
    assert api.post(url, body, headers=ONCE).status_code == 201


class TestLostReply:
    """Nobody knows whether a change was saved, so the call is sent again."""

    @pytest.fixture
    def tenant(self, api: Api) -> Tenant:
        return api.tenant()

    @pytest.mark.parametrize("is_saved", [True, False])
    def test_call_is_made_once_or_told_its_response(
        self, api: Api, tenant: Tenant, world: World, monkeypatch: pytest.MonkeyPatch, is_saved: bool
    ) -> None:
        write = world.store.write

        def lost(*args: Any, **options: Any) -> Any:
            if is_saved:
                write(*args, **options)
            raise StoreUnsure("the reply was lost", "The reply was lost.")

        url = f"{tenant.url}/api-keys"
        with monkeypatch.context() as patched:
            patched.setattr(world.store, "write", lost)
            assert api.post(url, {}, headers=ONCE).status_code == 503
        again = api.post(url, {}, headers=ONCE)
        assert again.status_code == 201
        assert (REPLAYED in again.headers) is is_saved
        assert api.get(url).get_json()["count"] == 2

    def test_call_whose_claim_is_gone_changes_nothing(
        self, api: Api, tenant: Tenant, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write = world.store.write

        def slow(*args: Any, **options: Any) -> Any:
            claim = options["claim"]
            world.store.release(claim.name, claim.value)  # its time is over
            return write(*args, **options)

        url = f"{tenant.url}/api-keys"
        with monkeypatch.context() as patched:
            patched.setattr(world.store, "write", slow)
            assert error_of(api.post(url, {}, headers=ONCE)) == (409, "in_progress")
        assert api.get(url).get_json()["count"] == 1

    def test_claim_of_a_dead_process_ends(self, api: Api, tenant: Tenant, world: World) -> None:
        url = f"{tenant.url}/api-keys"
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(world.store, "release", lambda *_: None)
            api.post(url, {"name": 5}, headers=ONCE)
        assert error_of(api.post(url, {"name": 5}, headers=ONCE)) == (409, "in_progress")
        if isinstance(world.store, RedisStore):
            [name] = world.store._client.keys("{cfg}:idem:*")
            assert 0 < world.store._client.pttl(name) <= CLAIMED_SECONDS * 1000
            return
        world.clock.time += CLAIMED_SECONDS
        assert api.post(url, {"name": "mine"}, headers=ONCE).status_code == 201


def test_document_names_the_header_where_it_counts(api: Api) -> None:
    document = api.get("/openapi.json").get_json()
    names = {
        operation["operationId"]
        for item in document["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
        for parameter in operation.get("parameters", ())
        if parameter.get("name") == HEADER
    }
    assert names == {
        *("createTenant", "createApiKey", "rotateApiKey", "createRule"),
        *(
            "createProvider",
            "createProviderKey",
            "rotateProviderKey",
            "createModel",
            "createBudget",
            "increaseBudget",
        ),
        *("createPlatformProvider", "createPlatformProviderKey", "rotatePlatformProviderKey"),
        *("createPlatformModel", "createPlatformToken", "rotatePlatformToken", "applyPlan"),
        *("createWebhook", "createPlatformWebhook", "resetBudget"),
    }
