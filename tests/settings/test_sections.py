"""The sections of the settings: their defaults, and what each accepts."""

import os
from ipaddress import ip_network
from pathlib import Path

import pytest

from shared.settings.values import cores, size
from tests.settings.conftest import File


class TestTheEngine:
    def test_default_is_express_with_all_cores(self, config: File, monkeypatch: pytest.MonkeyPatch) -> None:
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

    @pytest.mark.parametrize("workers", ["", "workers: 1", "workers: null"])
    def test_mitmproxys_core_is_one_process(self, config: File, workers: str) -> None:
        server = config.load(f"server:\n  engine: mitmproxy\n  {workers}\n").server
        assert (server.engine, server.worker_count) == ("mitmproxy", 1)

    @pytest.mark.parametrize(
        ("setting", "name"),
        [
            ("workers: 2", "workers"),
            ("tls: {cert: a, key: b}", "tls.cert"),
            ("tls: {key: b}", "tls.key"),
            ("proxy_protocol: v2", "proxy_protocol"),
        ],
    )
    def test_setting_that_the_mitmproxy_engine_lacks_is_rejected(
        self, config: File, setting: str, name: str
    ) -> None:
        message = config.rejection(f"server:\n  engine: mitmproxy\n  {setting}\n")
        assert message.startswith(f"config.yaml:3: server.{name}: the mitmproxy engine ")
        assert message.endswith("set server.engine to express")


class TestProxyProtocol:
    @pytest.mark.parametrize("text", ["", "server: {proxy_protocol: off}"])
    def test_default_is_off(self, config: File, text: str) -> None:
        assert config.load(text).server.proxy_protocol == "off"

    def test_it_needs_networks_that_are_trusted(self, config: File) -> None:
        text = "server: {proxy_protocol: v2}\n"
        assert config.load(f"{text}trusted_proxies: [10.0.0.0/8]").server.proxy_protocol == "v2"
        message = config.rejection(text)
        assert message.endswith("set trusted_proxies to the load balancer's network")

    def test_version_1_is_rejected(self, config: File) -> None:
        assert "must be one of: off, v2" in config.rejection("server: {proxy_protocol: v1}")


class TestAddresses:
    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            ("127.0.0.1", ["127.0.0.1"]),
            ('"::"', ["::"]),
            ("[127.0.0.1, '::1']", ["127.0.0.1", "::1"]),
            ("['[::1]', '0:0:0:0:0:0:0:1', localhost]", ["::1", "localhost"]),
            pytest.param("['::', 0.0.0.0, 127.0.0.1]", ["::"], id="covered by the first"),
            pytest.param("[10.0.0.1, 0.0.0.0, '::1']", ["0.0.0.0", "::1"], id="covered by the second"),
        ],
    )
    @pytest.mark.parametrize("name", ["proxy_host", "admin_host"])
    def test_an_address_may_be_a_list(
        self, config: File, name: str, written: str, expected: list[str]
    ) -> None:
        settings = config.load(f"admin: {{token: secret}}\nserver: {{{name}: {written}}}")
        assert getattr(settings.server, name) == tuple(expected)

    def test_list_in_a_variable_has_commas(self, config: File) -> None:
        server = config.load("", GATEWAY__SERVER__PROXY_HOST="10.0.0.1, ::1").server
        assert server.proxy_host == ("10.0.0.1", "::1")

    @pytest.mark.parametrize("written", ["[]", "''"])
    def test_at_least_one_address_is_required(self, config: File, written: str) -> None:
        message = config.rejection(f"server:\n  proxy_host: {written}")
        assert message.startswith("config.yaml:2: server.proxy_host: must be at least one address")

    def test_one_address_off_loopback_requires_the_admin_token(self, config: File) -> None:
        for hosts in ("['127.0.0.1', '::1', localhost]", "127.0.0.2"):
            assert config.load(f"server: {{admin_host: {hosts}}}").server.is_admin_local
        message = config.rejection("server:\n  admin_host: [127.0.0.1, 10.0.0.1]")
        assert message.startswith(
            "config.yaml:2: server.admin_host: other machines could reach the admin API"
        )
        assert "at 127.0.0.1, 10.0.0.1; set admin.token" in message

    @pytest.mark.parametrize("url", ["https://{subdomain}.example.org", "http://gateway:8081"])
    def test_public_url_is_kept_as_written(self, config: File, url: str) -> None:
        server = config.load("", GATEWAY__SERVER__PUBLIC_URL=url).server
        assert server.public_url == url

    @pytest.mark.parametrize(
        ("url", "reason"),
        [
            ("ai.example.org", "must be a URL such as"),
            ("ftp://ai.example.org", "must be a URL such as"),
            ("https://", "must be a URL such as"),
            ("https://a b", "must be a URL such as"),
            ("https://ai.example.org/v1", "must have no path"),
            ("https://ai.example.org?x", "must have no path"),
            ("https://me@ai.example.org", "must have no path"),
        ],
    )
    def test_public_url_is_an_origin(self, config: File, url: str, reason: str) -> None:
        message = config.rejection(f"server:\n  public_url: '{url}'")
        assert message.startswith(f"config.yaml:2: server.public_url: {reason}")


class TestTls:
    def test_tls_section_without_files_has_none(self, config: File) -> None:
        for text in ("", "server: {tls: null}", "server: {tls: {cert: null}}", "server: {tls: {key: ''}}"):
            assert config.load(text).server.tls.files is None

    def test_relative_files_start_at_the_files_folder(self, config: File, tmp_path: Path) -> None:
        server = config.load("server: {tls: {cert: c.pem, key: /k.pem}}").server
        assert server.tls.files == (tmp_path / "c.pem", Path("/k.pem"))
        variables = {"GATEWAY__SERVER__TLS__CERT": "/c", "GATEWAY__SERVER__TLS__KEY": "/k"}
        assert config.load(**variables).server.tls.files == (Path("/c"), Path("/k"))


class TestTimeouts:
    def test_timeouts_have_the_documented_defaults(self, config: File) -> None:
        for text in ("", "limits: {timeouts: null}"):
            found = config.load(text).limits.timeouts
            assert (found.head, found.body_grace, found.body_rate, found.keep_alive) == (10, 10, 1024, 75)
            assert (found.connect, found.first_byte, found.idle, found.total) == (5, 600, 300, None)

    def test_timeouts_can_be_set_each(self, config: File) -> None:
        found = config.load(
            "limits: {timeouts: {connect: 500ms, total: 10m}}", GATEWAY__LIMITS__TIMEOUTS__IDLE="1m"
        ).limits.timeouts
        assert (found.connect, found.total, found.idle, found.first_byte) == (0.5, 600, 60, 600)

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

    def test_budgets_of_a_tier_belong_to_the_platform(self, config: File) -> None:
        text = 'tiers: {pro: {budgets: {monthly: {limit: {usd: "250"}, period: 30d, starts: 2026-12-01}}}}'
        [budget] = config.load(text).tiers["pro"].budgets
        assert (budget.id, budget.name, budget.owner) == ("tier_monthly", "monthly", "platform")
        assert (budget.unit, budget.limit, budget.starts) == ("usd", 250 * 10**9, "2026-12-01")
        assert config.load().tiers["pro"].budgets == ()
        tiers = config.load().tiers
        assert [tiers[one].max_budgets for one in tiers] == [50, 500, None]

    @pytest.mark.parametrize(
        ("budgets", "error"),
        [
            ("{a: {period: day}}", "budgets.a.limit: It is missing. Add it."),
            ("{A b: {limit: {tokens: 1}, period: day}}", "budgets.A b: Must be 1 to 63 of a-z"),
            ("{a: {limit: {tokens: 1}, period: day, at: [2, 1]}}", "budgets.a.at: Must be in rising order"),
            (
                "{a: {limit: {usd: 5}, period: day}}",
                "budgets.a.limit: Must be a decimal number in USD as text",
            ),
            (
                "{a: {limit: {tokens: 1}, period: day, scope: {rule: r}}}",
                "budgets.a.scope: It is for all tenants",
            ),
            ("{a: 5}", "budgets.a: must be a map"),
        ],
    )
    def test_budget_of_a_tier_that_is_wrong_says_where(self, config: File, budgets: str, error: str) -> None:
        assert f"tiers.gold.{error}" in config.rejection(f"tiers: {{gold: {{budgets: {budgets}}}}}")


class TestSafeStart:
    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "gateway.internal"])
    def test_an_open_admin_api_needs_a_token(self, config: File, host: str) -> None:
        assert "set admin.token (GATEWAY_ADMIN_TOKEN)" in config.rejection(GATEWAY__SERVER__ADMIN_HOST=host)
        config.load(GATEWAY__SERVER__ADMIN_HOST=host, GATEWAY_ADMIN_TOKEN="token")

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "LOCALHOST"])
    def test_admin_api_on_loopback_needs_no_token(self, config: File, host: str) -> None:
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


class TestEgressProxy:
    def test_proxy_is_read_with_its_exceptions(self, config: File) -> None:
        found = config.load(
            "security: {egress_proxy: {url: 'http://u:p@proxy:3128', resolve: proxy}}",
            GATEWAY__SECURITY__EGRESS_PROXY__NO_PROXY="Models.Internal, 10.0.0.0/8",
        ).security.egress_proxy.proxy
        assert found is not None
        assert (found.address, found.resolves) == (("proxy", 3128), True)
        assert found.direct_hosts == ("models.internal",)
        assert found.direct_networks == (ip_network("10.0.0.0/8"),)
        assert config.load().security.egress_proxy.proxy is None

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("url: 'https://proxy:3128'", "must be http://host:port"),
            ("no_proxy: ['a b']", "must be a DNS name such as models.internal, or a network"),
            ("resolve: there", "must be one of: here, proxy"),
        ],
    )
    def test_wrong_proxy_is_rejected_with_what_is_allowed(self, config: File, text: str, why: str) -> None:
        assert why in config.rejection(f"security: {{egress_proxy: {{{text}}}}}")

    def test_proxy_is_rejected_with_the_engine_that_would_not_use_it(self, config: File) -> None:
        text = "server: {engine: mitmproxy}\nsecurity: {egress_proxy: {url: 'http://proxy:3128'}}"
        assert "the mitmproxy engine calls upstreams directly" in config.rejection(text)


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


class TestHosts:
    @pytest.mark.parametrize("host", ["gateway", "host.docker.internal", "ai_gateway", "10.0.0.5", "[::1]"])
    def test_names_and_addresses_can_be_shared(self, config: File, host: str) -> None:
        found = config.load(GATEWAY__SERVER__SHARED_HOSTS=f"{host.upper()},localhost.")
        assert found.server.shared_hosts == (host, "localhost")

    @pytest.mark.parametrize("host", ["gateway:8081", "http://gateway", "a b", "/", "a.-b-"])
    def test_host_that_no_request_can_have_is_rejected(self, config: File, host: str) -> None:
        message = config.rejection(GATEWAY__SERVER__SHARED_HOSTS=host)
        assert message.endswith("must be a host name or an IP address, without scheme and port")


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
