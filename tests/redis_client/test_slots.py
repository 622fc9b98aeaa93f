"""The slots of a Cluster: of keys, of commands, in redirections and tables; and our keys in them."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from shared.config_store import layout
from shared.config_store.identity import ADOPTION_KEYS
from shared.health.layout import failures_key, hash_key, look_key
from shared.records.keys import ALL, calls_key, minute_key, records_key, tenants_key, total_key
from shared.redis_client.slots import SLOTS, key_of, parse_redirection, parse_slots, slot_of
from shared.stored.store import binding_key, index_key
from shared.usage.keys import archived_key, batch_key, ledger_key, sums_keys
from shared.workers.heartbeat import KEYS as HEARTBEATS

ASKED = ("10.0.0.1", 6379)


@given(st.text(alphabet="a{}é:", max_size=12) | st.text(max_size=30))
def test_slot_of_any_key_is_that_of_redis(key: str) -> None:
    encoded = key.encode(errors="surrogatepass")
    if encoded == key.encode(errors="replace"):
        assert slot_of(key) == key_slot(encoded)


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("GET", "a"), "a"),
        (("ZREM", "a", "b"), "a"),
        (("EVALSHA", "digest", 2, "a", "b", 1), "a"),
        (("EVAL", "text", 1, "a"), "a"),
        (("PING",), None),
        (("INFO", "memory"), None),
    ],
)
def test_key_of_a_command_is_its_first(command: tuple[str | int, ...], key: str | None) -> None:
    assert key_of(command) == key


@pytest.mark.parametrize(
    ("error", "address"),
    [
        ("MOVED 3999 127.0.0.1:6381", ("127.0.0.1", 6381)),
        ("ASK 3999 redis-2.internal:6381", ("redis-2.internal", 6381)),
        ("MOVED 3999 fd00::2:6381", ("fd00::2", 6381)),
        ("MOVED 3999 :6381", ("10.0.0.1", 6381)),
    ],
)
def test_redirection_names_slot_and_node(error: str, address: tuple[str, int]) -> None:
    assert parse_redirection(error, ASKED) == (3999, address)


@given(st.text(max_size=40) | st.from_regex(r"(MOVED|ASK) [0-9]{1,6} .{0,10}:[0-9]{1,6}"))
def test_any_other_text_is_no_redirection_or_a_whole_one(error: str) -> None:
    try:
        slot, (_, port) = parse_redirection(error, ASKED)
    except ValueError:
        return
    assert 0 <= slot < SLOTS
    assert port >= 0


def test_table_has_the_reachable_primary_of_each_slot() -> None:
    reply = [
        [0, 99, [b"172.17.0.2", 6379, b"id"], [b"172.17.0.3", 6379, b"id"]],
        [101, SLOTS - 1, [b"", 7000, b"id"]],
    ]
    table = parse_slots(reply, ASKED, {("172.17.0.2", 6379): ("redis-1", 1)})
    assert [table[slot] for slot in (0, 99, 100, 101, SLOTS - 1)] == [
        ("redis-1", 1),
        ("redis-1", 1),
        None,
        ("10.0.0.1", 7000),
        ("10.0.0.1", 7000),
    ]


@pytest.mark.parametrize(
    "reply", [None, 3, [[]], [[0, "x", [b"a", 1]]], [[0, SLOTS, [b"a", 1]]], [[0, 1, [b"\xff", 1]]]]
)
def test_another_reply_is_no_table(reply: object) -> None:
    with pytest.raises(ValueError, match="list of slots"):
        parse_slots(reply, ASKED, {})


def keys_of_the_configuration() -> Iterable[str]:
    constants = (value for name, value in vars(layout).items() if name.isupper() and isinstance(value, str))
    yield from (value for value in constants if ":" in value)
    for owner in ("acme", "platform"):
        yield from (layout.tenant_key(owner), layout.keys_key(owner), layout.used_key(owner))
        yield from (layout.root_key(owner, 1), layout.part_key(owner, "x"), layout.whole_key(owner, 1))
        yield from layout.version_keys(owner)
    yield from (layout.uses_key("model:x"), layout.discovered_key("prv_1"), layout.quarantine_key("acme"))
    yield from (layout.idempotency_key("x"), layout.calls_key("acme"), *ADOPTION_KEYS)


def keys_of_a_tenant(owner: str) -> Iterable[str]:
    yield from (
        ledger_key(owner),
        batch_key(owner, "x"),
        archived_key(owner),
        *sums_keys(owner, "2026-01-02"),
    )
    yield from (records_key(owner), minute_key(owner, 3), total_key(owner), calls_key(owner, 3))
    yield from (hash_key(owner), failures_key(owner), look_key(owner, "key"))
    yield from (index_key(owner), binding_key(owner, "name"), f"rl:{{{owner}}}:rule:limit:1m:")


@pytest.mark.parametrize(
    ("tag", "keys"),
    [
        ("cfg", [*keys_of_the_configuration()]),
        ("tnt_1", [*keys_of_a_tenant("tnt_1")]),
        ("prv_1", [hash_key("prv_1"), failures_key("prv_1"), look_key("prv_1", "k")]),
        (ALL, [records_key(ALL), minute_key(ALL, 1), total_key(ALL), calls_key(ALL, 1), tenants_key(1)]),
        ("live", [*HEARTBEATS]),
    ],
)
def test_all_keys_that_a_script_touches_have_one_slot(tag: str, keys: list[str]) -> None:
    assert {slot_of(key) for key in keys} == {slot_of(tag)}
