"""The caller is the platform with its token, and without one on this machine only."""

from pathlib import Path

import pytest
from flask import Flask
from werkzeug.datastructures import Headers

from admin_app.auth.failed_logins import MAX_FAILURES
from shared.secrets.api_keys import PepperedHasher
from tests.admin_app.world import TOKEN, Api, Tenant, World, app_of, error_of, make_world, new_app


class TestWithoutToken:
    @pytest.fixture
    def world(self, tmp_path: Path) -> World:
        return make_world(tmp_path)

    @pytest.fixture
    def api(self, app: Flask) -> Api:
        return Api(app)

    @pytest.mark.parametrize(
        "host", ["localhost", "localhost:8080", "LOCALHOST.", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080"]
    )
    def test_caller_on_this_machine_is_the_platform(self, api: Api, host: str) -> None:
        assert api.get("/tenants", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host",
        [
            *("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "localhost@evil.example"),
            *("", "10.0.0.1", "127.0.0.1:8080:1", "2130706433", "localhost:x"),
            *("[::1].evil.example", "[::ffff:10.0.0.1]"),
        ],
    )
    def test_a_page_that_rebinds_its_name_is_rejected(self, api: Api, host: str) -> None:
        response = api.get("/tenants", headers={"Host": host})
        assert error_of(response) == (403, "host_not_allowed")
        assert "http://localhost:8080" in response.get_json()["detail"]
        assert "send a key" in response.get_json()["detail"]
        # A page that needs no key tells nothing to any reader.
        assert api.get("/docs", headers={"Host": host}).status_code == 200
        assert error_of(api.get("/nothing", headers={"Host": host})) == (404, "not_found")

    @pytest.mark.parametrize("peer", ["10.0.0.5", "203.0.113.7", "::ffff:10.0.0.5", "2001:db8::1", ""])
    def test_caller_on_another_machine_needs_a_key(self, api: Api, peer: str) -> None:
        forged = {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "Forwarded": "for=127.0.0.1"}
        response = api.get("/tenants", headers=forged, environ_base={"REMOTE_ADDR": peer})
        assert response.status_code == 401

    @pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "127.3.2.1"])
    def test_caller_with_any_form_of_loopback_address_is_this_machine(self, api: Api, peer: str) -> None:
        assert api.get("/tenants", environ_base={"REMOTE_ADDR": peer}).status_code == 200

    @pytest.mark.parametrize(
        "name",
        [
            *("Forwarded", "Via", "X-Real-IP"),
            *(f"X-Forwarded-{part}" for part in ("For", "Host", "Port", "Prefix", "Server", "Ssl")),
            *("x-forwarded-proto", "X-Forwarded"),
        ],
    )
    def test_a_proxy_on_this_machine_speaks_for_others(self, api: Api, name: str) -> None:
        response = api.get("/tenants", headers={name: "127.0.0.1"})
        assert error_of(response) == (401, "missing_api_key")

    def test_proxy_that_adds_no_header_speaks_http_1_0(self, api: Api) -> None:
        response = api.get("/tenants", environ_overrides={"SERVER_PROTOCOL": "HTTP/1.0"})
        assert error_of(response) == (401, "missing_api_key")

    def test_a_key_counts_as_itself_even_from_here(self, api: Api) -> None:
        tenant = api.tenant()
        assert api.get("/tenants", key=tenant.key).status_code == 403
        assert api.get("/tenants", key="garbage").status_code == 401

    def test_a_tenants_key_works_under_any_host(self, api: Api) -> None:
        tenant = api.tenant()
        response = api.get(tenant.url, key=tenant.key, headers={"Host": "admin.example"})
        assert response.status_code == 200


class TestWithToken:
    def test_the_token_is_the_platform(self, api: Api) -> None:
        assert api.get("/tenants").status_code == 200
        assert api.get("/tenants", headers={"Host": "admin.example"}).status_code == 200
        assert api.get("/tenants", key=None).status_code == 401

    @pytest.mark.parametrize(
        "header",
        [
            *("", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"),
            *(f"Bearer {TOKEN[:-1]}", "Bearer é"),
        ],
    )
    def test_caller_with_any_other_credential_is_not_the_platform(self, api: Api, header: str) -> None:
        response = api.get("/tenants", key=None, headers={"Authorization": header})
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"

    def test_two_credentials_are_rejected_by_name(self, api: Api, tenant: Tenant) -> None:
        """WSGI joins headers of one name by commas. Neither of two keys is preferred."""
        bearers = [f"Bearer {key}" for key in (TOKEN, tenant.key)]
        for sent in (bearers, bearers[::-1], [bearers[0]] * 2, ["Basic YTpi", bearers[1]]):
            headers = Headers([("Authorization", one) for one in sent])
            response = api.client.get("/api/v1/tenants", headers=headers)
            assert error_of(response) == (400, "bad_request")
            assert "Send Authorization once" in response.get_json()["detail"]

    def test_two_credentials_count_as_a_failed_login(self, api: Api) -> None:
        """A list must not be a way to guess the token without being counted."""
        for _ in range(MAX_FAILURES):
            assert api.get("/tenants", key="a,Bearer b").status_code == 400
        assert error_of(api.get("/tenants", key="a,Bearer b")) == (429, "too_many_failed_logins")

    def test_token_may_have_a_comma(self, tmp_path: Path) -> None:
        api = Api(app_of(make_world(tmp_path, admin__token="one,two")), "one,two")
        assert api.get("/tenants").status_code == 200

    def test_bound_to_the_outside_pages_respond_under_every_host(self, tmp_path: Path) -> None:
        world = make_world(tmp_path, admin__token=TOKEN, server__admin_host="0.0.0.0")
        api = Api(app_of(world))
        assert api.get("/docs", headers={"Host": "10.1.2.3:8080"}).status_code == 200
        assert api.get("/tenants", headers={"Host": "10.1.2.3:8080"}).status_code == 401


def test_key_and_token_of_an_older_pepper_stay_valid_and_ended_ones_ended(world: World) -> None:
    platform = Api(new_app(world), TOKEN)
    tenant, ended = platform.tenant("acme"), platform.tenant("ended")
    token = platform.create("/platform/tokens", {"name": "ci", "scopes": ["read"]})["token"]
    [key] = platform.get(f"/tenants/{ended.id}/api-keys").get_json()["api_keys"]
    assert platform.delete(f"/tenants/{ended.id}/api-keys/{key['id']}").status_code == 200
    world.hasher = PepperedHasher(b"n" * 32, b"p" * 32)
    app = new_app(world)
    url = f"/tenants/{tenant.id}"
    assert [Api(app, one).get(url).status_code for one in (tenant.key, token)] == [200, 200]
    assert Api(app, ended.key).get(f"/tenants/{ended.id}").status_code == 401
    world.hasher = PepperedHasher(b"n" * 32)
    app = new_app(world)
    assert [Api(app, one).get(url).status_code for one in (tenant.key, token)] == [401, 401]
