"""Settings: where they come from, what is said about wrong ones, and that the shipped file tells the truth."""

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.settings import CONFIG_FILE, Settings, SettingsError, load_settings
from shared.settings.__main__ import document
from shared.settings.sources import SHORT
from shared.settings.values import cores, size

SEED = """
server:
  admin_port: 8080
  proxy_port: 8081
  base_domain: "example.com"
redis:
  host: "localhost"
  port: 6379
  password: ""
  db: 0
"""


class File:
    """A config.yaml of a test."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "config.yaml"

    def load(self, text: str = "", /, flags: Mapping[str, object] | None = None, **environ: str) -> Settings:
        self.path.write_text(text)
        return load_settings(self.path, environ, flags or {})

    def rejection(self, text: str = "", /, **environ: str) -> str:
        with pytest.raises(SettingsError) as raised:
            self.load(text, **environ)
        return str(raised.value)


@pytest.fixture
def config(tmp_path: Path) -> File:
    return File(tmp_path)


def names(kind: type = Settings, before: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting with its field."""
    for field in dataclasses.fields(kind):
        described = field.metadata["field"].metadata
        if inner := described.get("section"):
            yield from names(inner, f"{before}{field.name}.")
        else:
            yield f"{before}{field.name}", field


class TestTheShippedFile:
    def test_shipped_file_equals_the_declarations(self) -> None:
        assert CONFIG_FILE.read_text() == document(), "run: python -m shared.settings > config.yaml"

    def test_shipped_file_holds_the_defaults(self) -> None:
        none = load_settings(environ={})
        assert load_settings(CONFIG_FILE, {}) == none
        assert none == dataclasses.replace(
            Settings(), server=none.server, data_dir=CONFIG_FILE.parent / "data"
        )

    def test_every_setting_has_a_help(self) -> None:
        assert not [name for name, field in names() if not field.metadata["field"].metadata["description"]]

    def test_the_seeds_file_gives_the_same(self, config: File) -> None:
        assert config.load(SEED) == config.load()


class TestPrecedence:
    def test_default_file_environment_flag(self, config: File) -> None:
        text, variable = "server:\n  admin_port: 9001\n", {"GATEWAY__SERVER__ADMIN_PORT": "9002"}
        assert config.load().server.admin_port == 8080
        assert config.load(text).server.admin_port == 9001
        assert config.load(text, **variable).server.admin_port == 9002
        assert config.load(text, {"server.admin_port": 9003}, **variable).server.admin_port == 9003
        assert config.load("", {"server.admin_port": None}).server.admin_port == 8080

    def test_the_token_has_a_short_variable(self, config: File) -> None:
        assert config.load(GATEWAY_ADMIN_TOKEN="short").admin.token == "short"
        both = {"GATEWAY_ADMIN_TOKEN": "short", SHORT["GATEWAY_ADMIN_TOKEN"]: "long"}
        assert config.load(**both).admin.token == "long"
        assert config.load(GATEWAY_ADMIN_TOKEN="").admin.token is None

    def test_variables_without_the_prefix_are_ignored(self, config: File) -> None:
        assert config.load(GATEWAY_KEY="x", PATH="/bin") == config.load()

    def test_a_variable_names_the_file(self, tmp_path: Path) -> None:
        file = tmp_path / "other.yaml"
        file.write_text("demo: {port: 9009}")
        assert load_settings(environ={"GATEWAY_CONFIG": str(file)}).demo.port == 9009

    def test_a_named_file_must_exist(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=r"none\.yaml: cannot be read: No such file"):
            load_settings(tmp_path / "none.yaml", {})

    def test_lists_in_variables_have_commas(self, config: File) -> None:
        found = config.load(GATEWAY__SECURITY__ALLOWED_TARGET_NETWORKS="127.0.0.0/8, ::1/128")
        assert found.security.allowed_target_networks == (ip_network("127.0.0.0/8"), ip_network("::1"))


class TestReferences:
    @pytest.mark.parametrize(
        ("written", "read"),
        [
            ("${NAME}", "value"),
            ("a-${NAME}-${OTHER:-b}", "a-value-b"),
            ("${EMPTY:-default}", "default"),
            ("${EMPTY}x", "x"),
            ("$${NAME}", "${NAME}"),
            ("$NAME", "$NAME"),
        ],
    )
    def test_references_are_replaced(self, config: File, written: str, read: str) -> None:
        found = config.load(f"redis: {{password: '{written}'}}", NAME="value", EMPTY="")
        assert found.redis.password == read
        assert config.load("redis: {port: '${PORT:-6380}'}").redis.port == 6380

    def test_a_missing_variable_and_a_broken_reference_are_rejected(self, config: File) -> None:
        assert config.rejection("redis:\n  password: ${NONE}\n") == (
            "config.yaml:2: the variable NONE is not set; set it, or write ${NONE:-default}"
        )
        assert config.rejection("redis: {password: '${'}").startswith("config.yaml:1: must be ${NAME}")


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("server:\n  admin_prot: 1\n", "config.yaml:2: server.admin_prot: unknown key; did you mean admin_port?"),
            ("sever: {}\n", "config.yaml:1: sever: unknown key; did you mean server?"),
            ("\nlog:\n  level: inf\n", "config.yaml:3: log.level: must be one of: debug, info, warning, error; did you mean info?"),
            ("demo:\n  port: 70000\n", "config.yaml:2: demo.port: must be a whole number from 1 to 65535"),
            ("demo:\n  port: true\n", "config.yaml:2: demo.port: must be a whole number from 1 to 65535"),
            ("demo:\n  port: 80.5\n", "config.yaml:2: demo.port: must be a whole number from 1 to 65535"),
            ("demo:\n  port:\n", "config.yaml:2: demo.port: must have a value; set one, or remove the key"),
            ("redis:\n  password: 1234\n", "config.yaml:2: redis.password: must be text; write it in quotes"),
            ("redis:\n  url: http://x\n", "config.yaml:2: redis.url: must begin with redis://, rediss:// or unix://"),
            ("server: 1\n", "config.yaml:1: server: must be a map of settings"),
            ("- 1\n", "config.yaml:1: must be a map of settings, such as `server:`"),
            ("trusted_proxies:\n  - 10.0.0.1/8\n", "config.yaml:1: trusted_proxies: must be an IP address or a network such as 10.0.0.0/8 or fd00::/8"),
            ("trusted_proxies: {}\n", "config.yaml:1: trusted_proxies: must be a list"),
            ("cache:\n  config_ttl: 1x\n", "config.yaml:2: cache.config_ttl: must be a duration such as 500ms, 10s, 1m, 1h30m, 1.5h, 1d or 1w, or a number of seconds"),
            ("cache:\n  config_ttl: 0\n", "config.yaml:2: cache.config_ttl: must be longer than 0"),
            ("server:\n  base_domain: example.com:80\n", "config.yaml:2: server.base_domain: must be a DNS name without port, such as example.com"),
            ("tiers:\n  basic:\n    max_rulez: 1\n", "config.yaml:3: tiers.basic.max_rulez: unknown key; did you mean max_rules?"),
            ("tiers:\n  basic:\n    limits:\n      global: {limit: 1}\n", "config.yaml:4: tiers.basic.limits.global.window: Missing data for required field."),
            ("tiers:\n  gold: 5\n", "config.yaml:2: tiers.gold: must be a map"),
            ("demo:\n  port: 8080\n", "config.yaml:2: demo.port: server.admin_port has the same port 8080; choose another"),
        ],
    )  # fmt: skip
    def test_settings_errors_name_the_place_and_what_is_allowed(
        self, config: File, text: str, message: str
    ) -> None:
        assert config.rejection(text) == message

    def test_settings_errors_are_reported_together(self, config: File) -> None:
        assert config.rejection("demo:\n  port: x\nlog:\n  level: y\n").count("\n") == 1

    @pytest.mark.parametrize(
        ("text", "line"), [("server: [", 1), ("a: 1\n\ta: 2\n", 2), ("demo:\n  port: 1\n  port: 2\n", 3)]
    )
    def test_broken_yaml_has_its_line(self, config: File, text: str, line: int) -> None:
        assert config.rejection(text).startswith(f"config.yaml:{line}: ")

    @pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a: \x01"])
    def test_config_file_that_is_not_text_is_rejected(self, tmp_path: Path, content: bytes) -> None:
        file = tmp_path / "config.yaml"
        file.write_bytes(content)
        with pytest.raises(SettingsError, match=r"config\.yaml:1: invalid YAML"):
            load_settings(file, {})

    def test_a_duplicate_key_does_not_print_its_values(self, config: File) -> None:
        text = "redis:\n  password: geheim1\n  password: geheim2\n"
        assert "geheim" not in config.rejection(text)

    @pytest.mark.parametrize(
        ("variable", "value", "message"),
        [
            ("GATEWAY__DEMO__PORT", "x", "GATEWAY__DEMO__PORT: demo.port: must be a whole number from 1 to 65535"),
            ("GATEWAY__DEMO__PROT", "1", "GATEWAY__DEMO__PROT: demo.prot: unknown key; did you mean port?"),
            ("GATEWAY__FOO", "1", "GATEWAY__FOO: foo: unknown key; allowed: "),
            ("GATEWAY__DATA_DIR__X", "1", "GATEWAY__DATA_DIR__X: data_dir.x: data_dir"),
        ],
    )  # fmt: skip
    def test_a_variable_is_named(self, config: File, variable: str, value: str, message: str) -> None:
        if variable == "GATEWAY__DATA_DIR__X":
            assert "must be text" in config.rejection(**{variable: value})
        else:
            assert config.rejection(**{variable: value}).startswith(message)

    def test_a_variable_below_a_single_value_is_named(self, config: File) -> None:
        message = config.rejection("demo: {port: 1}", GATEWAY__DEMO__PORT__X="1")
        assert message == "GATEWAY__DEMO__PORT__X: port is not a section; it has a value of its own"

    def test_a_flag_is_named(self, config: File) -> None:
        with pytest.raises(SettingsError, match=r"^--workers: server\.workers: "):
            config.load("", {"server.workers": 0})


class TestTheEngine:
    def test_express_with_a_process_per_core_is_the_default(
        self, config: File, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for count, workers in ((1, 1), (6, 6), (200, 64)):
            monkeypatch.setattr("shared.settings.sections.cores", lambda count=count: count)
            for text in ("", "server: {workers: null}", "server: {workers: ''}"):
                server = config.load(text).server
                assert (server.engine, server.worker_count) == ("express", workers)

    def test_the_cores_are_those_that_this_process_may_use(self) -> None:
        allowed = os.sched_getaffinity(0)
        assert cores() == len(allowed)
        try:
            os.sched_setaffinity(0, {min(allowed)})
            assert cores() == 1
        finally:
            os.sched_setaffinity(0, allowed)

    @pytest.mark.parametrize("number", [1, 3, 64])
    def test_the_number_of_workers_can_be_set(self, config: File, number: int) -> None:
        assert config.load(f"server: {{workers: {number}}}").server.worker_count == number
        assert config.load("", {"server.workers": number}).server.worker_count == number

    @pytest.mark.parametrize("number", ["0", "65", "many", "1.5"])
    def test_engine_numbers_out_of_range_are_rejected(self, config: File, number: str) -> None:
        message = config.rejection(f"server:\n  workers: {number}\n")
        assert message == "config.yaml:2: server.workers: must be a whole number from 1 to 64"

    @pytest.mark.parametrize("workers", ["", "workers: 1", "workers: null"])
    def test_mitmproxys_core_is_one_process(self, config: File, workers: str) -> None:
        server = config.load(f"server:\n  engine: mitmproxy\n  {workers}\n").server
        assert (server.engine, server.worker_count) == ("mitmproxy", 1)

    @pytest.mark.parametrize(
        ("setting", "name"),
        [("workers: 2", "workers"), ("tls: {cert: a, key: b}", "tls.cert"), ("tls: {key: b}", "tls.key")],
    )
    def test_what_mitmproxys_core_cannot_do_is_rejected(self, config: File, setting: str, name: str) -> None:
        message = config.rejection(f"server:\n  engine: mitmproxy\n  {setting}\n")
        assert message.startswith(f"config.yaml:3: server.{name}: the mitmproxy engine ")
        assert message.endswith("set server.engine to express")

    def test_engine_of_another_name_is_rejected(self, config: File) -> None:
        assert config.rejection("server:\n  engine: expres\n") == (
            "config.yaml:2: server.engine: must be one of: express, mitmproxy; did you mean express?"
        )


class TestTls:
    def test_without_files_there_is_none(self, config: File) -> None:
        for text in ("", "server: {tls: null}", "server: {tls: {cert: null}}", "server: {tls: {key: ''}}"):
            assert config.load(text).server.tls.files is None

    def test_relative_files_start_at_the_files_folder(self, config: File, tmp_path: Path) -> None:
        server = config.load("server: {tls: {cert: c.pem, key: /k.pem}}").server
        assert server.tls.files == (tmp_path / "c.pem", Path("/k.pem"))
        variables = {"GATEWAY__SERVER__TLS__CERT": "/c", "GATEWAY__SERVER__TLS__KEY": "/k"}
        assert config.load(**variables).server.tls.files == (Path("/c"), Path("/k"))

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ("cert: c", "cert: set server.tls.key to the private key, too"),
            ("key: k", "key: set server.tls.cert to the certificate, too"),
            ("crt: c", "crt: unknown key; did you mean cert?"),
        ],
    )
    def test_tls_certificate_or_key_alone_is_rejected(self, config: File, setting: str, message: str) -> None:
        found = config.rejection(f"server:\n  tls:\n    {setting}\n")
        assert found == f"config.yaml:3: server.tls.{message}"


class TestTimeouts:
    def test_timeouts_have_the_documented_defaults(self, config: File) -> None:
        for text in ("", "limits: {timeouts: null}"):
            found = config.load(text).limits.timeouts
            assert (found.head, found.body_grace, found.body_rate, found.keep_alive) == (10, 10, 1024, 75)
            assert (found.connect, found.first_byte, found.idle, found.total) == (5, 300, 300, None)

    def test_timeouts_can_be_set_each(self, config: File) -> None:
        found = config.load(
            "limits: {timeouts: {connect: 500ms, total: 10m}}", GATEWAY__LIMITS__TIMEOUTS__IDLE="1m"
        ).limits.timeouts
        assert (found.connect, found.total, found.idle, found.first_byte) == (0.5, 600, 60, 300)
        message = config.rejection("limits:\n  timeouts:\n    head: 0\n")
        assert message == "config.yaml:3: limits.timeouts.head: must be longer than 0"

    def test_caps_of_a_worker(self, config: File) -> None:
        limits = config.load().limits
        assert (limits.connections, limits.in_flight) == (10_000, 5_000)
        assert config.load("limits: {in_flight: 7}").limits.in_flight == 7
        assert "must be a whole number from 1 up" in config.rejection("limits: {connections: 0}")
        assert config.load().server.drain_timeout == 30
        assert config.load("server: {drain_timeout: 1m}").server.drain_timeout == 60


class TestTiers:
    def test_the_shipped_ones(self, config: File) -> None:
        tiers = config.load().tiers
        basic, pro = tiers["basic"], tiers["pro"]
        assert list(tiers) == ["basic", "pro", "enterprise"]
        assert basic.limits == {"global": {"limit": 600, "window": "1m"}}
        assert (basic.concurrent, basic.max_rules, basic.max_keys) == (20, 100, 50)
        assert (pro.limits, pro.concurrent, pro.max_rules, pro.max_keys) == ({}, 1000, 1000, 500)
        enterprise = tiers["enterprise"]
        assert (enterprise.limits, enterprise.concurrent, enterprise.max_rules) == ({}, None, None)

    def test_tier_that_is_changed_keeps_its_other_limits(self, config: File) -> None:
        tiers = config.load("tiers: {basic: {concurrent: 5, max_keys: null}}").tiers
        basic = tiers["basic"]
        assert (basic.concurrent, basic.max_rules, basic.max_keys) == (5, 100, None)
        assert tiers["pro"].concurrent == 1000
        basic = config.load(GATEWAY__TIERS__BASIC__MAX_RULES="7").tiers["basic"]
        assert (basic.max_rules, basic.concurrent) == (7, 20)

    def test_a_new_one_has_no_ceilings_but_those_named(self, config: File) -> None:
        text = "tiers: {gold: {limits: {per_key: [{limit: 1, window: 1s}, {limit: 9, window: 1h}]}}}"
        gold = config.load(text).tiers["gold"]
        assert (gold.name, gold.concurrent) == ("gold", None)
        assert len(gold.limits["per_key"]) == 2


class TestSafeStart:
    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "gateway.internal"])
    def test_an_open_admin_api_needs_a_token(self, config: File, host: str) -> None:
        assert "set admin.token (GATEWAY_ADMIN_TOKEN)" in config.rejection(GATEWAY__SERVER__ADMIN_HOST=host)
        config.load(GATEWAY__SERVER__ADMIN_HOST=host, GATEWAY_ADMIN_TOKEN="token")

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "LOCALHOST"])
    def test_on_loopback_it_needs_none(self, config: File, host: str) -> None:
        config.load(GATEWAY__SERVER__ADMIN_HOST=host)

    @pytest.mark.parametrize(
        "foreign", [{"GATEWAY__REDIS__HOST": "redis.internal"}, {"GATEWAY__REDIS__URL": "rediss://r:6379/1"}]
    )
    def test_a_redis_elsewhere_needs_shared_secrets(self, config: File, foreign: dict[str, str]) -> None:
        pepper, key = "GATEWAY__SECURITY__PEPPER_FILE", "GATEWAY__SECURITY__KEY_FILE"
        assert "set security.pepper_file and security.key_file" in config.rejection(**foreign)
        assert "set security" in config.rejection(**foreign, **{pepper: "p"})
        assert not config.load(**foreign, **{pepper: "p", key: "k"}).redis.is_local

    @pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "redis://", "unix:///run/redis.sock"])
    def test_a_redis_here_needs_none(self, config: File, url: str) -> None:
        assert config.load(GATEWAY__REDIS__URL=url).redis.is_local

    def test_secrets_are_in_no_repr(self, config: File) -> None:
        found = config.load(
            "redis: {password: geheim1, url: 'redis://:geheim2@localhost'}", GATEWAY_ADMIN_TOKEN="geheim3"
        )
        assert "geheim" not in repr(found)


class TestPaths:
    def test_relative_ones_start_at_the_files_folder(self, config: File, tmp_path: Path) -> None:
        found = config.load("data_dir: d\nsecurity: {ca_file: c}\nplugins: {paths: [p, /q]}")
        assert found.data_dir == tmp_path / "d"
        assert found.security.ca_file == tmp_path / "c"
        assert found.plugins.paths == (tmp_path / "p", Path("/q"))
        assert found.security.key_file is None

    def test_shared_hosts_know_the_base_domain(self, config: File) -> None:
        found = config.load("server: {base_domain: Api.Test, shared_hosts: [base_domain, LOCALHOST]}")
        assert found.server.shared_hosts == ("api.test", "localhost")


class TestSizes:
    @pytest.mark.parametrize(
        ("written", "read"),
        [("20MB", 20 * 1024**2), ("64KB", 65536), ("64 kb", 65536), (1000, 1000), ("1GB", 1024**3)],
    )
    def test_sizes_are_binary(self, written: str | int, read: int) -> None:
        assert size(written) == read

    @pytest.mark.parametrize("written", ["", "MB", "1.5MB", "-1", "0", 0, True, "1TB", None, "1MBx"])
    def test_sizes_of_other_units_are_rejected(self, written: object) -> None:
        with pytest.raises(ValueError, match="must be a size"):
            size(written)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)


@example(name="server.tls.key", value=[])
@given(name=st.sampled_from([name for name, _ in names()]), value=JSON)
def test_setting_of_any_value_is_read_or_rejected_with_its_name(name: str, value: Any) -> None:
    try:
        load_settings(CONFIG_FILE, {}, {name: value})
    except SettingsError as rejection:
        assert re.match(rf"--[a-z-]+: {re.escape(name)}", str(rejection))


@given(text=st.text(alphabet="ab:-[]{}\n \"'$#&*!|>%@`,?", max_size=40))
def test_config_file_of_any_text_is_read_or_rejected_with_a_line(tmp_path_factory: Any, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(text)
    try:
        load_settings(file, {})
    except SettingsError as rejection:
        assert str(rejection).startswith("any.yaml:")
