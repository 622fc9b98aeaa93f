"""The configuration as a file, and the JSON Schemas of files."""

import re

import jsonschema_rs
from ruamel.yaml import YAML

from shared.documents.file.normal import normal
from shared.documents.file.parse import parse_file
from shared.plugins import load_catalogue
from tests.admin_app.world import Api, Tenant, error_of
from tests.documents.file.files import EXAMPLE
from tests.support.gateway import ROOT

CONFIG = ROOT / "config.yaml"


def test_the_schema_of_a_file_needs_no_key_and_takes_the_example(api: Api) -> None:
    schema = api.client.get("/schemas/gateway-1.json")
    assert schema.status_code == 200, schema.text
    assert jsonschema_rs.validator_for(schema.get_json()).is_valid(EXAMPLE)


def test_the_first_line_of_the_documented_file_leads_editors_to_its_schema(api: Api) -> None:
    """As the language server of YAML reads it: a comment with the address, which it fetches without a key."""
    page = (ROOT / "docs/how-to/files.md").read_text()
    text, *_ = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    modeline = re.match(r"# yaml-language-server: \$schema=http://localhost:8080(/\S+)\n", text)
    assert modeline is not None
    validator = jsonschema_rs.validator_for(api.client.get(modeline[1]).get_json())
    document = YAML(typ="safe").load(text)
    assert [str(one) for one in validator.iter_errors(document)] == []
    document["tenants"]["acme"]["rules"]["chat"]["ai"] = {"provider": "openai-main"}
    [error] = validator.iter_errors(document)
    assert error.instance_path[:5] == ["tenants", "acme", "rules", "chat", "ai"]


def test_the_schema_of_settings_takes_the_documented_ones_and_finds_a_wrong_name(api: Api) -> None:
    validator = jsonschema_rs.validator_for(api.client.get("/schemas/config-1.json").get_json())
    config = YAML(typ="safe").load(CONFIG)
    assert [str(one) for one in validator.iter_errors(config)] == []
    config["server"]["admin_prot"] = 9080
    assert not validator.is_valid(config)


def test_a_dump_has_what_was_made_without_ids_and_secrets(api: Api, tenant: Tenant) -> None:
    api.rule(tenant, "/v1", name="chat", headers={"Authorization": "Bearer canary"}, timeouts={"idle": "5s"})
    shown = api.get("/document")
    assert shown.status_code == 200, shown.text
    rule = shown.get_json()["tenants"]["acme"]["rules"]["chat"]
    assert rule == {
        "path": "/v1",
        "target": "https://api.openai.com",
        "headers": {"Authorization": {"set": True}},
        "timeouts": {"idle": 5.0},
    }
    assert "canary" not in shown.text
    assert normal(parse_file(shown.get_json()), load_catalogue()) == shown.get_json()


def test_a_dump_has_the_tenants_that_are_asked_for(api: Api, tenant: Tenant) -> None:
    api.tenant("globex")
    assert list(api.get("/document?tenants=globex&platform=false").get_json()) == [
        "_format_version",
        "tenants",
    ]
    assert list(api.get("/document?tenants=globex,acme").get_json()["tenants"]) == ["acme", "globex"]
    assert error_of(api.get("/document?tenants=nobody")) == (404, "not_found")


def test_a_key_reads_its_own_tenant(api: Api, tenant: Tenant) -> None:
    api.tenant("globex")
    shown = api.get("/document", key=tenant.key).get_json()
    assert list(shown["tenants"]) == ["acme"]
    assert "platform" not in shown
