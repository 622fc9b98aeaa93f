"""A chain that cannot work is refused when it is saved, with the place and the reason."""

from collections import Counter
from collections.abc import Mapping
from typing import Any
from unittest.mock import Mock

import pytest

from shared.model.messages import Exchange
from shared.pipeline.plugin import CONTINUE, Plugin, Verdict
from tests.admin_app.world import Api, Tenant, World

RULE = {"path": "/v1", "target": "https://api.openai.com"}
CUTTING = {"name": "content_validator", "settings": {"fields": ["model"]}}
READING = {"name": "content_validator", "settings": {"max_size": "1KB"}}
TOGETHER = {"parallel": True}
QUOTA = {"limit": 5, "window": "1m"}


def limited(**limits: Any) -> list[Any]:
    return [{"name": "rate_limiter", "settings": {"limits": limits}}]


def broken(plugin_name: str, error: BaseException) -> type[Plugin]:
    class Broken(Plugin):
        """Cannot be set up."""

        name = plugin_name
        prepare = Mock(side_effect=error)

        def pre_request(self, exchange: Exchange) -> Verdict:
            return CONTINUE

    return Broken


@pytest.fixture(autouse=True)
def more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = {"exploding": ZeroDivisionError("division by zero"), "ending": SystemExit(3)}
    extra = {name: broken(name, error) for name, error in errors.items()}
    monkeypatch.setattr(world, "catalogue", {**world.catalogue, **extra})


WRONG: list[tuple[list[Any], str, str]] = [
    ([{"name": "rate_limitr"}], "/0/name", "There is no plugin rate_limitr."),
    ([READING, {"name": "rate_limiter", "stage": "post_request", "settings": QUOTA}], "/1/stage", "cannot act at post_request"),
    ([{"name": "security_validator", "stage": "soon"}], "/0/stage", "Must be one of"),
    ([{"name": "content_validator", "settings": {"max_size": "much"}}], "/0/settings/max_size", "Must be a size"),
    ([{"name": "content_validator", "settings": {"blocked_patterns": ["a", "("]}}],
     "/0/settings/blocked_patterns/1", "missing"),
    ([{"name": "external_validator"}], "/0/settings/endpoint", "It is missing. Add it."),
    ([{"name": "rate_limiter", "parallel": True, "settings": {"limit": 1, "window": "1m"}}], "/0/parallel",
     "merges its entries"),
    ([CUTTING | TOGETHER, READING | TOGETHER], "/0", "run at the same time"),
    ([CUTTING | TOGETHER, CUTTING | TOGETHER], "/1", "run at the same time"),
    ([{"name": "exploding"}], "/0/settings", "(ZeroDivisionError: division by zero)"),
    ([{"name": "ending"}], "/0/settings", "(SystemExit: 3)"),
    ([{"name": "security_validator", "on_error": "ignore"}], "/0/on_error", "Allowed: closed, open"),
    (limited(per_header={"X-Team": {**QUOTA, "on_missing": "?"}}), "/0/settings/limits/per_header/X-Team/on_missing", "shared"),
    (limited(per_header={"a~b": {"limit": -1, "window": 1}}), "/0/settings/limits/per_header/a~0b/limit", "at least"),
    (limited(per_model={"org/m": [QUOTA, {"limit": 1}]}), "/0/settings/limits/per_model/org~1m/1/window", "missing"),
    (limited(streams={"limit": 8, "per": ["key", "?"]}), "/0/settings/limits/streams/per/1", "ip, key"),
    (limited(per_planet=QUOTA), "/0/settings/limits/per_planet", "Allowed: global"),
]  # fmt: skip


def check_rejected(response: Any, pointer: str, reason: str) -> None:
    assert response.status_code == 422, response.text
    [problem] = response.get_json()["errors"]
    assert problem["pointer"] == pointer
    assert reason in problem["detail"]


@pytest.mark.parametrize(("chain", "pointer", "reason"), WRONG)
def test_wrong_chain_is_rejected(api: Api, tenant: Tenant, chain: Any, pointer: str, reason: str) -> None:
    before, sent = api.get(tenant.url).get_json(), {"plugin_chain": chain}
    for response in (api.post(f"{tenant.url}/rules", RULE | sent), api.patch(tenant.url, sent)):
        check_rejected(response, f"/plugin_chain{pointer}", reason)
    assert api.get(tenant.url).get_json() == before
    assert api.get(f"{tenant.url}/rules").get_json()["count"] == 0


@pytest.mark.parametrize(
    ("chain", "pointer", "reason"), [row for row in WRONG if len(row[0]) == 1 and "parallel" not in row[1]]
)
def test_invalid_required_plugin_is_rejected_at_its_pointer(
    api: Api, tenant: Tenant, chain: list[Any], pointer: str, reason: str
) -> None:
    [entry] = chain
    name = entry["name"]
    response = api.patch(tenant.url, {"required_plugins": {name: entry}})
    check_rejected(response, f"/required_plugins/{name}{pointer.removeprefix('/0')}", reason)


def test_a_plugin_that_the_tenant_may_not_use(api: Api, tenant: Tenant) -> None:
    api.patch(tenant.url, {"enabled_plugins": ["rate_limiter"]})
    response = api.post(f"{tenant.url}/rules", RULE | {"plugin_chain": [READING]})
    check_rejected(response, "/plugin_chain/0/name", "not one of the tenant's enabled_plugins: rate_limiter.")


def test_chain_that_rewrites_what_a_required_entry_has_judged_is_rejected(api: Api, tenant: Tenant) -> None:
    api.patch(tenant.url, {"required_plugins": {"content_validator": READING}})
    response = api.post(f"{tenant.url}/rules", RULE | {"plugin_chain": [CUTTING]})
    reason = "changes the body that the required content_validator has judged"
    check_rejected(response, "/plugin_chain/0", reason)


def test_chain_that_would_break_a_stored_rule_of_the_tenant_is_rejected(api: Api, tenant: Tenant) -> None:
    assert api.post(f"{tenant.url}/rules", RULE | {"plugin_chain": [CUTTING]}).status_code == 201
    response = api.patch(tenant.url, {"required_plugins": {"content_validator": READING}})
    check_rejected(response, "/required_plugins", "With rule rule_")


def count_parses(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often plugins are parsed from now on, by their names."""
    parsed: Counter[str] = Counter()
    parse = Plugin.parse.__func__  # type: ignore[attr-defined]

    def counted(kind: type[Plugin], settings: Mapping[str, Any]) -> Plugin:
        parsed[kind.name] += 1
        plugin: Plugin = parse(kind, settings)
        return plugin

    monkeypatch.setattr(Plugin, "parse", classmethod(counted))
    return parsed


def test_save_parses_each_entry_once_for_all_checks_and_warnings(
    api: Api, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = count_parses(monkeypatch)
    limiter = {"name": "rate_limiter", "settings": {"limit": 1, "window": "1m"}}
    chain = [limiter, READING, {"name": "security_validator"}]
    assert api.post(f"{tenant.url}/rules", RULE | {"plugin_chain": chain}).status_code == 201
    own, tier = 1, 1
    assert parsed == {"content_validator": 1, "security_validator": 1, "rate_limiter": own + tier}
    parsed.clear()
    assert api.patch(tenant.url, {"plugin_chain": [READING]}).status_code == 200
    # The entries of the tenant, and those of its rule.
    assert parsed == {"content_validator": 1 + 1, "security_validator": 1, "rate_limiter": own + tier}


def test_plan_of_a_file_parses_each_entry_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = {f"r{at}": {**RULE, "path": f"/r{at}", "plugin_chain": [READING]} for at in range(3)}
    acme = {"name": "Acme", "plugin_chain": [{"name": "security_validator"}], "rules": rules}
    parsed = count_parses(monkeypatch)
    document = {"_format_version": "1", "tenants": {"acme": acme}}
    assert api.post("/plan", {"document": document}).status_code == 200
    assert parsed["content_validator"] == len(rules)
    assert parsed["security_validator"] == 1


def test_list_of_limits_parses_each_entry_once(
    api: Api, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = {"name": "rate_limiter", "settings": {"limit": 1, "window": "1m"}}
    api.patch(tenant.url, {"plugin_chain": [limiter]})
    for number in range(3):
        api.rule(tenant, f"/v{number}", plugin_chain=[limiter])
    parsed = count_parses(monkeypatch)
    assert api.get(f"{tenant.url}/rate-limits").status_code == 200
    tier, own, rules = 1, 1, 3
    assert parsed == {"rate_limiter": tier + own + rules}
