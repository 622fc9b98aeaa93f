"""The promises of every configuration store about tenants and claims."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from shared.config_store.history.edit import Edit
from shared.config_store.idempotency import Claim
from shared.config_store.port import ConfigStore
from shared.config_store.records import tenants
from shared.core.errors import CallInProgress, Conflict, SubdomainTaken
from shared.model.config import Rule, Snapshot
from shared.testing import memory_store
from tests.config_store.configurations import (
    ACTOR,
    a_full_tenant,
    a_tenant,
    an_api_key,
    change,
    create,
    with_tenant,
)

RULE = Rule("rule", "/v1", "https://upstream.example")


def names(*snapshots: Snapshot) -> list[str]:
    return [snapshot.tenant.name for snapshot in snapshots]


def test_a_new_store_is_empty_until_the_first_tenant_even_after_its_deletion(store: ConfigStore) -> None:
    store.ping()
    assert store.is_empty()
    acme = create(store, a_tenant("acme"))
    assert not store.is_empty()
    store.write(acme, None, edit=Edit(actor=ACTOR))
    assert not store.is_empty()
    assert store.list(10, None).snapshots == ()


@pytest.mark.parametrize("make", [a_tenant, a_full_tenant])
def test_written_snapshot_is_read_back(store: ConfigStore, make: Callable[[str], Snapshot]) -> None:
    written = create(store, make("acme"))
    assert store.read("id-acme") == written
    assert written == replace(make("acme"), revision=written.revision)
    assert written.revision > 0


def test_an_unknown_tenant_is_none(store: ConfigStore) -> None:
    assert store.read("nobody") is None
    assert store.find_key("pepper:nobody") is None


def test_revisions_grow_over_all_tenants(store: ConfigStore) -> None:
    one = create(store, a_tenant("one"))
    two = create(store, a_tenant("two"))
    again = change(store, one, with_tenant(one, name="uno"))
    assert one.revision < two.revision < again.revision


def test_the_version_counts_changes_of_the_document_alone(store: ConfigStore) -> None:
    acme = create(store, a_tenant("acme"))
    assert acme.tenant.version == 1
    acme = change(store, acme, replace(acme, rules=(RULE,)))
    assert acme.tenant.version == 2
    acme = change(store, acme, with_tenant(acme, status="disabled", subdomain="acme2", updated_at=7.0))
    acme = change(store, acme, replace(acme, keys=()))
    assert acme.tenant.version == 2
    acme = change(store, acme, with_tenant(acme, name="Acme", version=77))
    assert acme.tenant.version == 3
    assert store.read("id-acme") == acme


def test_a_second_creation_of_the_same_tenant_is_a_conflict(store: ConfigStore) -> None:
    create(store, a_tenant("acme"))
    with pytest.raises(Conflict):
        store.write(None, with_tenant(a_tenant("acme"), subdomain="other"), edit=Edit(actor=ACTOR))


def test_write_from_an_outdated_read_conflicts_and_changes_nothing(store: ConfigStore) -> None:
    old = create(store, a_tenant("acme"))
    new = change(store, old, replace(old, rules=(RULE,)))
    for after in (with_tenant(old, name="late"), None):
        with pytest.raises(Conflict):
            store.write(old, after, edit=Edit(actor=ACTOR))
    assert store.read("id-acme") == new


def test_a_deleted_tenant_cannot_be_changed(store: ConfigStore) -> None:
    acme = create(store, a_tenant("acme"))
    assert store.write(acme, None, edit=Edit(actor=ACTOR)) is None
    for after in (acme, None):
        with pytest.raises(Conflict):
            store.write(acme, after, edit=Edit(actor=ACTOR))
    assert store.read("id-acme") is None


def test_a_write_of_nothing_or_across_tenants_is_rejected(store: ConfigStore) -> None:
    for before, after in ((None, None), (a_tenant("one"), a_tenant("two"))):
        with pytest.raises(ValueError, match="one tenant"):
            store.write(before, after, edit=Edit(actor=ACTOR))


def test_keys_are_found_by_their_hash_while_they_exist(store: ConfigStore) -> None:
    acme = create(store, a_tenant("acme"))
    assert store.find_key("pepper:acme") == ("id-acme", "key-acme")
    acme = change(store, acme, replace(acme, keys=(an_api_key("second"), *acme.keys)))
    assert store.find_key("pepper:acme") == ("id-acme", "key-acme")
    acme = change(store, acme, replace(acme, keys=(an_api_key("second"),)))
    assert store.find_key("pepper:acme") is None
    assert store.find_key("pepper:second") == ("id-acme", "key-second")
    store.write(acme, None, edit=Edit(actor=ACTOR))
    assert store.find_key("pepper:second") is None


def test_a_subdomain_in_use_is_taken(store: ConfigStore) -> None:
    create(store, a_tenant("acme"))
    other = create(store, a_tenant("other"))
    with pytest.raises(SubdomainTaken, match="acme"):
        create(store, with_tenant(a_tenant("third"), subdomain="acme"))
    with pytest.raises(SubdomainTaken, match="acme"):
        change(store, other, with_tenant(other, subdomain="acme"))
    assert store.read("id-third") is None
    assert store.read("id-other") == other


def test_the_subdomain_of_a_deleted_tenant_is_in_quarantine(store: ConfigStore) -> None:
    store.write(create(store, a_tenant("acme")), None, edit=Edit(actor=ACTOR))
    with pytest.raises(SubdomainTaken, match="acme"):
        create(store, with_tenant(a_tenant("thief"), subdomain="acme"))


def test_a_renamed_tenant_alone_may_take_its_old_subdomain_back(store: ConfigStore) -> None:
    acme = create(store, a_tenant("acme"))
    acme = change(store, acme, with_tenant(acme, subdomain="new"))
    with pytest.raises(SubdomainTaken, match="acme"):
        create(store, with_tenant(a_tenant("thief"), subdomain="acme"))
    acme = change(store, acme, with_tenant(acme, subdomain="acme"))
    with pytest.raises(SubdomainTaken, match="new"):
        create(store, with_tenant(a_tenant("thief"), subdomain="new"))
    assert store.read("id-acme") == acme


def test_subdomain_is_told_as_taken_before_anything_is_written(store: ConfigStore) -> None:
    acme = create(store, a_tenant("acme"))
    acme = change(store, acme, with_tenant(acme, subdomain="new"))
    for subdomain in ("acme", "new", "free"):
        store.check_subdomain(acme.tenant.id, subdomain)
    store.check_subdomain("id-thief", "free")
    for subdomain in ("acme", "new"):
        with pytest.raises(SubdomainTaken, match=subdomain):
            store.check_subdomain("id-thief", subdomain)


def test_fifty_at_once_claim_one_subdomain_and_one_gets_it(store: ConfigStore) -> None:
    start = threading.Barrier(50)

    def claim(number: int) -> bool:
        start.wait()
        try:
            create(store, with_tenant(a_tenant(f"t{number}"), subdomain="prize"))
        except SubdomainTaken:
            return False
        return True

    with ThreadPoolExecutor(50) as pool:
        assert sum(pool.map(claim, range(50))) == 1
    assert len(store.list(100, None).snapshots) == 1


def test_twenty_at_once_change_one_tenant_and_no_change_is_lost(store: ConfigStore) -> None:
    create(store, a_tenant("acme", keys=()))

    def add(number: int) -> None:
        while True:
            acme = store.read("id-acme")
            assert acme is not None
            try:
                change(store, acme, replace(acme, keys=(*acme.keys, an_api_key(str(number)))))
            except Conflict:
                continue
            return

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(add, range(20)))
    acme = store.read("id-acme")
    assert acme is not None
    assert {key.name for key in acme.keys} == {str(number) for number in range(20)}


def test_tenants_are_listed_in_order_of_creation_page_by_page(store: ConfigStore) -> None:
    for name in ("zoe", "adam", "mia"):
        create(store, a_tenant(name))
    first = store.list(2, None)
    assert names(*first.snapshots) == ["zoe", "adam"]
    second = store.list(2, first.next_cursor)
    assert names(*second.snapshots) == ["mia"]
    assert second.next_cursor is None
    assert store.list(3, None).next_cursor is None


def test_pages_stay_in_step_while_tenants_come_and_go(store: ConfigStore) -> None:
    a, b, c, _ = (create(store, a_tenant(name)) for name in "abcd")
    page = store.list(2, None)
    for gone in (a, b):
        store.write(gone, None, edit=Edit(actor=ACTOR))
    change(store, c, with_tenant(c, name="C"))
    create(store, a_tenant("e"))
    assert names(*store.list(5, page.next_cursor).snapshots) == ["C", "d", "e"]


@pytest.mark.parametrize("cursor", ["", "x", "1", "YWZ0ZXI6MA", "YWZ0ZXI6MQ==", "ü", "\ud800", "9" * 5000])
def test_cursor_that_the_store_did_not_issue_is_rejected(store: ConfigStore, cursor: str) -> None:
    with pytest.raises(ValueError, match="next_cursor"):
        store.list(5, cursor)


def test_write_does_not_store_the_last_use_of_a_key(store: ConfigStore) -> None:
    key = an_api_key("acme", last_used_at=5.0)
    create(store, a_tenant("acme", keys=(key,)))
    acme = store.read("id-acme")
    assert acme is not None
    assert acme.keys[0].last_used_at is None


class TestClaims:
    """A call with an Idempotency-Key."""

    def claim(self, value: str, name: str = "call", caller: str = "platform") -> Claim[Snapshot]:
        return Claim(
            name, value, lambda after: f"made {after.tenant.id} version {after.tenant.version}", caller
        )

    def test_claim_is_replaced_with_the_change(self, store: ConfigStore) -> None:
        assert store.claim("call", "mine") is None
        assert store.claim("call", "theirs") == "mine"
        store.write(None, a_tenant("acme"), edit=Edit(actor=ACTOR), claim=self.claim("mine"))
        assert store.claim("call", "theirs") == "made id-acme version 1"
        store.release("call", "mine")
        assert store.claim("call", "theirs") == "made id-acme version 1"

    def test_of_the_responses_of_a_caller_the_oldest_one_goes(
        self, store: ConfigStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tenants, "MAX_KEPT", 2)
        monkeypatch.setattr(memory_store, "MAX_KEPT", 2)
        calls = [("one", "id-acme"), ("other", "platform"), ("two", "id-acme"), ("three", "id-acme")]
        for name, caller in calls:
            store.claim(name, "mine")
            claim = self.claim("mine", name, caller)
            store.write(None, a_tenant(name), edit=Edit(actor=ACTOR), claim=claim)
        assert [store.claim(name, "free") is None for name, _ in calls] == [True, False, False, False]

    def test_released_claim_is_free(self, store: ConfigStore) -> None:
        store.claim("call", "mine")
        store.release("call", "theirs")
        assert store.claim("call", "theirs") == "mine"
        store.release("call", "mine")
        assert store.claim("call", "theirs") is None

    def test_claim_is_replaced_without_a_change(
        self, store: ConfigStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tenants, "MAX_KEPT", 1)
        monkeypatch.setattr(memory_store, "MAX_KEPT", 1)
        for name in ("first", "second"):
            store.claim(name, "mine")
            store.finish(self.claim("mine", name), a_tenant("acme"))
        found = [store.claim(name, "theirs") for name in ("first", "second")]
        assert found == [None, "made id-acme version 1"]

    def test_claim_that_is_gone_is_not_replaced(self, store: ConfigStore) -> None:
        store.claim("call", "theirs")
        store.finish(self.claim("mine"), a_tenant("acme"))
        assert store.claim("call", "mine") == "theirs"

    @pytest.mark.parametrize("claimed_by", [None, "theirs"])
    def test_change_whose_claim_is_gone_is_rejected(self, store: ConfigStore, claimed_by: str | None) -> None:
        if claimed_by:
            store.claim("call", claimed_by)
        with pytest.raises(CallInProgress):
            store.write(None, a_tenant("acme"), edit=Edit(actor=ACTOR), claim=self.claim("mine"))
        assert store.read("id-acme") is None

    def test_change_that_is_rejected_keeps_its_claim(self, store: ConfigStore) -> None:
        create(store, a_tenant("acme"))
        store.claim("call", "mine")
        rival = with_tenant(a_tenant("rival"), subdomain="acme")
        with pytest.raises(SubdomainTaken):
            store.write(None, rival, edit=Edit(actor=ACTOR), claim=self.claim("mine"))
        assert store.claim("call", "theirs") == "mine"


def test_taken_subdomain_names_its_quarantine_only_if_it_is_in_one(store: ConfigStore) -> None:
    acme = create(store, a_tenant("acme"))
    rival = with_tenant(a_tenant("rival"), subdomain="acme")
    with pytest.raises(SubdomainTaken, match=r"^The subdomain acme is in use\."):
        store.write(None, rival, edit=Edit(actor=ACTOR))
    store.write(acme, None, edit=Edit(actor=ACTOR))
    with pytest.raises(SubdomainTaken, match=r"in quarantine until 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ "):
        store.write(None, rival, edit=Edit(actor=ACTOR))
