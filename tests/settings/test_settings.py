"""Settings: where they come from, what is said about wrong ones, and that the shipped file tells the truth."""

import dataclasses
import re
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.settings import CONFIG_FILE, Settings, SettingsError, load_settings
from shared.settings.__main__ import document
from shared.settings.declare import declared
from shared.settings.sources import SHORT
from tests.settings.conftest import File

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


def names(kind: type = Settings, before: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting with its field."""
    for field, described in declared(kind):
        if inner := described.get("section"):
            yield from names(inner, f"{before}{field.name}.")
        else:
            yield f"{before}{field.name}", field


class TestTheShippedFile:
    def test_shipped_file_equals_the_declarations(self) -> None:
        assert CONFIG_FILE.read_text() == document(), "run: python -m shared.settings > config.yaml"

    def test_shipped_file_holds_the_defaults(self) -> None:
        none, data_dir = load_settings(environ={}), CONFIG_FILE.parent / "data"
        assert load_settings(CONFIG_FILE, {}) == none
        assert none == dataclasses.replace(Settings(), server=none.server, data_dir=data_dir)

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

    @pytest.mark.parametrize("value", ["127.0.0.0/8, ::1/128", '["127.0.0.0/8", "::1/128"]'])
    def test_lists_in_variables_have_commas_or_are_json(self, config: File, value: str) -> None:
        found = config.load(GATEWAY__SECURITY__ALLOWED_TARGET_NETWORKS=value)
        assert found.security.allowed_target_networks == (ip_network("127.0.0.0/8"), ip_network("::1"))

    @pytest.mark.parametrize("value", ["[localhost, gateway]", "['localhost']"])
    def test_list_in_another_form_is_told_the_accepted_forms(self, config: File, value: str) -> None:
        message = config.rejection(GATEWAY__SERVER__SHARED_HOSTS=value)
        assert message == (
            "GATEWAY__SERVER__SHARED_HOSTS: server.shared_hosts: must be a list; "
            'in a variable: a,b or ["a", "b"]'
        )

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("GATEWAY_SERVER__ADMIN_PORT", "GATEWAY__SERVER__ADMIN_PORT"),
            ("GATEWAY_SERVER_ADMIN_PORT", "GATEWAY__SERVER__ADMIN_PORT"),
            ("GATEWAY_DATA_DIR", "GATEWAY__DATA_DIR"),
            ("GATEWAY_REDIS_PORT", "GATEWAY__REDIS__PORT"),
            ("gateway__redis__port", "GATEWAY__REDIS__PORT"),
            ("GATEWAY_SECURITY__NONSENSE", "GATEWAY__SECURITY__NONSENSE"),
            ("GATEWAY_SERVER__DEMO_PORT", "GATEWAY__DEMO__PORT"),
        ],
    )
    def test_variable_that_was_meant_for_a_setting_is_rejected(
        self, config: File, name: str, meant: str
    ) -> None:
        message = config.rejection(**{name: "geheim"})
        assert message == f"{name}: is not the variable of a setting; did you mean {meant}?"

    def test_variables_of_kubernetes_services_are_ignored(self, config: File) -> None:
        service = {"GATEWAY_REDIS_PORT": "tcp://10.0.0.1:6379", "GATEWAY_REDIS_SERVICE_HOST": "10.0.0.1"}
        assert config.load(**service) == config.load()


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


class TestRejections:
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
            ("trusted_proxies: {}\n", 'config.yaml:1: trusted_proxies: must be a list; in a variable: a,b or ["a", "b"]'),
            ("cache:\n  config_ttl: 1x\n", "config.yaml:2: cache.config_ttl: must be a duration such as 500ms, 10s, 1m, 1h30m, 1.5h, 1d or 1w, or a number of seconds"),
            ("cache:\n  config_ttl: 0\n", "config.yaml:2: cache.config_ttl: must be longer than 0"),
            ("server:\n  base_domain: example.com:80\n", "config.yaml:2: server.base_domain: must be a DNS name without port, such as example.com"),
            ("tiers:\n  basic:\n    max_rulez: 1\n", "config.yaml:3: tiers.basic.max_rulez: unknown key; did you mean max_rules?"),
            ("tiers:\n  basic:\n    limits:\n      global: {limit: 1}\n", "config.yaml:4: tiers.basic.limits.global.window: It is missing. Add it."),
            ("tiers:\n  gold: 5\n", "config.yaml:2: tiers.gold: must be a map"),
            ("demo:\n  port: 8080\n", "config.yaml:2: demo.port: server.admin_port has the same port 8080; choose another"),
            *((f"server:\n  workers: {number}\n", "config.yaml:2: server.workers: must be a whole number from 1 to 64")
              for number in ("0", "65", "many", "1.5")),
            ("server:\n  engine: expres\n", "config.yaml:2: server.engine: must be one of: express, mitmproxy; did you mean express?"),
            ("server:\n  tls:\n    cert: c\n", "config.yaml:3: server.tls.cert: set server.tls.key to the private key, too"),
            ("server:\n  tls:\n    key: k\n", "config.yaml:3: server.tls.key: set server.tls.cert to the certificate, too"),
            ("server:\n  tls:\n    crt: c\n", "config.yaml:3: server.tls.crt: unknown key; did you mean cert?"),
            ("limits:\n  timeouts:\n    head: 0\n", "config.yaml:3: limits.timeouts.head: must be longer than 0"),
            ("metrics:\n  tenant_labels: maybe\n", "config.yaml:2: metrics.tenant_labels: must be true or false"),
            ("metrics:\n  port: 8080\n", "config.yaml:2: metrics.port: server.admin_port has the same port 8080; choose another"),
            ("metrics:\n  host: 0.0.0.0\n", "config.yaml:2: metrics.host: other machines could read the metrics at 0.0.0.0; set metrics.token, or use 127.0.0.1"),
        ],
    )  # fmt: skip
    def test_settings_errors_name_the_place_and_choices(self, config: File, text: str, message: str) -> None:
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

    @pytest.mark.parametrize(
        ("variable", "path", "meant"),
        [
            ("GATEWAY__SERVER__DEMO_PORT", "server.demo_port", "GATEWAY__DEMO__PORT"),
            ("GATEWAY__SERVER__REDIS__PORT", "server.redis", "GATEWAY__REDIS__PORT"),
            ("GATEWAY__SERVER__ADMIN__PORT", "server.admin", "GATEWAY__SERVER__ADMIN_PORT"),
            ("GATEWAY__SERVER__TLS_CERT", "server.tls_cert", "GATEWAY__SERVER__TLS__CERT"),
            ("GATEWAY__SERVER__PEPPER_FILE", "server.pepper_file", "GATEWAY__SECURITY__PEPPER_FILE"),
            ("GATEWAY__DEMO_PORT", "demo_port", "GATEWAY__DEMO__PORT"),
            ("GATEWAY__ADMIN_PORT", "admin_port", "GATEWAY__SERVER__ADMIN_PORT"),
            ("GATEWAY___DEMO__PORT", "_demo", "GATEWAY__DEMO__PORT"),
            ("GATEWAY__DEMO___PORT", "demo._port", "GATEWAY__DEMO__PORT"),
        ],
    )
    def test_variable_of_a_wrong_section_is_told_the_right_one(
        self, config: File, variable: str, path: str, meant: str
    ) -> None:
        message = config.rejection("server: {admin_port: 9001}", **{variable: "9"})
        assert message == f"{variable}: {path}: unknown key; did you mean {meant}?"

    @pytest.mark.parametrize(
        ("text", "path", "meant"),
        [
            ("server:\n  demo_port: 1\n", "server.demo_port", "demo.port"),
            ("server:\n  redis: {port: 1}\n", "server.redis", "redis"),
            ("log:\n  workers: 1\n", "log.workers", "server.workers"),
        ],
    )
    def test_key_in_a_wrong_section_is_told_the_right_one(
        self, config: File, text: str, path: str, meant: str
    ) -> None:
        assert config.rejection(text) == f"config.yaml:2: {path}: unknown key; did you mean {meant}?"

    def test_a_variable_below_a_single_value_is_named(self, config: File) -> None:
        message = config.rejection("demo: {port: 1}", GATEWAY__DEMO__PORT__X="1")
        assert message == "GATEWAY__DEMO__PORT__X: port is not a section; it has a value of its own"

    def test_a_flag_is_named(self, config: File) -> None:
        with pytest.raises(SettingsError, match=r"^--workers: server\.workers: "):
            config.load("", {"server.workers": 0})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)


@example(name="server.tls.key", value=[])
@given(name=st.sampled_from([name for name, _ in names()]), value=JSON)
@example(name="limits.max_request_body", value=1)
@example(name="limits.request_body", value="2GB")
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


@pytest.mark.parametrize(
    ("name", "text", "read"),
    [
        ("GATEWAY__LOG__SAMPLE", '{"2xx": 0.1, "none": 0}', {"2xx": 0.1, "none": 0.0}),
        ("GATEWAY__LOG__SAMPLE", '{"2xx": 1.5}', "from 0 to 1"),
        ("GATEWAY__LOG__SAMPLE", '{"200": 0.5}', "none of 1xx, 2xx"),
        ("GATEWAY__LOG__SAMPLE", "0.5", "must be a map"),
        ("GATEWAY__OTEL__HEADERS", '{"Authorization": "Bearer x"}', {"Authorization": "Bearer x"}),
        ("GATEWAY__OTEL__HEADERS", '{"a b": "x"}', "not a valid name"),
        ("GATEWAY__OTEL__SAMPLE", "nan", "from 0 to 1"),
        ("GATEWAY__OTEL__SAMPLE", "0.25", 0.25),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/", "http://collector:4318"),
        ("GATEWAY__OTEL__ENDPOINT", "collector:4318", "must be a URL"),
        ("GATEWAY__OTEL__ENDPOINT", "http://user:secret@collector:4318", "without user"),
    ],
)
def test_settings_of_logs_and_traces_are_read_or_rejected(name: str, text: str, read: object) -> None:
    section, setting = {"O": ("otel", "endpoint")}.get(name[0]) or name.lower().split("__")[1:]
    try:
        found = getattr(getattr(load_settings(environ={name: text}), section), setting)
    except SettingsError as error:
        assert isinstance(read, str)
        assert read in str(error)
    else:
        assert (dict(found) if isinstance(read, dict) else found) == read
