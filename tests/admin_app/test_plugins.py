"""/plugins: what can stand in a chain."""

import jsonschema_rs
import pytest

from shared.pipeline.plugin import CONTINUE, Exchange, Plugin, Verdict, fields, setting
from tests.admin_app.world import Api, Tenant, World, pointers


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
        for described in plugin["settings_schema"]["properties"].values():
            assert described["description"]


def test_an_unknown_one_is_404(api: Api) -> None:
    assert api.get("/plugins/nobody").status_code == 404


def test_plugins_have_entity_tags(api: Api) -> None:
    for url in ("/plugins", "/plugins/rate_limiter"):
        tag = api.get(url).headers["ETag"]
        assert api.get(url, headers={"If-None-Match": tag}).status_code == 304


def test_plugin_tells_what_it_reads_changes_and_does_on_streams(api: Api) -> None:
    names = ("reads", "changes", "streams", "merges_entries")
    told = {one["name"]: [one[name] for name in names] for one in api.get("/plugins").get_json()["plugins"]}
    assert told == {
        "content_validator": [["body", "headers"], [], "events", False],
        "external_validator": [["body", "headers"], [], "any", False],
        "rate_limiter": [["headers"], [], "any", True],
        "security_validator": [["headers"], [], "any", False],
    }


class Collecting(Plugin):
    """Let all responses pass, once they are whole.

    >>> Collecting.parse({"size": 1})
    """

    size: int = setting(fields.Integer(required=True, metadata={"example": 5}), "A size.")

    def pre_response(self, exchange: Exchange) -> Verdict:
        return CONTINUE


def test_plugin_without_an_example_of_its_own_is_shown_with_its_required_settings(
    api: Api, world: World
) -> None:
    world.catalogue = {"collecting": Collecting}
    shown = api.get("/plugins/collecting").get_json()
    assert shown["example"]["settings"] == {"size": 5}
    assert shown["streams"] == "whole"
    assert shown["description"] == "Let all responses pass, once they are whole."


def test_example_of_every_plugin_can_be_saved(api: Api, tenant: Tenant) -> None:
    for plugin in api.get("/plugins").get_json()["plugins"]:
        assert plugin["example"]["settings"]
        api.rule(tenant, f"/{plugin['name']}", plugin_chain=[plugin["example"]])


def test_settings_tell_their_titles_formats_and_units(api: Api) -> None:
    schemas = {one["name"]: one["settings_schema"] for one in api.get("/plugins").get_json()["plugins"]}
    own = {name: schema["properties"] for name, schema in schemas.items()}
    assert own["security_validator"]["blocked_ips"]["title"] == "Blocked IPs"
    assert own["content_validator"]["max_json_depth"]["title"] == "Max JSON depth"
    formats = {
        own["content_validator"]["blocked_patterns"]["items"]["format"],
        own["security_validator"]["allowed_ips"]["items"]["format"],
        own["security_validator"]["required_headers"]["items"]["format"],
    }
    assert formats == {"regex", "cidr", "header"}
    size, timeout = own["content_validator"]["max_size"], own["external_validator"]["attempt_timeout"]
    assert (size["format"], size["unit"]) == ("size", "bytes")
    assert (timeout["format"], timeout["unit"]) == ("duration", "seconds")
    quota = own["rate_limiter"]["limits"]["properties"]["global"]["anyOf"][0]["properties"]
    assert (quota["window"]["format"], quota["window"]["title"]) == ("duration", "Window")
    assert quota["limit"]["description"]
