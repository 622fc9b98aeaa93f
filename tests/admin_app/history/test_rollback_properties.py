"""A rollback makes a tenant's document as it was, except for secrets and times."""

from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.config_store.check import violations
from shared.config_store.store import RedisStore
from tests.admin_app.history.test_rollback import document, done, version
from tests.admin_app.world import Api, Tenant, World

TIMES = ("created_at", "updated_at", "version")
HEADERS = st.sampled_from([{}, {"X-Key": "canary-1"}, {"X-Key": "canary-2", "X-More": "canary-3"}])
ORIGINS = st.sampled_from(["https://api.openai.com", "https://checks.example"])
LIMITER = st.integers(1, 3).map(
    lambda limit: {
        "name": "rate_limiter",
        "settings": {"limits": {"global": {"limit": limit, "window": "1m"}}},
    }
)
VALIDATOR = st.builds(
    lambda endpoint, headers: {
        "name": "external_validator",
        "settings": {"endpoint": endpoint, "headers": headers},
    },
    *(ORIGINS, HEADERS),
)
CHAINS = st.lists(st.one_of(LIMITER, VALIDATOR), max_size=2, unique_by=lambda entry: entry["name"])
PROVIDERS = st.fixed_dictionaries(
    {
        "kind": st.just("openai"),
        "enabled": st.booleans(),
        "keys": st.sampled_from([[], [{"name": "a", "secret": "sk-canary"}]]),
        "headers": HEADERS,
        "base_url": st.sampled_from([None, "https://checks.example/v1"]),
    }
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Rules, providers and models by their natural names, and the tenant's own fields."""
    providers = draw(st.dictionaries(st.sampled_from("pqr"), PROVIDERS, max_size=2))
    names = sorted(providers)
    ai: list[Any] = []
    models = {}
    if names:
        target = st.builds(
            lambda name: {"targets": [{"provider": name, "model": "x"}]}, st.sampled_from(names)
        )
        models = draw(st.dictionaries(st.sampled_from("mno"), target, max_size=2))
        some = st.lists(st.sampled_from(names), unique=True, min_size=1)
        ai = [some.map(lambda found: {"target": None, "ai": {"providers": found}})]
    plain = st.builds(lambda url, headers: {"target": url, "ai": None, "headers": headers}, ORIGINS, HEADERS)
    pool = st.lists(
        st.builds(lambda url, headers: {"url": url, "headers": headers}, ORIGINS, HEADERS), min_size=1
    )
    pools = pool.map(lambda targets: {"target": None, "ai": None, "targets": targets[:3]})
    rule = st.builds(
        lambda where, chain, active: {**where, "plugin_chain": chain, "active": active},
        *(st.one_of(plain, pools, *ai), CHAINS, st.booleans()),
    )
    rules = draw(st.dictionaries(st.sampled_from(["/a", "/b", "/c"]), rule, max_size=3))
    own = {"name": draw(st.sampled_from(["One", "Two"])), "plugin_chain": draw(CHAINS)}
    scope = st.sampled_from([{}, *({"provider": name} for name in names), {"user": "ann"}])
    budget = st.builds(
        lambda limit, period, scope: {"limit": {"tokens": limit}, "period": period, "scope": scope},
        *(st.integers(0, 3), st.sampled_from(["day", "30d"]), scope),
    )
    budgets = draw(st.dictionaries(st.sampled_from("xyz"), budget, max_size=2))
    return {"own": own, "rules": rules, "providers": providers, "models": models, "budgets": budgets}


KINDS = (("providers", "name"), ("models", "name"), ("rules", "path"), ("budgets", "name"))


def apply(api: Api, tenant: Tenant, wanted: dict[str, Any]) -> None:
    """Make the tenant what is wanted, by single calls."""
    assert api.patch(tenant.url, wanted["own"]).status_code == 200
    gone = []
    for kind, natural in KINDS:
        found = api.get(f"{tenant.url}/{kind}").get_json()[kind]
        ids = {one[natural]: one.get("id", one["name"] if kind == "models" else "") for one in found}
        for name, body in wanted.get(kind, {}).items():
            sent, url = {natural: name, **body}, f"{tenant.url}/{kind}"
            made = api.put(f"{url}/{ids[name]}", sent) if name in ids else api.post(url, sent)
            assert made.status_code in (200, 201), made.text
        gone = [
            f"{tenant.url}/{kind}/{ids[name]}" for name in ids.keys() - wanted.get(kind, {}).keys()
        ] + gone
    for url in gone:
        assert api.delete(url).status_code == 204


def without_secrets(shown: dict[str, Any]) -> dict[str, Any]:
    """A document without times and without what a provider's secrets are for."""
    for kind in ("rules", "providers", "models", "budgets"):
        for one in shown[kind].values():
            for name in (*TIMES, *(("keys", "headers", "query") if kind == "providers" else ())):
                one.pop(name, None)
    return shown


def check_rollback(api: Api, first: dict[str, Any], second: dict[str, Any]) -> None:
    tenant = api.tenant(f"t{len(api.get('/tenants?limit=500').get_json()['tenants'])}")
    apply(api, tenant, first)
    old = version(api, tenant)
    apply(api, tenant, second)
    made = done(api, tenant.url, old)
    before, after = (document(api, tenant.url, number) for number in (old, made["version"]))
    assert without_secrets(after) == without_secrets(before)
    assert done(api, tenant.url, made["version"])["unchanged"]
    again = done(api, tenant.url, old)
    left_out = any("provider's secrets" in one["detail"] for one in made["warnings"])
    assert again["unchanged"] or left_out


HEADER = {"X-Key": "canary-1"}
ENTRY = {
    "name": "external_validator",
    "settings": {"endpoint": "https://checks.example", "headers": HEADER},
}
FIRST: dict[str, Any] = {
    "own": {"name": "One", "plugin_chain": [ENTRY]},
    "rules": {
        "/a": {"target": "https://api.openai.com", "headers": HEADER, "plugin_chain": [ENTRY]},
        "/b": {"target": None, "ai": {"providers": ["p"]}},
    },
    "providers": {"p": {"kind": "openai", "keys": [{"name": "a", "secret": "sk-canary"}]}},
    "models": {"m": {"targets": [{"provider": "p", "model": "x"}]}},
}
SECOND: dict[str, Any] = {
    "own": {"name": "Two", "plugin_chain": []},
    "rules": {"/a": {"target": "https://checks.example", "active": False}, "/c": FIRST["rules"]["/a"]},
    "providers": {},
    "models": {},
}


@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_document_that_is_rolled_back_is_what_it_was_on_each_store(
    api: Api, world: World, valkey_socket: str, kind: str
) -> None:
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.flushall()
        if kind == "redis":
            world.store = RedisStore(client, world.settings.admin.subdomain_quarantine)
        check_rollback(api, FIRST, SECOND)
        check_rollback(api, SECOND, FIRST)
        assert violations(client) == []


@pytest.mark.slow
@settings(max_examples=50, suppress_health_check=list(HealthCheck))
@given(first=documents(), second=documents())
def test_any_document_that_is_rolled_back_is_what_it_was(
    api: Api, first: dict[str, Any], second: dict[str, Any]
) -> None:
    check_rollback(api, first, second)
