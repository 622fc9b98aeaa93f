"""The platform's document: what every store promises of it, and of the tenants that use it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import redis

from shared.config_store.history.edit import Edit
from shared.config_store.idempotency import Claim
from shared.config_store.port import ConfigStore
from shared.config_store.records.platform import PlatformChange
from shared.config_store.store import RedisStore
from shared.core.errors import CallInProgress, Conflict, NamesInUse
from shared.model.config import Rule, Snapshot, Tenant
from shared.model.pools import AI_POLICY, Strategy
from shared.model.providers import (
    AiRule,
    Discovered,
    Model,
    ModelTarget,
    PlatformDocument,
    Provider,
    ProviderAuth,
    ProviderKey,
    ProviderModel,
    Shared,
)
from shared.model.rule_timeouts import RuleTimeouts
from shared.model.sealed import Sealed
from shared.model.webhooks import Webhook
from tests.config_store.configurations import ACTOR, a_tenant, change, create, with_tenant

OPENAI, ANTHROPIC = (Provider(f"prv_{name}", name, name, shared=Shared(all=True)) for name in "oa")
FAST = Model("fast", (ModelTarget(provider="o", model="gpt"),), shared=Shared(all=True))


def a_full_provider(name: str) -> Provider:
    """A provider in which every field differs from its default."""
    key = ProviderKey(
        id="pk_1",
        name="team",
        secret=Sealed("v1.key"),
        hint="sk-…9f2c",
        weight=3,
        models=("gpt-*",),
        enabled=False,
        expires_at=7.5,
        created_at=1.5,
    )
    return Provider(
        f"prv_{name}",
        name,
        "custom",
        base_url="https://models.example/v1",
        params={"region": "eu"},
        apis=("openai.chat",),
        auth=ProviderAuth(type="header", name="x-key"),
        keys=(key, ProviderKey(id="pk_2", name="environment", env="OPENAI_API_KEY")),
        headers={"X-Team": Sealed("v1.header")},
        query={"version": Sealed("v1.query")},
        models=(ProviderModel(id="gpt", aliases=("g",), caps={"tools": True}, prices={"input": "2.00"}),),
        discover=600.0,
        shared=Shared(tenants=("id-acme",), tiers=("pro",)),
        timeouts=RuleTimeouts(connect=1.5),
        ca="PEM",
        max_concurrent=5,
        enabled=False,
        created_at=1.0,
        updated_at=2.0,
        version=3,
    )


def write_platform(store: ConfigStore, **members: Any) -> PlatformDocument:
    before = store.read_platform()
    return store.write_platform(before, replace(before, **members), edit=Edit(actor=ACTOR))


def an_ai_tenant(name: str, *providers: str, **members: Any) -> Snapshot:
    return a_tenant(name, rules=(Rule("ai", "/v1", "", ai=AiRule(providers=providers, **members)),))


def test_platform_before_its_first_write_is_empty(store: ConfigStore) -> None:
    assert store.read_platform() == PlatformDocument()


def test_written_platform_is_read_back_with_its_next_version(store: ConfigStore) -> None:
    policy = replace(AI_POLICY, strategy=Strategy.LATENCY, affinity=None)
    models = (FAST, replace(FAST, name="ä:free@preset/b", policy=policy, visible=False, description="d"))
    prices = {"openai/gpt": {"input": "2.00"}}
    written = write_platform(
        store, providers=(a_full_provider("p"),), models=models, prices=prices, updated_at=5.5
    )
    assert written == store.read_platform()
    assert (written.version, written.updated_at, written.prices) == (1, 5.5, prices)
    again = write_platform(store, models=())
    assert (again.version, again.providers) == (2, written.providers)
    assert again.revision > written.revision > 0


def test_platform_and_tenants_share_the_revisions(store: ConfigStore) -> None:
    acme = create(store, a_tenant("acme"))
    platform = write_platform(store, providers=(OPENAI,))
    beta = create(store, a_tenant("beta"))
    assert acme.revision < platform.revision < beta.revision


def test_webhooks_of_the_platform_are_read_back_and_have_versions(store: ConfigStore) -> None:
    hook = Webhook(id="hook_1", name="ops", url="https://ops.example", secret=Sealed("v1.x"), updated_at=1.5)
    write_platform(store, webhooks=(hook,))
    assert store.read_platform().webhooks == (hook,)
    write_platform(store, webhooks=(replace(hook, active=False),))
    history = store.history
    assert [history.content("platform", note).webhooks for note in history.notes("platform", 2)] == [
        (replace(hook, active=False),),
        (hook,),
    ]


def test_tenants_own_providers_and_models_are_read_back(store: ConfigStore) -> None:
    acme = create(store, a_tenant("acme", providers=(a_full_provider("own"),), models=(FAST,)))
    assert store.read("id-acme") == acme
    acme = change(store, acme, with_tenant(acme, providers=()))
    assert (acme.tenant.version, store.read("id-acme")) == (2, acme)


def test_platform_write_from_an_outdated_read_conflicts(store: ConfigStore) -> None:
    old = store.read_platform()
    new = write_platform(store, providers=(OPENAI,))
    with pytest.raises(Conflict):
        store.write_platform(old, replace(old, providers=(ANTHROPIC,)), edit=Edit(actor=ACTOR))
    assert store.read_platform() == new


def test_platform_cannot_lose_what_tenants_name(store: ConfigStore) -> None:
    platform = write_platform(store, providers=(OPENAI, ANTHROPIC), models=(FAST,))
    create(store, an_ai_tenant("acme", "o", models=("fast", "gpt-*")))
    beta = create(store, an_ai_tenant("beta", "o"))
    with pytest.raises(NamesInUse, match="the provider o is used by id-acme, id-beta") as caught:
        write_platform(store, providers=(ANTHROPIC,))
    assert caught.value.users == {"provider:o": ["id-acme", "id-beta"]}
    with pytest.raises(NamesInUse, match="the model fast is used by id-acme"):
        write_platform(store, models=())
    assert store.read_platform() == platform
    write_platform(store, providers=(OPENAI,))
    store.write(beta, None, edit=Edit(actor=ACTOR))
    assert store.users_of(["provider:o", "model:fast", "provider:a"]) == {
        "provider:o": ["id-acme"],
        "model:fast": ["id-acme"],
    }


@pytest.mark.parametrize(
    ("members", "used"),
    [
        ({"rules": (Rule("plain", "/", "https://a.example"),)}, []),
        ({"rules": (Rule("ai", "/", "", ai=AiRule()),)}, []),
        ({"rules": (Rule("ai", "/", "", ai=AiRule(default_model="o/x/y")),)}, ["model:o/x/y", "provider:o"]),
        ({"rules": (Rule("ai", "/", "", ai=AiRule(models=("o/*", "gpt"))),)}, ["model:gpt"]),
        ({"models": (FAST,), "rules": (Rule("ai", "/", "", ai=AiRule(models=("fast",))),)}, ["provider:o"]),
        ({"providers": (OPENAI,), "models": (FAST,)}, []),
    ],
)
def test_tenant_uses_what_it_names_and_does_not_define(
    store: ConfigStore, members: dict[str, Any], used: Sequence[str]
) -> None:
    acme = create(store, a_tenant("acme", **members))
    asked = ["model:o/x/y", "model:gpt", "model:fast", "provider:o"]
    assert sorted(store.users_of(asked)) == used
    change(store, acme, replace(with_tenant(acme, providers=(), models=()), rules=()))
    assert store.users_of(asked) == {}


def test_tenant_that_was_checked_by_an_older_platform_conflicts(store: ConfigStore) -> None:
    old = write_platform(store, providers=(OPENAI,))
    new = write_platform(store, providers=(OPENAI, ANTHROPIC))
    acme = an_ai_tenant("acme", "o")
    with pytest.raises(Conflict):
        store.write(None, acme, edit=Edit(actor=ACTOR), platform=old.revision)
    assert store.read("id-acme") is None
    stored = store.write(None, acme, edit=Edit(actor=ACTOR), platform=new.revision)
    assert stored
    newest = write_platform(store, providers=(OPENAI,))
    with pytest.raises(Conflict):
        store.write(stored, with_tenant(stored, name="A"), edit=Edit(actor=ACTOR), platform=new.revision)
    assert store.write(
        stored, with_tenant(stored, name="A"), edit=Edit(actor=ACTOR), platform=newest.revision
    )


def test_tenant_without_names_of_the_platform_takes_no_notice_of_it(store: ConfigStore) -> None:
    old = store.read_platform()
    write_platform(store, providers=(OPENAI,))
    assert store.write(None, a_tenant("acme"), edit=Edit(actor=ACTOR), platform=old.revision)


def test_claim_is_replaced_with_the_change_of_the_platform(store: ConfigStore) -> None:
    store.claim("call", "mine")
    claim = Claim[PlatformDocument]("call", "mine", lambda after: f"version {after.version}")
    before = store.read_platform()
    store.write_platform(before, before, edit=Edit(actor=ACTOR), claim=claim)
    assert store.claim("call", "theirs") == "version 1"
    with pytest.raises(CallInProgress):
        store.write_platform(store.read_platform(), before, edit=Edit(actor=ACTOR), claim=claim)


def test_platform_cannot_withdraw_what_tenants_name(store: ConfigStore) -> None:
    own = replace(ANTHROPIC, shared=Shared(tenants=("id-beta",)))
    platform = write_platform(store, providers=(OPENAI, own), models=(FAST,))
    create(store, an_ai_tenant("acme", "o", models=("fast",)))
    beta = create(store, an_ai_tenant("beta", "o"))
    create(store, a_tenant("own", providers=(replace(OPENAI, id="prv_own"),), rules=beta.rules))
    for shared in (Shared(), Shared(tiers=("elsewhere",)), Shared(tenants=("id-acme",))):
        with pytest.raises(NamesInUse, match=r"the provider o is used by .*id-beta") as caught:
            write_platform(store, providers=(replace(OPENAI, shared=shared), own))
        assert ("id-acme" in str(caught.value)) == (not shared.tenants)
        assert "id-own" not in str(caught.value)
    with pytest.raises(NamesInUse, match="the model fast is used by id-acme"):
        write_platform(store, models=(replace(FAST, shared=Shared(tenants=("id-beta",))),))
    assert store.read_platform() == platform
    both = Shared(tenants=("id-acme",), tiers=(beta.tenant.tier,))
    unused = replace(own, shared=Shared())
    write_platform(store, providers=(replace(OPENAI, shared=both, enabled=False), unused))
    write_platform(store, providers=(replace(OPENAI, shared=Shared(all=True)), unused))


@pytest.mark.parametrize("meanwhile", ["a new user", "another tier"])
def test_withdrawal_is_judged_again_when_its_users_change_meanwhile(
    valkey_socket: str, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.flushall()
        store = RedisStore(client, quarantine=60)
        write_platform(store, providers=(OPENAI,))
        acme = create(store, an_ai_tenant("acme", "o"))
        read_users, fewer = store._keeping_users, replace(OPENAI, shared=Shared(tiers=(acme.tenant.tier,)))

        def read_and_change(judged: PlatformChange) -> Sequence[Tenant]:
            found = read_users(judged)
            if meanwhile == "a new user":
                create(store, an_ai_tenant("beta", "o"))
            else:
                change(store, acme, with_tenant(acme, tier="elsewhere"))
            return found

        monkeypatch.setattr(store, "_keeping_users", read_and_change)
        with pytest.raises(Conflict):
            write_platform(store, providers=(fewer,))
        monkeypatch.undo()
        if meanwhile == "another tier":
            with pytest.raises(NamesInUse, match="id-acme"):
                write_platform(store, providers=(fewer,))
        else:
            write_platform(store, providers=(fewer,))


def test_changes_since_a_number_name_tenants_and_the_platform(store: ConfigStore) -> None:
    assert store.changes(0) == (0, [])
    acme = create(store, a_tenant("acme"))
    globex = create(store, a_tenant("globex"))
    platform = write_platform(store, providers=(OPENAI,))
    assert store.changes(0) == (platform.revision, ["id-acme", "id-globex", "platform"])
    assert store.changes(globex.revision) == (platform.revision, ["platform"])
    store.write(acme, None, edit=Edit(actor=ACTOR))
    number, changed = store.changes(platform.revision)
    assert (number > platform.revision, changed) == (True, ["id-acme"])
    assert store.changes(number) == (number, [])


def test_new_list_of_models_is_a_change_of_the_owner_of_its_provider(store: ConfigStore) -> None:
    write_platform(store, providers=(OPENAI,))
    acme = create(store, a_tenant("acme", providers=(ANTHROPIC,)))
    for names in (("a",), ("a",), ("a", "b")):
        store.write_discovered("id-acme", "prv_a", Discovered(names, 5.5))
    assert store.changes(acme.revision) == (acme.revision + 2, ["id-acme"])
    store.write_discovered("platform", "prv_o", Discovered(("a",), 5.5))
    assert store.changes(acme.revision + 2) == (acme.revision + 3, ["platform"])
    store.write(acme, None, edit=Edit(actor=ACTOR))
    store.write_discovered("id-acme", "prv_a", Discovered((), 5.5))  # the tenant was deleted meanwhile
    assert store.changes(acme.revision + 3) == (acme.revision + 4, ["id-acme"])
    assert store.discovered(["prv_a"]) == {}


def test_discovered_models_are_kept_until_their_provider_is_removed(store: ConfigStore) -> None:
    first, second = Discovered(("a", "b"), 5.5), Discovered((), 6.5)
    write_platform(store, providers=(OPENAI,))
    acme = create(store, a_tenant("acme", providers=(ANTHROPIC,)))
    store.write_discovered("platform", "prv_o", first)
    store.write_discovered("id-acme", "prv_a", second)
    asked = ["prv_o", "prv_x", "prv_a"]
    assert store.discovered(asked) == {"prv_o": first, "prv_a": second}
    write_platform(store, providers=())
    assert store.discovered(asked) == {"prv_a": second}
    store.write(acme, None, edit=Edit(actor=ACTOR))
    assert store.discovered(asked) == {} == store.discovered([])
