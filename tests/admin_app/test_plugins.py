"""/plugins: what can stand in a chain."""

import jsonschema_rs
import pytest

from tests.admin_app.world import Api, World, pointers


def test_plugins_are_listed_by_name(api: Api, world: World) -> None:
    response = api.get("/plugins").get_json()
    assert [plugin["name"] for plugin in response["plugins"]] == sorted(world.catalogue)
    assert (response["count"], response["next_cursor"]) == (len(world.catalogue), None)


def test_plugins_are_listed_in_pages(api: Api, world: World) -> None:
    names: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        response = api.get("/plugins?limit=1" + (f"&cursor={cursor}" if cursor else "")).get_json()
        names += [plugin["name"] for plugin in response["plugins"]]
        cursor = response["next_cursor"]
    assert names == sorted(world.catalogue)
    assert pointers(api.get("/plugins?cursor=nobody")) == ["/cursor"]


def test_plugin_is_shown_with_its_stages_defaults_and_secrets(api: Api) -> None:
    shown = api.get("/plugins/external_validator").get_json()
    assert "pre_request" in shown["stages"]
    assert (shown["default_stage"], shown["default_on_error"]) == ("pre_request", "closed")
    assert shown["default_timeout"] == 2.0
    assert shown["secret_settings"] == ["headers"]
    assert shown["description"].startswith(shown["summary"])


@pytest.mark.parametrize("settings", [{"endpoint": "https://checks.example"}, {"endpoint": 5}, {}, {"x": 1}])
def test_json_schema_agrees_with_what_is_saved(api: Api, world: World, settings: dict[str, object]) -> None:
    schema = api.get("/plugins/external_validator").get_json()["settings_schema"]
    chain = [{"name": "external_validator", "settings": settings}]
    body = {"name": "x", "subdomain": "x", "plugin_chain": chain}
    saved = api.post("/tenants", body).status_code == 201
    assert jsonschema_rs.validator_for(schema).is_valid(settings) == saved


def test_every_json_schema_is_one(api: Api, world: World) -> None:
    for plugin in api.get("/plugins").get_json()["plugins"]:
        jsonschema_rs.meta.validate(plugin["settings_schema"])
        assert "$ref" not in str(plugin["settings_schema"])
        for setting in plugin["settings_schema"]["properties"].values():
            assert setting["description"]


def test_an_unknown_one_is_404(api: Api) -> None:
    assert api.get("/plugins/nobody").status_code == 404


def test_plugins_have_entity_tags(api: Api) -> None:
    for url in ("/plugins", "/plugins/rate_limiter"):
        tag = api.get(url).headers["ETag"]
        assert api.get(url, headers={"If-None-Match": tag}).status_code == 304
