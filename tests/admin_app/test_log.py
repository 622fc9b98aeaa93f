"""One line a change of the configuration, with who, what and which version, and no secret."""

import logging
from typing import Any

import pytest

from shared.documents import examples
from shared.logs import FIELDS
from tests.admin_app.world import Api, Tenant

SECRET = "hunter2-hunter2"


def changes(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The members of the lines about changes."""
    return [
        getattr(record, FIELDS)
        for record in caplog.records
        if record.message == "The configuration was changed."
    ]


def test_every_change_is_one_line(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    made = api.create("/tenants", examples.TENANT)
    tenant = Tenant(made["id"], made["api_key"], f"/tenants/{made['id']}")
    rule = api.rule(tenant, headers={"Authorization": SECRET})
    first = api.first_key(tenant)
    calls = [
        api.patch(f"{tenant.url}/rules/{rule['id']}", {"active": False}, key=tenant.key),
        api.put(f"{tenant.url}/rules/{rule['id']}", examples.RULE, headers={"X-Request-ID": "req-7"}),
        api.post(f"{tenant.url}/api-keys/{first}/rotate", {}),
        api.delete(f"{tenant.url}/rules/{rule['id']}"),
        api.patch(tenant.url, {"name": "New"}),
        api.delete(tenant.url),
    ]
    assert {call.status_code for call in calls} == {200, 201, 204}
    lines = changes(caplog)
    assert [line["operation"] for line in lines] == [
        *("createTenant", "createRule", "updateRule", "replaceRule", "rotateApiKey", "deleteRule"),
        *("updateTenant", "deleteTenant"),
    ]
    assert {line["tenant"] for line in lines} == {tenant.id}
    assert [line["version"] for line in lines] == [1, 2, 3, 4, 4, 5, 6, 6]
    assert [line["actor"] for line in lines] == ["platform", "platform", f"key:{first}", *["platform"] * 5]
    rotated = calls[2].get_json()["id"]
    assert [line["objects"] for line in lines[:6]] == [
        *([first], [rule["id"]], [rule["id"]], [rule["id"]], sorted([first, rotated]), [rule["id"]])
    ]
    assert lines[3]["request_id"] == "req-7"
    assert SECRET not in str(lines)
    assert tenant.key not in str(lines)


def test_rejected_or_repeated_change_is_no_line(
    api: Api, tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert api.patch(tenant.url, {"tier": "gold"}).status_code == 422
    assert api.patch(tenant.url, {"name": "x"}, headers={"If-Match": '"old"'}).status_code == 412
    assert api.get(tenant.url).status_code == 200
    assert changes(caplog) == []
