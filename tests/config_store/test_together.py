"""Several owners that are written in one step: all of them, or none."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from shared.config_store import layout
from shared.config_store.check import violations
from shared.config_store.history.audit import AuditKey
from shared.config_store.history.edit import Edit
from shared.config_store.idempotency import Claim
from shared.config_store.port import MAX_PLANS, ConfigStore
from shared.config_store.records.leftovers import Leftovers
from shared.config_store.records.together import PlatformWrite, TenantWrite, Together, Written
from shared.config_store.store import RedisStore
from shared.core.errors import CallInProgress, Conflict, NamesInUse, StoreDown, SubdomainTaken
from shared.model.config import Rule, Snapshot
from shared.model.providers import AiRule, PlatformDocument, Provider, Shared
from tests.config_store.configurations import ACTOR, a_full_tenant, a_tenant, an_api_key, create, with_tenant

EDIT = Edit(actor=ACTOR, summary="applied", file="gateway.yaml", source="file")
MAIN = Provider("prv_1", "main", "openai", shared=Shared(all=True))
AI_RULE = Rule("rule_1", "/ai", "", ai=AiRule(providers=("main",)))
RULE = Rule("rule_2", "/v1", "https://upstream.example")


def together(
    store: ConfigStore,
    *pairs: tuple[Snapshot | None, Snapshot | None],
    platform: tuple[PlatformDocument, PlatformDocument] | None = None,
    checked_by: int | None = None,
    claim: Claim[Written] | None = None,
) -> Written:
    tenants = [TenantWrite(*pair, EDIT) for pair in pairs]
    write = PlatformWrite(*platform, EDIT) if platform else None
    revision = store.read_platform().revision if checked_by is None else checked_by
    return store.write_together(Together(tenants, write, revision), claim=claim)


def check(store: ConfigStore) -> None:
    """The invariants of a store in Redis hold, with those of its audit log."""
    if isinstance(store, RedisStore):
        assert violations(store._client, audit_key=AuditKey()) == []


def stored(store: ConfigStore, *names: str) -> Sequence[Snapshot]:
    found = [store.read(f"id-{name}") for name in names]
    return [one for one in found if one is not None]


def test_tenants_are_created_changed_and_deleted_in_one_step(store: ConfigStore) -> None:
    old, gone = create(store, a_full_tenant("old")), create(store, a_full_tenant("gone"))
    changed = with_tenant(replace(old, rules=(*old.rules, RULE)), name="new name")
    written = together(store, (None, a_full_tenant("new")), (old, changed), (gone, None))
    assert [one and one.tenant.version for one in written.tenants] == [1, 2, None]
    new, after = stored(store, "new", "old")
    assert replace(new, revision=0) == replace(a_full_tenant("new"), revision=0)
    assert (after.tenant.name, after.rules[-1]) == ("new name", RULE)
    assert store.read("id-gone") is None
    assert store.find_key("pepper:new-a") == ("id-new", "key-new-a")
    assert store.find_key("pepper:gone-a") is None
    assert [one.tenant.name for one in store.list(10, None).snapshots] == ["new name", "new"]
    assert set(store.changes(max(old.revision, gone.revision))[1]) == {"id-new", "id-old", "id-gone"}
    check(store)


def test_each_owner_gets_a_version_and_an_entry_in_the_audit_log(store: ConfigStore) -> None:
    old = create(store, a_tenant("old"))
    together(
        store,
        (old, with_tenant(old, name="x")),
        (None, a_tenant("new")),
        platform=(store.read_platform(), PlatformDocument((MAIN,))),
    )
    for owner, version in (("id-old", 2), ("id-new", 1), ("platform", 1)):
        [note] = store.history.notes(owner, 1)
        assert (note.version, note.source, note.file, note.summary) == (
            version,
            "file",
            "gateway.yaml",
            "applied",
        )
        assert store.history.content(owner, note) is not None
    actions = [(one.entry.owner, one.entry.action) for one in store.history.entries(3)]
    assert sorted(actions) == [("id-new", "create"), ("id-old", "update"), ("platform", "update")]
    check(store)


def test_nothing_is_written_when_one_owner_has_changed(store: ConfigStore) -> None:
    one, two = create(store, a_tenant("one")), create(store, a_tenant("two"))
    create_again = with_tenant(two, name="meanwhile")
    store.write(two, create_again, edit=EDIT)
    with pytest.raises(Conflict):
        together(store, (one, with_tenant(one, name="x")), (two, with_tenant(two, name="y")))
    assert [found.tenant.name for found in stored(store, "one", "two")] == ["one", "meanwhile"]
    check(store)


def test_nothing_is_written_when_a_subdomain_is_taken(store: ConfigStore) -> None:
    one = create(store, a_tenant("one"))
    thief = replace(a_tenant("thief"), keys=(an_api_key("thief"),))
    with pytest.raises(SubdomainTaken):
        together(store, (one, with_tenant(one, name="x")), (None, with_tenant(thief, subdomain="one")))
    assert [found.tenant.name for found in stored(store, "one", "thief")] == ["one"]
    check(store)


def test_what_the_platform_loses_may_be_given_up_in_the_same_step(store: ConfigStore) -> None:
    with_main = store.write_platform(store.read_platform(), PlatformDocument((MAIN,)), edit=EDIT)
    user = store.write(
        None, replace(a_tenant("user"), rules=(AI_RULE,)), edit=EDIT, platform=with_main.revision
    )
    assert user is not None
    without = replace(with_main, providers=())
    with pytest.raises(NamesInUse):
        together(store, (user, with_tenant(user, name="x")), platform=(with_main, without))
    together(store, (user, replace(user, rules=())), platform=(with_main, without))
    assert store.read_platform().providers == ()
    assert store.users_of(["provider:main"]) == {}
    check(store)


def test_users_of_the_platform_are_listed(store: ConfigStore) -> None:
    platform = (store.read_platform(), PlatformDocument((MAIN,)))
    together(store, (None, replace(a_tenant("user"), rules=(AI_RULE,))), platform=platform)
    assert store.users_of(["provider:main"]) == {"provider:main": ["id-user"]}
    check(store)


def test_a_tenant_checked_by_an_older_platform_is_not_written(store: ConfigStore) -> None:
    first = store.write_platform(store.read_platform(), PlatformDocument((MAIN,)), edit=EDIT)
    store.write_platform(first, replace(first, prices={"openai/x": {"input": "1"}}), edit=EDIT)
    user = replace(a_tenant("user"), rules=(AI_RULE,))
    with pytest.raises(Conflict):
        together(store, (None, user), checked_by=first.revision)


def test_a_claim_is_replaced_with_the_response(store: ConfigStore) -> None:
    assert store.claim("call", "mine") is None
    seen: list[Written] = []

    def finish(written: Written) -> str:
        seen.append(written)
        return "the response"

    together(store, (None, a_tenant("new")), claim=Claim("call", "mine", finish))
    assert store.claim("call", "other") == "the response"
    assert [one and one.tenant.version for one in seen[0].tenants] == [1]
    with pytest.raises(CallInProgress):
        together(store, (None, a_tenant("late")), claim=Claim("call", "mine", finish))
    assert store.read("id-late") is None


def put_plan(store: ConfigStore, plan_id: str, text: str = "sealed", owner: str = "id-acme") -> None:
    store.put_plan(plan_id, text, owner=owner, seconds=60, most_bytes=1_000)


def test_a_plan_is_kept_for_some_time(store: ConfigStore) -> None:
    put_plan(store, "plan_1")
    assert store.plan("plan_1") == "sealed"
    assert store.plan("plan_2") is None


def test_plans_of_an_owner_that_are_large_together_replace_its_oldest_ones(store: ConfigStore) -> None:
    put_plan(store, "other", owner="id-other")
    for number in range(1, 4):
        put_plan(store, f"plan_{number}", "x" * 400)
    kept = [name for name in ("other", "plan_1", "plan_2", "plan_3") if store.plan(name)]
    assert kept == ["other", "plan_2", "plan_3"]
    put_plan(store, "plan_4", "x" * 2_000)
    assert [name for name in ("plan_2", "plan_3", "plan_4") if store.plan(name)] == ["plan_4"]


def test_no_more_than_so_many_plans_of_an_owner_are_kept(store: ConfigStore) -> None:
    for number in range(MAX_PLANS + 1):
        put_plan(store, f"plan_{number}", "x")
    assert store.plan("plan_0") is None
    assert store.plan("plan_1") == store.plan(f"plan_{MAX_PLANS}") == "x"


def test_tenants_are_read_by_their_subdomains(store: ConfigStore) -> None:
    one, two = create(store, a_tenant("one")), create(store, a_tenant("two"))
    assert store.read_named(["two", "nobody"]) == {"two": two}
    assert store.read_named() == {"one": one, "two": two}
    assert store.read_named([]) == {}


class TestLeftovers:
    def test_what_was_staged_for_nothing_is_removed_in_time(self, client: Any) -> None:
        store = RedisStore(client, quarantine=60)
        one = create(store, a_full_tenant("one"))
        store.write(one, with_tenant(one, name="x"), edit=EDIT)
        with pytest.raises(Conflict):
            together(store, (one, replace(one, rules=(RULE,))))
        staged = client.zrange(layout.LEFTOVERS, 0, -1)
        assert len(staged) == 2
        check(store)
        client.zadd(layout.LEFTOVERS, dict.fromkeys(staged, 1))
        together(store, (None, a_tenant("two")))
        assert client.zcard(layout.LEFTOVERS) == 0
        assert list(client.scan_iter("{cfg}:staged:*")) == []
        check(store)

    def test_a_part_that_is_used_by_then_stays(self, client: Any) -> None:
        store = RedisStore(client, quarantine=60)
        one = create(store, a_tenant("one"))
        other = store.write(one, with_tenant(one, name="x"), edit=EDIT)
        assert other is not None
        with pytest.raises(Conflict):
            together(store, (one, replace(one, rules=(RULE,))))
        with_rule = store.write(other, replace(other, rules=(RULE,)), edit=EDIT)
        staged = client.zrange(layout.LEFTOVERS, 0, -1)
        client.zadd(layout.LEFTOVERS, dict.fromkeys(staged, 1))
        together(store, (None, a_tenant("two")))
        assert client.zcard(layout.LEFTOVERS) == 0
        assert RedisStore(client, quarantine=60).read("id-one") == with_rule
        check(store)

    def test_a_change_is_made_though_redis_fails_after_it(
        self, client: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = RedisStore(client, quarantine=60)

        def fail(*_: Any) -> None:
            raise StoreDown("Redis is gone.")

        monkeypatch.setattr(Leftovers, "_finish", fail)
        assert together(store, (None, a_tenant("new"))).tenants[0] is not None
        assert "removed later" in caplog.text
        assert store.read("id-new") is not None
        check(store)

    def test_nothing_is_left_of_a_deleted_tenant(self, client: Any) -> None:
        store = RedisStore(client, quarantine=60)
        one = create(store, a_full_tenant("one"))
        for name in ("x", "y"):
            one = store.write(one, with_tenant(one, name=name), edit=EDIT) or one
        together(store, (one, None))
        assert [key for key in client.scan_iter("*id-one*")] == []
        check(store)

    def test_old_versions_are_dropped_as_by_other_changes(self, client: Any) -> None:
        store = RedisStore(client, quarantine=60)
        store.kept_versions = 3
        one = create(store, a_full_tenant("one"))
        for number in range(5):
            together(store, (one, with_tenant(one, name=f"name {number}")))
            [one] = stored(store, "one")
        assert [note.version for note in store.history.notes("id-one", 10)] == [6, 5, 4]
        check(store)
